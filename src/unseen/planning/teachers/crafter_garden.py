"""Saplings of a player of Crafter: the first for what it is worth, another behind stones until it can be eaten."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from unseen.planning.teachers.crafter_errands import Errands, Wish, wished
from unseen.planning.teachers.crafter_map import Cell, beside, steps_between

RIPE = 310  # steps of a sapling nearby, a few more than it takes
AGAIN = 15  # steps until a plant that should have been ripe, and was not, is tried again
FAR = 18  # steps from a sapling beyond which it does not grow
STONES = 5  # to close a garden, and one to spare


class Garden:
    """Knows where it has planted, and for how long it has been near enough for it to grow: how ripe a plant is cannot be seen."""

    def __init__(self, errands: Errands):
        self._errands, self._body = errands, errands.body
        self._grown: dict[Cell, int] = {}
        self._fenced: set[Cell] = set()

    def learn(self, events: Collection[str], last: str, before: Mapping[str, int]) -> None:
        """Note what became of plants.

        Args:
            events: of the last step.
            last: the action of that step.
            before: what was held before it.
        """
        map_, ahead = self._body.map, self._body.ahead
        if last == "Place Plant" and map_.kinds.get(ahead) == "plant":
            self._grown.setdefault(ahead, 0)
        if last == "Do" and self._grown.get(ahead, 0) >= RIPE:
            eaten = self._body.has("food") > before.get("food", 0) or "unlocked eat plant" in events
            self._grown[ahead] = 0 if eaten else RIPE - AGAIN
        for cell in list(self._grown):
            if map_.kinds.get(cell) != "plant":
                del self._grown[cell]  # an animal ate it
                self._fenced.discard(cell)
            else:
                self._grown[cell] += steps_between(cell, map_.here) < FAR
        growing = [cell for cell, grown in self._grown.items() if grown < RIPE]
        map_.walls = {other for cell in growing for other in beside(cell) if map_.kinds.get(other) == "stone"}

    def sow(self, collect: str, place: str) -> Wish | None:
        """Look for a sapling in the grass, then plant it.

        Args:
            collect, place: what the two are called.
        """
        body, errands = self._body, self._errands
        if body.has("sapling"):
            return wished(place, body.plant())
        if not errands.may_try(collect):
            return None
        wish = wished(collect, body.scratch())
        if wish is not None and wish.move.action == "Do":
            errands.tries(collect)
        return wish

    def tend(self) -> Wish | None:
        """Have one plant with stones around it, and eat it when it is ripe."""
        body, errands = self._body, self._errands
        ripe = self.eat()
        if ripe is not None:
            return ripe
        for cell in self._grown:
            if cell not in self._fenced and steps_between(cell, body.map.here) <= 12 and errands.may_try(f"fence {cell}"):
                errands.tries(f"fence {cell}")
                move = body.fence(cell)
                if move is not None:
                    return Wish("fence the sapling", move)
                if not any(body.map.is_open(other) for other in beside(cell)):
                    self._fenced.add(cell)
        if self._fenced or body.has("stone") < STONES or not errands.may_try("garden"):
            return None
        if not body.has("sapling") and body.way("grass near", lambda cell: body.map.kinds.get(cell) == "grass", 10) is None:
            return None
        errands.tries("garden")
        return self.sow("find another sapling", "plant a sapling to eat")

    def eat(self) -> Wish | None:
        """Go to a plant that should be ripe, and eat it."""
        ripe = [cell for cell, grown in self._grown.items() if grown >= RIPE]
        if not ripe:
            return None
        way = self._body.way("ripe plant", lambda cell: cell in ripe, 60)
        return None if way is None else Wish("eat plant", self._body.follow(way))

    def stay(self) -> Wish | None:
        """Go back to the sapling that has grown most, if it is far."""
        if not self._grown:
            return None
        body, cell = self._body, max(self._grown, key=lambda cell: self._grown[cell])
        if steps_between(cell, body.map.here) <= 6:
            return None
        way = body.way("back to the sapling", lambda other: steps_between(cell, other) <= 5)
        return None if not way else Wish("go back to the sapling", body.walk(way))
