"""What a player of Crafter can set out to do: fetch a thing, look for it, be safe; and how often it has tried."""

from __future__ import annotations

from typing import NamedTuple

from unseen.planning.teachers.crafter_moves import Body, Move
from unseen.planning.teachers.crafter_shelter import Shelter

MEADOW, ROCK = frozenset({"grass"}), frozenset({"stone", "path", "coal", "iron", "lava", "diamond"})
AMONG = {"tree": MEADOW | {"tree"}, "cow": MEADOW, "zombie": MEADOW, "water": frozenset({"water", "sand", "grass"})}  # else: rock
PATIENCE = 60  # steps of a hunt, or of looking for a sapling


class Wish(NamedTuple):
    """What is wanted, and what is done about it now.

    Attributes:
        subgoal: what is wanted, in a few words.
        move: what is done.
    """

    subgoal: str
    move: Move


def wished(subgoal: str, move: Move | None) -> Wish | None:
    """A wish, where there is a way to do something about it."""
    return None if move is None else Wish(subgoal, move)


class Errands:
    """Each gives what is wanted and done, or None where it cannot be done.

    Attributes:
        body: who does them.
    """

    def __init__(self, body: Body):
        self.body = body
        self._shelter = Shelter(body)
        self._tried: dict[str, int] = {}

    def fetch(self, item: str, kind: str | None = None) -> Wish | None:
        """Take a thing from the nearest cell of a kind that is named as the thing, or otherwise; look for one where none is known."""
        kind = kind or item
        return wished(f"collect {item}", self.body.gather(kind)) or self.find(kind)

    def stock(self, item: str, count: int, limit: int, kind: str | None = None) -> Wish | None:
        """Take more than is needed now, while it is near.

        Args:
            item, kind: see `fetch`.
            count: that is enough.
            limit: of the cost of the way.
        """
        kind = kind or item
        if self.body.has(item) >= count or not self.body.can_break(kind):
            return None
        return wished(f"collect {item}", self.body.gather(kind, limit))

    def find(self, kind: str) -> Wish | None:
        """Look for a thing, a creature or a kind of cell."""
        return wished(f"find {kind}", self.body.explore(AMONG.get(kind, ROCK)))

    def safe(self, subgoal: str, action: str) -> Wish | None:
        """Do something where nothing can walk up; where there are no stones for that, fetch some."""
        body = self.body
        move = self._shelter.enter()
        if move is not None:
            return Wish("build a shelter", move) if move.action else Wish(subgoal, Move(action))
        if body.has("wood_pickaxe") and body.has("stone") < 8:
            stones = wished("collect stone", body.gather("stone", 40))
            if stones is not None:
                return stones
        danger = any(creature in ("zombie", "skeleton") for creature in body.map.creatures.values())
        return None if danger or body.has("energy") > 1 else Wish("sleep", Move("Sleep"))

    def rest(self) -> Wish | None:
        """Until wounds have healed; asleep where tired, since they heal twice as fast."""
        return self.safe("rest", "Sleep" if self.body.has("energy") < 9 else "Noop")

    def may_try(self, what: str) -> bool:
        """Whether patience with this is not at its end."""
        return self._tried.get(what, 0) < PATIENCE

    def tries(self, what: str) -> None:
        """Count a step that was spent on it."""
        self._tried[what] = self._tried.get(what, 0) + 1
