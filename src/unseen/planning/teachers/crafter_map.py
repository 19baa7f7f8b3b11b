"""What a player of Crafter remembers of the world, in steps from where it began, and the cheapest ways through it."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping

from unseen.environments.text.crafter_text import Window

Cell = tuple[int, int]
"""Steps to the east and to the south of where the episode began."""

WAYS: Mapping[str, Cell] = {"Move West": (-1, 0), "Move East": (1, 0), "Move North": (0, -1), "Move South": (0, 1)}
WORDS: Mapping[Cell, str] = {way: word for word, way in WAYS.items()}
FREE = frozenset({"grass", "sand", "path"})
GROUND: Mapping[str, str] = {"cow": "grass", "zombie": "grass", "skeleton": "path", "arrow": "path", "player": "grass"}
DREAD = 3  # steps of a detour that a zombie two steps away is worth
EDGE = "edge"  # of the world: a cell that does not exist

Costs = Mapping[str, int]
"""Steps that it takes to enter a cell of a kind; a kind that is not in it cannot be entered."""


def beside(cell: Cell) -> tuple[Cell, Cell, Cell, Cell]:
    """The four cells that share a side with it."""
    x, y = cell
    return (x - 1, y), (x + 1, y), (x, y - 1), (x, y + 1)


def steps_between(a: Cell, b: Cell) -> int:
    """As the crow walks."""
    return abs(a[0] - b[0]) + abs(a[1] - b[1])


class CrafterMap:
    """Kinds of cells that have been seen, and the creatures in sight.

    Attributes:
        here: where the player stands.
        kinds: what a cell is made of; below a creature, what was seen there before, or else what such a creature walks on.
        creatures: those in sight.
        cows: where cows were last seen, where nothing else has been seen since.
        walls: cells that are to stay as they are; no way leads through them.
    """

    def __init__(self) -> None:
        self.here: Cell = (0, 0)
        self.kinds: dict[Cell, str] = {}
        self.creatures: dict[Cell, str] = {}
        self.cows: dict[Cell, None] = {}  # in the order in which they came, which a set has not
        self.walls: set[Cell] = set()
        self._rim = (4, 3)
        self._dread: dict[Cell, int] = {}

    def look(self, window: Window, moves: tuple[Cell, ...] = ((0, 0),)) -> None:
        """Take in what is seen.

        Args:
            window: around the player.
            moves: by which the player may have moved since the last look, the likeliest first. The one is taken whose cells agree best
                with what is remembered, the first of those that agree as well.
        """
        before = self.here
        self._rim = len(window) // 2, len(window[0]) // 2
        places = [(before[0] + dx, before[1] + dy) for dx, dy in moves]
        self.here = min(places, key=lambda place: self._disagreements(window, place)) if self.kinds else before
        self.creatures, self._dread = {}, {}
        for cell, name in _cells(window, self.here):
            if cell == self.here:
                self.kinds.setdefault(cell, GROUND["player"])
            elif name in GROUND:
                self.creatures[cell] = name
                if self.kinds.get(cell) not in FREE and name != "arrow":
                    self.kinds[cell] = GROUND[name]
                self.kinds.setdefault(cell, GROUND[name])
            else:
                self.kinds[cell] = name
            if name == "cow":
                self.cows[cell] = None
            else:
                self.cows.pop(cell, None)
            if name == "zombie":
                for other in beside(cell):
                    self._dread |= dict.fromkeys((other, *beside(other)), DREAD)

    def _disagreements(self, window: Window, place: Cell) -> int:
        return sum(name not in GROUND and self.kinds.get(cell, name) != name for cell, name in _cells(window, place))

    def near(self, kind: str, cell: Cell) -> bool:
        """Whether a cell of this kind lies in the 3 by 3 cells around a cell, where it serves as a workbench."""
        x, y = cell
        return any(self.kinds.get((x + dx, y + dy)) == kind for dx in (-1, 0, 1) for dy in (-1, 0, 1))

    def is_open(self, cell: Cell) -> bool:
        """Whether something could walk into it."""
        return self.kinds.get(cell) in FREE

    def route(self, costs: Costs, goal: Callable[[Cell], bool], limit: int = 300) -> list[Cell] | None:
        """The cheapest way to a goal, without the cell that the player stands in; None where there is none within the limit.

        Args:
            costs: of entering cells. A cell with a creature in it is not entered.
            goal: whether a cell is one. It may be one that cannot be entered, such as a tree, and is then the last of the way.
            limit: of the cost.
        """
        came: dict[Cell, Cell] = {}
        for cost, cell in self._spread(costs, goal, came):
            if cost > limit:
                return None
            if goal(cell):
                return self._way(came, cell)
        return None

    def frontier(self, costs: Costs, liking: Callable[[Cell], float], most: float, limit: int = 300) -> list[Cell] | None:
        """The way to the best cell beside the unknown: that whose cost, less how much it is liked, is least; None where all is known.

        Args:
            costs: of entering cells.
            liking: of such a cell, in steps that it is worth.
            most: that a cell can be liked.
            limit: of the cost.
        """
        came: dict[Cell, Cell] = {}
        best, chosen = float("inf"), None
        for cost, cell in self._spread(costs, lambda cell: False, came):
            if cost > min(limit, best + most):
                break
            if self.is_frontier(cell) and cost - liking(cell) < best and cell != self.here:
                best, chosen = cost - liking(cell), cell
        return None if chosen is None else self._way(came, chosen)

    def is_frontier(self, cell: Cell) -> bool:
        """Whether a cell beside it has never been seen."""
        return any(other not in self.kinds for other in beside(cell))

    def unknown(self, cell: Cell) -> int:
        """Of eight places at the rim of what would be seen from a cell, how many have never been seen."""
        (x, y), (columns, rows) = cell, self._rim
        return sum((x + dx, y + dy) not in self.kinds for dx in (-columns, 0, columns) for dy in (-rows, 0, rows) if dx or dy)

    def _spread(self, costs: Costs, goal: Callable[[Cell], bool], came: dict[Cell, Cell]) -> Iterator[tuple[int, Cell]]:
        """Cells by what it costs to get there (Dijkstra 1959), and in `came` from where; of those that cost as much, the westernmost."""
        kinds, creatures, walls, dread = self.kinds, self.creatures, self.walls, self._dread
        least = {self.here: 0}
        heap = [(0, self.here)]
        while heap:
            cost, cell = heapq.heappop(heap)
            if cost > least[cell]:
                continue
            yield cost, cell
            if cell != self.here and (kinds[cell] not in costs or cell in creatures or cell in walls):
                continue  # a goal that cannot be entered
            for other in beside(cell):
                kind = kinds.get(other)
                if kind is None:
                    continue
                more = costs.get(kind)
                if more is None or other in creatures or other in walls:
                    if not goal(other):
                        continue
                    more = 1
                more += dread.get(other, 0)
                if cost + more < least.get(other, 1 << 30):
                    least[other] = cost + more
                    came[other] = cell
                    heapq.heappush(heap, (cost + more, other))

    def _way(self, came: Mapping[Cell, Cell], cell: Cell) -> list[Cell]:
        way = []
        while cell != self.here:
            way.append(cell)
            cell = came[cell]
        return way[::-1]


def _cells(window: Window, centre: Cell) -> Iterator[tuple[Cell, str]]:
    """Every cell in sight and what is seen in it; the player in the middle."""
    west, north = centre[0] - len(window) // 2, centre[1] - len(window[0]) // 2
    for i, column in enumerate(window):
        for j, name in enumerate(column):
            yield (west + i, north + j), EDGE if name is None else name
