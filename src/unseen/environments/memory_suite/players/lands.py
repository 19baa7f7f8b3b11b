"""Reference players of goal navigation: who remembers where the goal is or may be, who knows it, and who only sees."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from unseen.environments.memory_suite import compact_land, land_view, walker
from unseen.environments.memory_suite.land import REACH, SIZE, LandParams
from unseen.environments.memory_suite.players import chart, routes, travel, walking
from unseen.environments.memory_suite.players.chart import COLUMNS, ROWS, Chart, Map
from unseen.environments.memory_suite.players.player import Reads, Seen, given, place_of
from unseen.environments.memory_suite.sight import HEADINGS
from unseen.environments.memory_suite.walker import Pose, on_grid

STRAY = 0.01  # how often a body just walks, so that no corner holds it for ever
NOTICED = 0.02  # metres by which it must fall short to know that it was held up
ROUNDING = 0.01  # metres within which it does not trust itself to know whether a goal was within reach


@dataclass(frozen=True)
class Explorer:
    """Remembers everything it has seen: walls, and the cells in which the goal may be; goes to the nearest place from which one of
    them is within reach.

    It is told where it is, also after it was put somewhere else, and what it was paid; it knows the size of the land and the rows
    that the level may put the goal in. A visible goal can be in no cell that was seen without it, an invisible one in no cell within
    reach of where it has been unpaid. Cells never seen count as free. Of equally near ways it prefers the one that tries most cells at its
    first step, then the one it is going. Not proven best: where to explore first is a rule, the shortest ways are exact.
    """

    environment: Any
    reads: Reads = field(default="place", init=False)

    def begin(self) -> Chart:
        return chart.blank()

    def act(self, key: PRNGKeyArray, memory: Chart, seen: Seen, params: LandParams) -> tuple[Chart, Int[Array, ""]]:
        place = given(seen.place)
        known = self._updated(memory, seen, place, params)
        row, column, _ = on_grid(place)
        new = _tries(known.possible, row, column)
        directions = jnp.arange(4, dtype=jnp.int32)
        liking = 2 * new + jnp.where(directions == memory.direction, 1, 0)
        inside, open_ = chart.inside(params), (params.buildings == 0) & (params.rooms == 0)
        walls, unseen = known.solid | ~inside, ~(known.free | (inside & open_))
        action, direction = travel.towards(
            _first_person(self.environment), place, walls, known.possible, routes.around(known.possible), liking, unseen
        )
        if _first_person(self.environment):
            k_when, k_which = jax.random.split(key)
            astray = jax.random.randint(k_which, (), 0, 4, jnp.int32)
            action = jnp.where(jax.random.bernoulli(k_when, STRAY), astray, action)
        leads = _meant(self.environment, place, action, walls)
        return known._replace(meant=leads, direction=direction, fresh=jnp.asarray(False)), action

    def _updated(self, memory: Chart, seen: Seen, place: Pose, params: LandParams) -> Chart:
        """What the last step taught."""
        view = chart.sighting(seen.words, *on_grid(place)[:2])
        paid = given(seen.reward) > 0
        longer, shorter = (walking.STRIDE, ROUNDING) if _first_person(self.environment) else (0.0, 0.0)
        beneath = chart.apart(place.x, place.y) < walker.RADIUS - NOTICED  # where its body is, nothing else can be
        free, solid = memory.free | view.free | beneath, (memory.solid | view.solid) & ~view.free
        if not _first_person(self.environment):  # in first person it looks first
            solid = solid | (self._bumped(memory, free, solid, place) & ~paid)
        # A reward says that it got within reach on the way to where it was going; no reward, that it is not within reach now.
        arrived = chart.within(memory.meant[0], memory.meant[1], REACH + longer)
        elsewhere = memory.fresh | ~chart.within(place.x, place.y, REACH - shorter)
        possible = memory.possible & chart.band(params) & ~solid & jnp.where(paid, arrived, elsewhere)
        if self.environment.task.goal_visible:
            possible = jnp.where(jnp.any(view.goal), view.goal, possible & ~view.free)
        return memory._replace(free=free, solid=solid, possible=possible)

    def _bumped(self, memory: Chart, free: Map, solid: Map, place: Pose) -> Map:
        """Where it was not let through: the cell not known yet that is nearest to where it was meant to get."""
        stuck = ~memory.fresh & (jnp.max(jnp.abs(memory.meant - jnp.stack([place.x, place.y]))) > NOTICED)
        unknown, apart = ~free & ~solid, chart.apart(*memory.meant)
        nearest = jnp.argmin(jnp.where(unknown, apart, jnp.inf)) == jnp.arange(SIZE**2).reshape(SIZE, SIZE)
        return stuck & nearest & unknown & (apart < walker.RADIUS)


@dataclass(frozen=True)
class LandOracle:
    """Knows the land and the goal, and takes the shortest way."""

    environment: Any
    reads: Reads = field(default="state", init=False)

    def begin(self) -> tuple[()]:
        return ()

    def act(self, key: PRNGKeyArray, memory: tuple[()], seen: Any, params: LandParams) -> tuple[tuple[()], Int[Array, ""]]:
        goal = (seen.land.goal[0] == ROWS) & (seen.land.goal[1] == COLUMNS)
        walls, equal = seen.land.cells > 0, jnp.zeros((4,), jnp.int32)
        action, _ = travel.towards(_first_person(self.environment), given(place_of(seen)), walls, goal, routes.around(goal), equal)
        return memory, action


def _tries(possible: Map, row: Int[Array, ""], column: Int[Array, ""]) -> Int[Array, "4"]:
    """How many possible cells are within reach of each of the four cells around."""
    ahead = jnp.stack([row, column])[None] + jnp.asarray(HEADINGS)
    count = lambda at: jnp.sum(possible & chart.within(at[1] + 0.5, at[0] + 0.5))  # noqa: E731
    return jax.vmap(count)(ahead.astype(jnp.float32)).astype(jnp.int32)


def _meant(environment: Any, place: Pose, action: Int[Array, ""], walls: Map) -> Float[Array, "2"]:
    """Where an action leads (x, y) if there are no other walls."""
    if _first_person(environment):
        return walking.led(place, action, walls)
    quarter = jnp.asarray([0, 2, 3, 1, 0, 0], jnp.int32).at[action].get(mode="clip")
    down, right = jnp.asarray(HEADINGS).at[(on_grid(place)[2] + quarter) % 4].get(mode="clip").astype(jnp.float32)
    return jnp.where(action <= compact_land.RIGHT, 1.0, 0.0) * jnp.stack([right, down]) + jnp.stack([place.x, place.y])


def _first_person(environment: Any) -> bool:
    return isinstance(environment, land_view.FirstPersonLand)
