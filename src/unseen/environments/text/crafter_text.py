"""What a player of Crafter is told: the sentences of BALROG's wrapper (balrog-ai/BALROG, commit af7d1f1), padded at the map's edges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

VITALS = ("health", "food", "drink", "energy")
ASLEEP = "You are sleeping, and will not be able take actions until energy is full.\n\n\n\n"  # three empty lines, as there
DEAD = "You died.\n\n\n\n"


@dataclass(frozen=True)
class Style:
    """How much is said.

    Attributes:
        unique_items: only the nearest of each kind; of several as near, the first in columns from west to east, each from north to south.
        precise_location: "1 step south and 4 steps west" instead of "5 steps to your south-west".
        skip_items: kinds that are not mentioned.
        edge_only_items: kinds of which only cells with something else beside them are mentioned.
    """

    unique_items: bool = True
    precise_location: bool = False
    skip_items: tuple[str, ...] = ()
    edge_only_items: tuple[str, ...] = ()


class Thing(NamedTuple):
    """Something in sight, and where it is: steps to the east and to the south of the player."""

    name: str
    east: int
    south: int


Window = Sequence[Sequence[str | None]]
"""Names by column from west to east, and in it from north to south; None beyond the map. The player stands in the middle."""


def kind(world: Any, x: int, y: int) -> str:
    """The name of what stands in a cell of the map: a creature, or else the material."""
    material, creature = world[x, y]
    return material if creature is None else type(creature).__name__.lower()


def window(world: Any, centre: tuple[int, int], columns: int, rows: int) -> Window:
    """What stands where around a place.

    Args:
        world: of a `crafter_game.Game`.
        centre: column and row of the place.
        columns, rows: of the window, both odd.
    """
    (x, y), (width, height) = centre, world.area
    left, top = x - columns // 2, y - rows // 2
    first, last = max(left, 0), min(left + columns, width)
    highest, lowest = max(top, 0), min(top + rows, height)
    above, below = [None] * (highest - top), [None] * (top + rows - lowest)
    beyond: list[str | None] = [None] * rows
    seen = [[*above, *names, *below] for names in world.names(first, highest, last - first, lowest - highest)]
    return [beyond] * (first - left) + seen + [beyond] * (left + columns - last)


def things(seen: Window, style: Style) -> list[Thing]:
    """What is worth a mention, kinds in the order in which they are met, columns from west to east, each from north to south."""
    middle = len(seen) // 2, len(seen[0]) // 2
    found: list[Thing] = []
    for i, column in enumerate(seen):
        for j, name in enumerate(column):
            if name is None or (i, j) == middle or name in style.skip_items:
                continue
            if name not in style.edge_only_items or _at_an_edge(seen, i, j):
                found.append(Thing(name, i - middle[0], j - middle[1]))
    if not style.unique_items:
        return found
    nearest: dict[str, Thing] = {}
    distance: dict[str, int] = {}
    for thing in found:
        steps = _steps(thing)
        if steps < distance.get(thing.name, steps + 1):
            nearest[thing.name], distance[thing.name] = thing, steps
    return list(nearest.values())


def _steps(thing: Thing) -> int:
    return abs(thing.east) + abs(thing.south)


def _at_an_edge(seen: Window, i: int, j: int) -> bool:
    """Whether something else lies beside this cell, in sight and on the map."""
    beside = [(i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)]
    inside = [(a, b) for a, b in beside if 0 <= a < len(seen) and 0 <= b < len(seen[0])]
    return any(seen[a][b] is not None and seen[a][b] != seen[i][j] for a, b in inside)


def where(thing: Thing, precise: bool) -> str:
    """Where something is, seen from the player."""
    south_north = "south" if thing.south > 0 else "north"
    east_west = "east" if thing.east > 0 else "west"
    if precise:
        parts = [(abs(thing.south), south_north), (abs(thing.east), east_west)]
        return " and ".join(f"{n} step{'s' if n > 1 else ''} {way}" for n, way in parts if n)
    ways = [way for n, way in ((thing.south, south_north), (thing.east, east_west)) if n]
    n = _steps(thing)
    return f"{n} step{'s' if n > 1 else ''} to your {'-'.join(ways)}"


def surroundings(seen: Window, facing: tuple[int, int], style: Style) -> str:
    """What is in sight, and what is straight ahead."""
    i, j = len(seen) // 2 + facing[0], len(seen[0]) // 2 + facing[1]
    ahead = seen[i][j]
    if ahead is None or ahead in style.skip_items:
        ahead = "nothing"
    listed = [f"- {thing.name} {where(thing, style.precise_location)}" for thing in things(seen, style)]
    told = "\n".join(["You see:", *listed]) if listed else "You see nothing away from you."
    return f"{told}\n\nYou face {ahead} at your front."


def status(inventory: Mapping[str, int]) -> str:
    """Vital signs and inventory."""
    vital = "\n".join(["Your status:", *(f"- {name}: {inventory[name]}/9" for name in VITALS)])
    held = [f"- {name}: {n}" for name, n in inventory.items() if name not in VITALS and n]
    return f"{vital}\n\n" + ("\n".join(["Your inventory:", *held]) if held else "You have nothing in your inventory.")
