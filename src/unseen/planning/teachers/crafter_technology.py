"""Crafter's technology tree as a player climbs it: what is still to be made, and what that takes."""

from __future__ import annotations

from collections.abc import Mapping

from unseen.planning.teachers.crafter_errands import Errands, Wish, wished
from unseen.planning.teachers.crafter_moves import Move

TABLE, FURNACE = 2, 4  # wood and stone that they take
NEAR = 25  # cost of the way to a table or a furnace from which on another is built


class Technology:
    """Each step of the tree gives what is wanted and done, or None where it is done."""

    def __init__(self, errands: Errands):
        self._errands, self._body = errands, errands.body

    def made(self, material: str) -> int:
        """How many of the two tools of a material are held."""
        return sum(self._body.has(f"{material}_{tool}") > 0 for tool in ("pickaxe", "sword"))

    def tools(self, material: str, uses: Mapping[str, int], bench: tuple[str, ...] = ("table",)) -> Wish | None:
        """A pickaxe and then a sword.

        Args:
            material: of the tools.
            uses: items that one of them takes beside a wood.
            bench: what it is made beside.
        """
        body, has = self._body, self._body.has
        missing = [tool for tool in ("pickaxe", "sword") if not has(f"{material}_{tool}")]
        if not missing:
            return None
        way = body.beside_all(bench, NEAR)
        wood = 1 if way is not None and material == "iron" else len(missing)
        if way is None:
            wood += TABLE * (body.beside_all(("table",), NEAR) is None)
        if has("wood") < wood:
            return self._errands.fetch("wood", "tree")
        for item, count in uses.items():
            if has(item) < count:
                return self._errands.fetch(item)
        if way is None:
            return self._build(bench)
        if way:
            return Wish(f"go to the {' and '.join(bench)}", body.walk(way))
        return Wish(f"make {material} {missing[0]}", Move(f"Make {material.title()} {missing[0].title()}"))

    def _build(self, bench: tuple[str, ...]) -> Wish | None:
        """Place what is missing of a table and a furnace, the second beside the first."""
        body = self._body
        way = body.beside_all(("table",), NEAR)
        if way is None:
            return Wish("place table", body.put("Place Table"))
        if way:
            return Wish("go to the table", body.walk(way))
        if body.has("stone") < FURNACE:
            return self._errands.fetch("stone")
        return Wish("place furnace", body.put("Place Furnace"))

    def stone(self, placed: bool) -> Wish | None:
        """A few stones, and one of them placed.

        Args:
            placed: whether one has been.
        """
        if not placed and self._body.has("stone"):
            return Wish("place stone", self._body.put("Place Stone"))
        return None if self._body.has("stone") >= 2 - self.made("stone") else self._errands.fetch("stone")

    def furnace(self) -> Wish | None:
        """Beside a table where there is one near."""
        if self._body.has("stone") < FURNACE + 1:
            return self._errands.fetch("stone")
        if self._body.beside_all(("table",), NEAR):
            return self._build(("table", "furnace"))
        return Wish("place furnace", self._body.put("Place Furnace"))

    def iron(self) -> Wish | None:
        """Coal and iron, in the order in which they are found, and the tools."""
        if self.made("iron") == 2:
            return None
        missing = [item for item in ("coal", "iron") if not self._body.has(item)]
        if not missing:
            return self.tools("iron", {}, ("table", "furnace"))
        for item in missing:
            known = wished(f"collect {item}", self._body.gather(item))
            if known is not None:
                return known
        return self._errands.find(missing[-1])  # where there is iron, coal is seldom far

    def ores_at_hand(self) -> Wish | None:
        """What is near and will be needed."""
        more = 2 - self.made("iron")
        for item, count in (("diamond", 1), ("iron", more), ("coal", more)):
            wish = self._errands.stock(item, count, 8)
            if wish is not None:
                return wish
        return None
