"""Crafter in words: the game of the `crafter` package, told as BALROG tells it.

Source: Hafner 2022 for the game; Paglieri et al. 2024 (BALROG) for the words, the step limit and the score.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from unseen.environments.text import crafter_text
from unseen.environments.text.contract import TextObservation, TextStep
from unseen.environments.text.crafter_game import Game, Saved, constants, item_rows
from unseen.environments.text.crafter_text import Style, Thing
from unseen.errors import UserError, unknown

ACTIONS: Mapping[str, tuple[str, str]] = {
    "Noop": ("noop", "do nothing"),
    "Move West": ("move_left", "move west on flat ground"),
    "Move East": ("move_right", "move east on flat ground"),
    "Move North": ("move_up", "move north on flat ground"),
    "Move South": ("move_down", "move south on flat ground"),
    "Do": ("do", "collect what is in front of you, drink from water, hit a creature, eat"),
    "Sleep": ("sleep", "sleep, where energy is below its maximum; it lasts until you are rested or hurt"),
    "Place Stone": ("place_stone", "place a stone in front of you"),
    "Place Table": ("place_table", "place a table in front of you; takes 2 wood"),
    "Place Furnace": ("place_furnace", "place a furnace in front of you; takes 4 stone"),
    "Place Plant": ("place_plant", "place a sapling on the grass in front of you"),
    "Make Wood Pickaxe": ("make_wood_pickaxe", "takes 1 wood, beside a table"),
    "Make Stone Pickaxe": ("make_stone_pickaxe", "takes 1 wood and 1 stone, beside a table"),
    "Make Iron Pickaxe": ("make_iron_pickaxe", "takes 1 wood, 1 coal and 1 iron, beside a table and a furnace"),
    "Make Wood Sword": ("make_wood_sword", "takes 1 wood, beside a table"),
    "Make Stone Sword": ("make_stone_sword", "takes 1 wood and 1 stone, beside a table"),
    "Make Iron Sword": ("make_iron_sword", "takes 1 wood, 1 coal and 1 iron, beside a table and a furnace"),
}
NUMBERS = {word.lower(): constants.actions.index(native) for word, (native, _) in ACTIONS.items()}
KINDS = (*constants.materials, "cow", "zombie", "skeleton", "arrow", "plant")
LOW = 3  # of a vital sign
SYMBOLS = dict(zip(("player", *KINDS), "@~.#_:T^coD" + "&F" + "CZS-P", strict=True))
RESOURCES = ("water", "tree", "coal", "iron", "diamond", "table", "furnace", "cow", "plant")


class Moment(NamedTuple):
    """An episode at one time."""

    game: Saved
    met: frozenset[str]
    feedback: str
    over: bool


class Crafter:
    """22 achievements in a world of which 9 by 7 cells are seen. A step with a new achievement pays 1, and every one a tenth of the health
    that it gained or lost.

    An action that is none becomes Noop, and the next observation says so. Reset takes one Noop, as in BALROG.
    """

    def __init__(
        self,
        max_steps: int = 2_000,
        *,
        unique_items: bool = True,
        precise_location: bool = False,
        skip_items: Iterable[str] = (),
        edge_only_items: Iterable[str] = (),
        area: tuple[int, int] = (64, 64),
        view: tuple[int, int] = (9, 9),
    ):
        """
        Args:
            max_steps: after which the episode is cut; BALROG's, the game's own are 10,000.
            unique_items, precise_location, skip_items, edge_only_items: see `crafter_text.Style`.
            area: columns and rows of the world.
            view: columns and rows of the picture; the inventory takes the lower rows, and what is left must be odd both ways.

        Raises:
            UserError: a kind that does not exist, or a size that is not allowed.
        """
        if max_steps < 1:
            raise UserError(f"max_steps = {max_steps} of Crafter must be 1 or more")
        rows = view[1] - item_rows(max(1, view[0]))
        if view[0] < 3 or rows < 3 or view[0] % 2 == 0 or rows % 2 == 0:
            raise UserError(
                f"view = {view} of Crafter shows {rows} rows of the world, and the inventory below; columns and those rows must be odd "
                "and at least 3, as with (9, 9)"
            )
        if min(area) < 12:
            raise UserError(f"area = {area} of Crafter must be two numbers of 12 or more")
        self.style = Style(unique_items, precise_location, tuple(skip_items), tuple(edge_only_items))
        for field in ("skip_items", "edge_only_items"):
            for name in getattr(self.style, field):
                if name not in KINDS:
                    raise unknown(f"kind in {field} of Crafter", name, KINDS)
        self._max_steps = max_steps
        self._game = Game(area, view, max_steps + 1)  # the Noop at the start is one step more
        self._met: frozenset[str] = frozenset()
        self._feedback, self._over, self._begun = "", True, False

    @property
    def name(self) -> str:
        return "crafter"

    @property
    def actions(self) -> tuple[str, ...]:
        return tuple(ACTIONS)

    @property
    def max_steps(self) -> int:
        return self._max_steps

    @property
    def instructions(self) -> str:
        listed = "\n".join(f"{word}: {meaning}" for word, (_, meaning) in ACTIONS.items())
        wanted = ", ".join(name.replace("_", " ") for name in constants.achievements)
        return (
            "You play Crafter. These are all the actions, each with what it does:\n"
            f"{listed}\n\nThere are {len(constants.achievements)} achievements: {wanted}.\n"
            "Stone and coal need a wood pickaxe, iron a stone pickaxe, a diamond an iron pickaxe. Food, drink and energy fall; when one of "
            "them is 0, health falls too. Zombies roam the grass, more of them at night, skeletons shoot in caves, and lava kills.\n"
            f"Collect as many achievements as you can in {self._max_steps:,} steps. An action is one of the words above and nothing else."
        )

    def reset(self, seed: int) -> TextObservation:
        if seed < 0:
            raise UserError(f"seed = {seed} of Crafter must be 0 or more")
        self._game.begin(seed)
        self._game.step(NUMBERS["noop"])
        self._feedback, self._over, self._begun = "", False, True
        seen = self.window()
        self._met = _kinds(seen)
        return self._told(seen)

    def step(self, action: str) -> TextStep:
        self._has_begun()
        if self._over:
            raise UserError("the episode is over; begin another with reset(seed)")
        game = self._game
        number = NUMBERS.get(action.strip().lower())
        illegal = number is None
        self._feedback = "Your last output was not one of the actions. Noop was done instead.\n\n" if illegal else ""
        before, unlocked, asleep = dict(game.player.inventory), game.unlocked, game.player.sleeping
        _, reward, _, _ = game.step(NUMBERS["noop"] if number is None else number)
        dead = game.player.health <= 0
        truncated = not dead and game.steps > self._max_steps
        self._over = dead or truncated
        seen = self.window()
        events = self._events(seen, before, unlocked, asleep)
        progression = len(game.unlocked) / len(constants.achievements)
        return TextStep(self._told(seen), float(reward), dead, truncated, illegal, events, progression)

    def legal(self) -> tuple[str, ...]:
        return self.actions

    def snapshot(self) -> Moment:
        self._has_begun()
        return Moment(self._game.save(), self._met, self._feedback, self._over)

    def restore(self, snapshot: Moment) -> TextObservation:
        """Raises:
        UserError: a moment in a world of another size.
        """
        if tuple(snapshot.game.world.area) != tuple(self._game.area):
            raise UserError(f"the moment is of a world of {snapshot.game.world.area} cells, and this one has {self._game.area}")
        self._game.load(snapshot.game)
        self._met, self._feedback, self._over, self._begun = snapshot.met, snapshot.feedback, snapshot.over, True
        return self._told(self.window())

    def signals(self) -> Mapping[str, str]:
        """`map`: the whole world in symbols; `nearest`: where the nearest of each resource is, seen or not; `position`, `daylight`."""
        self._has_begun()
        x, y = (int(c) for c in self._game.player.pos)
        return {
            "map": self._drawn(),
            "nearest": "\n".join(f"- {t.name} {crafter_text.where(t, precise=True)}" for t in self._nearest()),
            "position": f"column {x}, row {y}",
            "daylight": f"{float(self._game.world.daylight):.2f}",
        }

    def achievements(self) -> Mapping[str, int]:
        """How often each has been done in this episode."""
        self._has_begun()
        return dict(self._game.player.achievements)

    def picture(self, size: int = 256) -> np.ndarray:
        """The game's own picture of this moment, rows by columns by colours; drawing changes nothing."""
        self._has_begun()
        return self._game.render((size, size))

    def window(self) -> crafter_text.Window:
        """What is in sight, cell by cell: what the text tells where it lists every item with its precise location."""
        self._has_begun()
        x, y = (int(c) for c in self._game.player.pos)
        return crafter_text.window(self._game.world, (x, y), *self._game.seen)

    @property
    def facing(self) -> tuple[int, int]:
        """Which way the player looks: steps to the east and to the south, one of them 0."""
        self._has_begun()
        east, south = self._game.player.facing
        return int(east), int(south)

    @property
    def inventory(self) -> Mapping[str, int]:
        """Vital signs and what is held, by name, as the status tells them; 0 of what is not held."""
        self._has_begun()
        return dict(self._game.player.inventory)

    @property
    def asleep(self) -> bool:
        """Whether actions do nothing now, because the player sleeps."""
        self._has_begun()
        return bool(self._game.player.sleeping)

    def _has_begun(self) -> None:
        if not self._begun:
            raise UserError("there is no episode yet; begin one with reset(seed)")

    def _told(self, seen: crafter_text.Window) -> TextObservation:
        player = self._game.player
        around = crafter_text.surroundings(seen, self.facing, self.style)
        state = crafter_text.DEAD if player.health <= 0 else crafter_text.ASLEEP if player.sleeping else ""
        return TextObservation(f"{self._feedback}{state}{around}", crafter_text.status(player.inventory))

    def _events(self, seen: crafter_text.Window, before: Mapping[str, int], unlocked: frozenset[str], asleep: bool) -> tuple[str, ...]:
        """What a plan may have to answer to: a new achievement, harm, hunger, a kind of thing never seen before, being awake again."""
        player = self._game.player
        fresh = self._game.unlocked - unlocked
        events = [f"unlocked {name.replace('_', ' ')}" for name in constants.achievements if name in fresh]
        if player.inventory["health"] < before["health"]:
            events.append("hurt")
        events += [f"low {name}" for name in crafter_text.VITALS if player.inventory[name] <= LOW < before[name]]
        new = _kinds(seen) - self._met
        events += [f"first {name}" for name in sorted(new)]
        self._met |= new
        if asleep and not player.sleeping:
            events.append("awake")
        return tuple(events)

    def _drawn(self) -> str:
        legend = ", ".join(f"{symbol} {name}" for name, symbol in SYMBOLS.items())
        world, (width, height) = self._game.world, self._game.world.area
        rows = ["".join(SYMBOLS[crafter_text.kind(world, x, y)] for x in range(width)) for y in range(height)]
        return "\n".join([legend, *rows])

    def _nearest(self) -> list[Thing]:
        """The nearest of each resource on the whole map, by steps as the crow walks; nothing of what does not exist."""
        world, here = self._game.world, np.asarray(self._game.player.pos)
        places: dict[str, Any] = {name: np.argwhere(world.mask(0, world.area[0], 0, world.area[1], name)) for name in constants.materials}
        for creature in world.objects:
            name = type(creature).__name__.lower()
            places[name] = np.concatenate([places.get(name, np.zeros((0, 2), int)), creature.pos[None]])
        found = []
        for name in RESOURCES:
            if len(places.get(name, ())):
                offsets = places[name] - here
                east, south = offsets[np.argmin(np.abs(offsets).sum(axis=1))]
                found.append(Thing(name, int(east), int(south)))
        return found


def _kinds(seen: crafter_text.Window) -> frozenset[str]:
    return frozenset(name for column in seen for name in column if name is not None)
