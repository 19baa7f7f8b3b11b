"""Where a player of Crafter is safe: a place of two or four cells, closed with stones from inside."""

from __future__ import annotations

from unseen.planning.teachers.crafter_map import FREE, Cell, beside, steps_between
from unseen.planning.teachers.crafter_moves import FRESH, Body, Move


class Shelter:
    """Finds such a place, goes there and closes it.

    Attributes:
        body: who seeks it.
    """

    def __init__(self, body: Body):
        self.body = body
        self._den: frozenset[Cell] = frozenset()
        self._looked = 0  # steps in want of a den since one was chosen

    def enter(self) -> Move | None:
        """Toward a place of two or four cells that nothing can walk into; in it, an empty action. None where there is no such place.

        Stones close it from inside: whoever stands in a pair of cells can face out at both ends, in two by two cells everywhere.
        """
        here = self.body.map.here
        self._looked += 1
        if self._gaps(self._den) is None or (here not in self._den and self._looked > FRESH):
            self._den, self._looked = self._nearest_den(), 0
        den = self._den
        if not den:
            return None
        if here not in den:
            way = self.body.way("den", lambda cell: cell in den and cell != here)
            return None if not way else self.body.walk(way)
        solid = {cell for cell in den if not self.body.map.is_open(cell)}
        gaps = self._gaps(den) or set()
        for cells, action in ((solid, "Do"), (gaps, "Place Stone")):
            if cells:
                word = self.body.turn_to(cells, lambda cell: cell in den)
                if word is None:
                    if any(cell in self.body.map.creatures for cell in den):
                        return Move("Noop")  # until it goes away, or comes near enough to be hit
                    self._den = frozenset()
                    return None
                if not word and self.body.ahead in self.body.map.creatures:
                    return Move("Do", (), "Do")  # a cow stands there, or worse
                return Move(word or action, (), action)
        return Move("")

    def _gaps(self, den: frozenset[Cell]) -> set[Cell] | None:
        """Cells around a den that need a stone; None where it is none, or cannot be closed with the stones there are."""
        if not den:
            return None
        solid = 0
        for cell in den:
            kind = self.body.map.kinds.get(cell)
            if kind not in FREE:
                if cell in self.body.map.walls or not self.body.can_break(kind):
                    return None
                solid += kind == "stone"
        gaps: set[Cell] = set()
        for cell in den:
            for other in beside(cell):
                if other in den:
                    continue
                kind = self.body.map.kinds.get(other, "lava")
                if kind == "lava":
                    return None
                if kind in FREE:
                    if (2 * cell[0] - other[0], 2 * cell[1] - other[1]) not in den:
                        return None  # nowhere to come from, to face it
                    gaps.add(other)
        return gaps if len(gaps) <= self.body.has("stone") + solid else None

    def _nearest_den(self, within: int = 9) -> frozenset[Cell]:
        """That with the least to walk, to break and to close."""
        found: list[tuple[float, int, frozenset[Cell]]] = []
        (x0, y0), standing = self.body.map.here, self.body.standing()
        for x in range(x0 - within, x0 + within + 1):
            for y in range(y0 - within, y0 + within + 1):
                if self.body.map.kinds.get((x, y)) not in standing:
                    continue
                for columns, rows in ((2, 1), (1, 2), (2, 2)):
                    den = frozenset((x + dx, y + dy) for dx in range(columns) for dy in range(rows))
                    gaps = self._gaps(den)
                    if gaps is not None:
                        solid = sum(not self.body.map.is_open(cell) for cell in den)
                        walk = min(steps_between(self.body.map.here, cell) for cell in den)
                        found.append((1.5 * walk + 2 * solid + 3 * len(gaps), len(found), den))
        for _, _, den in sorted(found)[:3]:
            if self.body.map.route(self.body.costs(), lambda cell, den=den: cell in den, limit=40) is not None:
                return den
        return frozenset()
