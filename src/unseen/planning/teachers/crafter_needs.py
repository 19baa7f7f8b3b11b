"""What a player of Crafter cannot do without: drink, food, sleep, and a place to hide while there are too many zombies."""

from __future__ import annotations

from unseen.planning.teachers.crafter_errands import Errands, Wish, wished
from unseen.planning.teachers.crafter_garden import Garden

LOW = {"drink": 3, "food": 4, "energy": 3}  # when to do something about it
ENOUGH = {"drink": 9, "food": 7, "energy": 8, "health": 7}  # and when to stop
FADES = 0.98  # of the memory of zombies, a step
BESET = 1.5  # zombies, in memory, from which on the grass is no place to be


class Needs:
    """Holds on to one need until there is enough."""

    def __init__(self, errands: Errands, garden: Garden):
        self._errands, self._garden, self._body = errands, garden, errands.body
        self._need = ""
        self._threat = 0.0  # zombies are many at night, which nothing else tells

    def feel(self) -> None:
        """Choose what is needed now, if anything."""
        has, zombies = self._body.has, sum(creature == "zombie" for creature in self._body.map.creatures.values())
        self._threat = max(FADES * self._threat, zombies)
        provisions = min(has("food"), has("drink"))
        if self._need == "health":
            over = provisions <= 1 or (has("health") >= ENOUGH["health"] and self._threat <= BESET)
        else:
            over = bool(self._need) and has(self._need) >= ENOUGH[self._need]
        if over:
            self._need = ""
        low = [name for name in LOW if has(name) <= LOW[name]]
        perilous = has("health") <= 4 or zombies >= 3 or (zombies == 2 and has("health") <= 6)
        if self._threat >= BESET and has("stone") >= 2 and has("energy") <= 6 and provisions > 2:
            self._need = "energy"
        elif perilous and provisions > 1 and has("stone") >= 2:
            self._need = "health"
        elif low and self._need != "health":
            urgent = min(low, key=has)
            if not self._need or has(urgent) < has(self._need) - 1:
                self._need = urgent

    def wish(self) -> Wish | None:
        """What is done about it."""
        errands, body = self._errands, self._body
        match self._need:
            case "drink":
                return wished("drink", body.gather("water")) or errands.find("water")
            case "food":
                return self._garden.eat() or wished("eat cow", body.hunt("cow")) or errands.find("cow")
            case "energy":
                return errands.safe("sleep", "Sleep")
            case "health" if body.has("stone"):
                return errands.rest()
            case _:
                return None

    def at_hand(self, hungry: bool) -> Wish | None:
        """Drink and eat before it is needed, where that is near.

        Args:
            hungry: whether to eat in any case.
        """
        has, body = self._body.has, self._body
        if has("drink") <= 6:
            wish = wished("drink", body.gather("water", 6 if has("drink") > 5 else 10))
            if wish is not None:
                return wish
        if has("food") <= 6 or hungry:
            return wished("eat cow", body.hunt("cow", 12 if has("food") > 5 else 20))
        return None
