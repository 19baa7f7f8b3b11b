"""The game of the `crafter` package, made reproducible: the same seed and actions give the same episode, in every process, drawn or not.

As published it is not: creatures of a chunk are kept in a set, whose order follows memory addresses, and one of them is drawn by its place
in that order; and drawing a night takes its noise from the game's own generator (danijar/crafter, issues 31 and 36).
"""

from __future__ import annotations

import collections
import copy
from typing import Any, NamedTuple

import numpy as np

from unseen.errors import UserError

try:
    import crafter.constants  # pyright: ignore[reportMissingTypeStubs]
    from crafter import engine, env, objects  # pyright: ignore[reportMissingTypeStubs]
except ModuleNotFoundError as missing:
    raise UserError("Crafter needs the crafter package; install it with: pip install 'unseen[text]'") from missing

constants: Any = crafter.constants  # read from a file of data when imported


def item_rows(columns: int) -> int:
    """Rows of a picture with this many columns that the inventory takes."""
    return -(-len(constants.items) // columns)


class InOrder(dict[Any, None]):
    """A set that is gone through in the order in which its members came."""

    def add(self, member: Any) -> None:
        self[member] = None

    def remove(self, member: Any) -> None:
        del self[member]


class World(engine.World):
    """The map and what is on it; creatures of a chunk in the order in which they came."""

    def reset(self, seed: int | None = None) -> None:
        super().reset(seed)
        self._chunks = collections.defaultdict(InOrder)

    def names(self, left: int, top: int, columns: int, rows: int) -> list[list[str | None]]:
        """What stands in the cells of a block that lies on the map: creatures, or else the material; column by column."""
        block = slice(left, left + columns), slice(top, top + rows)
        materials, creatures = self._mat_map[block].tolist(), self._obj_map[block].tolist()
        name, things = self._mat_names, self._objects
        return [
            [name[m] if not c else type(things[c]).__name__.lower() for m, c in zip(*column, strict=True)]
            for column in zip(materials, creatures, strict=True)
        ]


class View(engine.LocalView):
    """A picture of the surroundings, whose noise at night comes from a generator of its own."""

    random: np.random.RandomState

    def look(self, world: World, seed: int) -> None:
        """From now on draw this world, with this noise."""
        self._world, self.random = world, np.random.RandomState(seed)

    def _noise(self, canvas: np.ndarray, amount: float, stddev: float) -> np.ndarray:
        noise = self.random.uniform(32, 127, canvas.shape[:2])[..., None]
        mask = amount * self._vignette(canvas.shape, stddev)[..., None]
        return (1 - mask) * canvas + mask * noise


class Saved(NamedTuple):
    """A moment: a world, the player in it, and what the game counts."""

    world: World
    player: objects.Player
    counts: tuple[Any, ...]


class Game(env.Env):
    """Crafter without pictures on the way: `step` draws nothing, `render` draws the moment and changes nothing."""

    def __init__(self, area: tuple[int, int], view: tuple[int, int], length: int):
        super().__init__(area=area, view=view, length=length, seed=0)
        self._world = World(area, constants.materials, (12, 12))
        self._local_view = View(self._world, self._textures, list(self.seen))
        self._sem_view = dict  # nobody reads the whole map

    @property
    def area(self) -> tuple[int, int]:
        """Columns and rows of the world."""
        return self._area

    def begin(self, seed: int) -> None:
        """A new episode: a seed's own world, however many there have been before."""
        self._seed, self._episode = seed, 0
        self.reset()

    @property
    def world(self) -> World:
        return self._world

    @property
    def player(self) -> objects.Player:
        return self._player

    @property
    def steps(self) -> int:
        return self._step

    @property
    def unlocked(self) -> frozenset[str]:
        """Achievements of this episode."""
        return frozenset(name for name, count in self._player.achievements.items() if count)

    @property
    def seen(self) -> tuple[int, int]:
        """Columns and rows of the world that are seen; the inventory takes the other rows of the view."""
        columns, rows = (int(n) for n in self._view)
        return columns, rows - item_rows(columns)

    def save(self) -> Saved:
        return copy.deepcopy(Saved(self._world, self._player, (self._step, self._last_health, self._unlocked)))

    def load(self, saved: Saved) -> None:
        self._world, self._player, (self._step, self._last_health, self._unlocked) = copy.deepcopy(saved)

    def render(self, size: Any = None) -> np.ndarray:
        self._local_view.look(self._world, self._step)
        return super().render(size)

    def _obs(self) -> Any:
        """Nothing is drawn on the way."""
