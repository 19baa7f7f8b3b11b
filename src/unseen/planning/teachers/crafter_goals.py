"""What a player of Crafter wants next: its needs first, then what is at hand, then the next thing of the technology tree."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

from unseen.planning.teachers.crafter_errands import Errands, Wish, wished
from unseen.planning.teachers.crafter_garden import Garden
from unseen.planning.teachers.crafter_map import WAYS, WORDS, beside
from unseen.planning.teachers.crafter_moves import Body, Move
from unseen.planning.teachers.crafter_needs import Needs
from unseen.planning.teachers.crafter_technology import Technology

MILESTONES = (  # in the order in which they are gone for
    "collect wood",
    "place table",
    "make wood pickaxe",
    "make wood sword",
    "collect sapling",
    "place plant",
    "collect stone",
    "place stone",
    "make stone pickaxe",
    "make stone sword",
    "place furnace",
    "collect coal",
    "collect iron",
    "make iron pickaxe",
    "make iron sword",
    "collect diamond",
    "defeat skeleton",
    "defeat zombie",
    "eat plant",
    "wake up",
)
TOOLS = tuple(f"{material} {tool}" for material in ("wood", "stone", "iron") for tool in ("pickaxe", "sword"))
ITEMS = ("sapling", "wood", "stone", "coal", "iron", "diamond")
BRAVE = 5  # health from which on a fight is sought


class Machine:
    """Chooses, at every step, one subgoal and the action for it.

    Attributes:
        body: what it knows of itself and the world.
        done: achievements, as far as it knows.
    """

    def __init__(self) -> None:
        self.body = Body()
        self.done: set[str] = set()
        self._errands = Errands(self.body)
        self._garden = Garden(self._errands)
        self._needs = Needs(self._errands, self._garden)
        self._technology = Technology(self._errands)
        self._subgoal = ""

    def learn(self, events: Collection[str], last: str, before: Mapping[str, int]) -> None:
        """Note what has been achieved.

        Args:
            events: of the last step.
            last: the action of that step.
            before: what was held before it.
        """
        body = self.body
        self.done |= {event.removeprefix("unlocked ") for event in events if event.startswith("unlocked ")}
        self.done |= {f"collect {item}" for item in ITEMS if body.has(item)}
        self.done |= {f"make {tool}" for tool in TOOLS if body.has(tool.replace(" ", "_"))}
        if last == "Place Stone" and body.has("stone") < before.get("stone", 0):
            self.done.add("place stone")
        for kind in ("table", "furnace", "plant"):
            if last == f"Place {kind.title()}" and body.map.kinds.get(body.ahead) == kind:
                self.done.add(f"place {kind}")
        self._garden.learn(events, last, before)

    def next_milestones(self, count: int) -> list[str]:
        """The first that are not done, but for the subgoal of now."""
        return [name for name in MILESTONES if name not in self.done and name != self._subgoal][:count]

    def decide(self, asleep: bool) -> Wish:
        """What to do now.

        Args:
            asleep: whether it sleeps, and nothing that is done has an effect.
        """
        self._needs.feel()
        reflex = None if asleep else self._blow() or self._dodge()
        if reflex is not None:
            return Wish(self._subgoal or "fight", reflex)  # it interrupts nothing
        wish = Wish("sleep", Move("Sleep")) if asleep else next(filter(None, (rule() for rule in self._rules())), None)
        wish = wish or Wish("wait", Move("Noop"))
        self._subgoal = wish.subgoal
        return wish

    def _rules(self) -> Iterator[Callable[[], Wish | None]]:
        """What is asked one after the other, until one has an answer."""
        done, errands, technology = self.done, self._errands, self._technology
        yield self._needs.wish
        yield lambda: self._needs.at_hand(hungry="eat cow" not in done)
        yield technology.ores_at_hand
        yield lambda: self._hunt("zombie", "wood_sword") or self._hunt("skeleton", "stone_sword")
        yield lambda: technology.tools("wood", {})
        if "place plant" not in done:
            yield lambda: self._garden.sow("collect sapling", "place plant")
        if technology.made("iron") < 2:
            yield lambda: errands.stock("wood", 5, 10, "tree")
        yield lambda: technology.stone("place stone" in done)
        yield lambda: technology.tools("stone", {"stone": 1})
        if "place furnace" not in done:
            yield technology.furnace
        yield lambda: errands.stock("stone", 6, 12) or errands.stock("stone", 9, 3)
        if "eat plant" not in done:
            yield self._garden.tend
        yield technology.iron
        if "collect diamond" not in done and self.body.has("iron_pickaxe"):
            yield lambda: errands.fetch("diamond")
        yield lambda: self._seek("skeleton") or self._seek("zombie")
        if "eat plant" not in done:
            yield self._garden.stay
        yield errands.rest

    def _blow(self) -> Move | None:
        """Against whatever could hit from beside."""
        map_ = self.body.map
        near = [cell for cell in beside(map_.here) if map_.creatures.get(cell) in ("zombie", "skeleton")]
        if not near:
            return None
        near.sort(key=lambda cell: (cell != self.body.ahead, map_.creatures[cell] != "zombie"))
        return self.body.follow([near[0]])

    def _dodge(self) -> Move | None:
        """Out of the line of an arrow that may hit in the next step or the one after."""
        map_ = self.body.map
        (x, y), blocked = map_.here, map_.creatures
        for dx, dy in WAYS.values():
            near, next_ = (x + dx, y + dy), (x + 2 * dx, y + 2 * dy)
            if blocked.get(near) == "arrow" or (blocked.get(next_) == "arrow" and map_.is_open(near) and near not in blocked):
                for side in ((dy, dx), (-dy, -dx)):
                    cell = x + side[0], y + side[1]
                    if map_.is_open(cell) and cell not in blocked:
                        return Move(WORDS[side], (cell,))
        return None

    def _hunt(self, creature: str, sword: str) -> Wish | None:
        """Fight one that is near, the first time and with patience."""
        has, hunt = self.body.has, f"hunt {creature}"
        if f"defeat {creature}" in self.done or not has(sword) or has("health") < BRAVE or not self._errands.may_try(hunt):
            return None
        wish = wished(f"defeat {creature}", self.body.hunt(creature, 9))
        if wish is not None:
            self._errands.tries(hunt)
        return wish

    def _seek(self, creature: str) -> Wish | None:
        """Fight one wherever it is."""
        if f"defeat {creature}" in self.done or self.body.has("health") < BRAVE:
            return None
        return wished(f"defeat {creature}", self.body.hunt(creature)) or self._errands.find(creature)
