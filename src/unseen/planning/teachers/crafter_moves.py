"""How a player of Crafter gets something done: the next action on a way to a thing, in front of it, or beside a table."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple

from unseen.planning.teachers.crafter_map import FREE, WAYS, WORDS, Cell, CrafterMap, beside

PREY = frozenset({"cow", "zombie", "skeleton"})
NEEDS: Mapping[str, str] = {"stone": "wood_pickaxe", "coal": "wood_pickaxe", "iron": "stone_pickaxe", "diamond": "iron_pickaxe"}
FRESH = 8  # steps for which a way is followed before it is looked for again


class Move(NamedTuple):
    """An action, and the way on which it is the first.

    Attributes:
        action: one of Crafter's words.
        way: the cells that lead to where it is done; empty where that is here.
        use: what is done there; empty for nothing.
    """

    action: str
    way: tuple[Cell, ...] = ()
    use: str = ""


class Body:
    """What the player can do now: where it stands and looks, what it holds, and what it remembers.

    Attributes:
        map: what is remembered.
        facing: steps to the east and to the south.
        inventory: vital signs and items.
    """

    def __init__(self) -> None:
        self.map = CrafterMap()
        self.facing: Cell = (0, 1)
        self.inventory: Mapping[str, int] = {}
        self._kept: tuple[str, list[Cell], int] = ("", [], 0)
        self._aim: Cell | None = None

    @property
    def ahead(self) -> Cell:
        """The cell that is faced."""
        return self.map.here[0] + self.facing[0], self.map.here[1] + self.facing[1]

    def has(self, item: str) -> int:
        """How many are held."""
        return self.inventory.get(item, 0)

    def can_break(self, kind: str | None) -> bool:
        """Whether a cell of this kind can be taken away, and leaves ground to walk on."""
        return kind == "tree" or (kind is not None and kind in NEEDS and self.has(NEEDS[kind]) > 0)

    def costs(self) -> dict[str, int]:
        """Steps into cells. What is broken takes a blow more, a tree also what it is worth; water is bridged: a stone that is placed,
        broken again and walked over. Lava never."""
        costs = dict.fromkeys(sorted(FREE), 1) | {"tree": 3}
        costs |= {kind: 2 for kind in NEEDS if self.can_break(kind)}
        if self.has("wood_pickaxe") and self.has("stone"):
            costs["water"] = 4
        return costs

    def way(self, name: str, goal: Callable[[Cell], bool], limit: int = 300) -> list[Cell] | None:
        """The cheapest way to a goal. One of the same name is followed for some steps, as long as nothing has come in between.

        Args:
            name: of the goal.
            goal, limit: see `CrafterMap.route`.
        """
        kept, way, left = self._kept
        costs = self.costs()
        if kept == name and left > 0 and way:
            if way[0] == self.map.here:
                way = way[1:]
            if way and way[0] in beside(self.map.here) and goal(way[-1]) and self._clear(way, costs):
                self._kept = (name, way, left - 1)
                return way
        found = self.map.route(costs, goal, limit)
        self._kept = (name, found or [], FRESH)
        return found

    def _clear(self, way: list[Cell], costs: Mapping[str, int]) -> bool:
        return all(self.map.kinds.get(cell) in costs and cell not in self.map.creatures for cell in way[:-1])

    def follow(self, way: list[Cell], use: str = "Do") -> Move:
        """The next action on a way whose last cell is used from the cell before."""
        if len(way) == 1 and way[0] == self.ahead:
            return Move(use, (), use)
        return Move(self._toward(way[0]), tuple(way), use)

    def walk(self, way: list[Cell]) -> Move:
        """The next action on a way whose last cell is to be stood in."""
        return Move(self._toward(way[0]), tuple(way))

    def _toward(self, cell: Cell) -> str:
        """Into a cell beside this one, or what has to be done before: turn to it, hit it, break it, bridge it."""
        here = self.map.here
        word = WORDS[(cell[0] - here[0], cell[1] - here[1])]
        kind, creature = self.map.kinds.get(cell), self.map.creatures.get(cell)
        if kind == "lava":
            return "Noop"
        if cell != self.ahead:
            return word
        if creature is not None:
            return "Do" if creature in PREY else "Noop"
        if kind in FREE:
            return word
        return "Place Stone" if kind == "water" else "Do"

    def gather(self, kind: str, limit: int = 300) -> Move | None:
        """Go to the nearest cell of this kind, and take it."""
        map_ = self.map
        way = self.way(kind, lambda cell: map_.kinds.get(cell) == kind and cell != map_.here and cell not in map_.walls, limit)
        return None if way is None else self.follow(way)

    def scratch(self) -> Move | None:
        """Look for a sapling: in the grass ahead, or on the way to other grass."""
        return Move("Do", (), "Do") if self._ahead_is("grass") else self._walk_to("grass")

    def plant(self) -> Move | None:
        """Place a sapling on the grass ahead, or go to other grass."""
        return Move("Place Plant", (), "Place Plant") if self._ahead_is("grass") else self._walk_to("grass")

    def _ahead_is(self, kind: str) -> bool:
        return self.map.kinds.get(self.ahead) == kind and self.ahead not in self.map.creatures

    def _walk_to(self, kind: str) -> Move | None:
        way = self.way(f"into {kind}", lambda cell: cell != self.map.here and self.map.kinds.get(cell) == kind)
        return None if not way else self.walk(way)

    def hunt(self, creature: str, limit: int = 300) -> Move | None:
        """Go to the nearest creature of this name in sight, or to where a cow was seen, and hit it."""
        found = {cell for cell, name in self.map.creatures.items() if name == creature}
        goals = found or (self.map.cows if creature == "cow" else found)
        if not goals:
            return None
        self._kept = ("", [], 0)  # it moves
        way = self.way(creature, lambda cell: cell in goals and cell != self.map.here, limit)
        return None if not way else self.follow(way)

    def put(self, action: str) -> Move:
        """Place something in front, after having made room for it or turned to where there is some."""
        if self.map.is_open(self.ahead) and self.ahead not in self.map.creatures:
            return Move(action, (), action)
        if self.can_break(self.map.kinds.get(self.ahead)):
            return Move("Do", (), action)
        around = sorted(beside(self.map.here), key=lambda cell: (not self.map.is_open(cell), not self.can_break(self.map.kinds.get(cell))))
        return Move(self._toward(around[0]), (), action)

    def beside_all(self, kinds: tuple[str, ...], limit: int) -> list[Cell] | None:
        """The way to a cell with all of these in the 3 by 3 cells around it."""
        wanted = [cell for cell, kind in self.map.kinds.items() if kind == kinds[0]]
        if not wanted:
            return None

        def goal(cell: Cell) -> bool:
            close = any(abs(cell[0] - x) <= 1 and abs(cell[1] - y) <= 1 for x, y in wanted)
            return close and all(self.map.near(kind, cell) for kind in kinds) and self.map.kinds.get(cell) in self.standing()

        return self.way(" and ".join(kinds), goal, limit)

    def standing(self) -> frozenset[str]:
        """Kinds of cells in which one can stand, some of them after having broken what is there."""
        return FREE | {kind for kind in ("tree", *NEEDS) if self.can_break(kind)}

    def explore(self, liked: frozenset[str]) -> Move | None:
        """Go where something new will be seen, rather among these kinds of cells than elsewhere."""
        kept = self._aim
        if kept is not None and kept != self.map.here and self.map.is_frontier(kept):
            way = self.way(f"toward {kept}", lambda cell: cell == kept)
            if way:
                return self.walk(way)

        def liking(cell: Cell) -> float:
            return 2.0 * self.map.unknown(cell) + 8.0 * any(self.map.kinds.get(other) in liked for other in (cell, *beside(cell)))

        way = self.map.frontier(self.costs(), liking, 24.0)
        self._aim = way[-1] if way else None
        return None if not way else self.walk(way)

    def turn_to(self, goals: set[Cell], allowed: Callable[[Cell], bool], limit: int = 400) -> str | None:
        """The first action after which, in the end, one of these free cells is faced from beside it; empty where it is now.

        To face a free cell one has to come from behind: a move toward it from elsewhere walks into it.

        Args:
            goals: the cells.
            allowed: whether a free cell may be walked over.
            limit: of the positions that are looked at.
        """
        start = self.map.here, self.facing
        first: dict[tuple[Cell, Cell], str] = {start: ""}
        queue = deque([start])
        while queue and len(first) < limit:
            cell, facing = queue.popleft()
            if (cell[0] + facing[0], cell[1] + facing[1]) in goals:
                return first[cell, facing]
            for word, way in WAYS.items():
                other = cell[0] + way[0], cell[1] + way[1]
                kind = self.map.kinds.get(other)
                if kind is None or kind == "lava":
                    continue
                walks = kind in FREE and other not in self.map.creatures
                if walks and not allowed(other):
                    continue
                state = (other if walks else cell), way
                if state not in first:
                    first[state] = first[cell, facing] or word
                    queue.append(state)
        return None

    def fence(self, cell: Cell) -> Move | None:
        """Place stones around a cell until nothing can walk beside it; None where that is so, or cannot be done."""
        around = {other for other in beside(cell) if self.map.is_open(other)}
        if not around or not self.has("stone"):
            return None
        word = self.turn_to({other for other in around if other not in self.map.creatures}, lambda other: other != cell)
        return None if word is None else Move(word or "Place Stone", (), "Place Stone")
