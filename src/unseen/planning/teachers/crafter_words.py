"""A subgoal of Crafter in plain sentences, in styles that tell more or less of it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from unseen.planning.teachers.crafter_errands import Wish
from unseen.planning.teachers.crafter_map import WORDS, Cell
from unseen.planning.teachers.crafter_moves import Body, Move

WHY: Mapping[str, str] = {
    "drink": "drink is running low",
    "eat cow": "food keeps me alive",
    "sleep": "energy is low",
    "rest": "wounds heal while nothing can reach me",
    "build a shelter": "I must be safe from zombies while I sleep or rest",
    "collect wood": "tables and tools are made of wood",
    "place table": "tools are made at a table",
    "make wood pickaxe": "stone and coal need it",
    "make wood sword": "creatures fall faster to it",
    "collect sapling": "a sapling in the ground is worth something, and may feed me later",
    "place plant": "a sapling is worth more in the ground",
    "find another sapling": "with stones around it a plant can ripen",
    "plant a sapling to eat": "with stones around it a plant can ripen",
    "fence the sapling": "cows and zombies would trample it",
    "eat plant": "it should be ripe",
    "go back to the sapling": "it grows only while I am near",
    "collect stone": "stone makes better tools, a furnace and walls",
    "place stone": "stones can block and bridge",
    "make stone pickaxe": "iron needs it",
    "make stone sword": "skeletons fall to one blow of it",
    "place furnace": "iron is worked at a furnace",
    "collect coal": "iron tools take coal",
    "collect iron": "iron tools take iron",
    "make iron pickaxe": "diamonds need it",
    "make iron sword": "it is the best weapon",
    "collect diamond": "it is the rarest find",
    "defeat zombie": "I am armed and well enough to fight it",
    "defeat skeleton": "I am armed and well enough to fight it",
    "go to the table": "tools are made beside it",
    "go to the furnace": "iron is worked beside it",
    "go to the table and furnace": "iron tools are made beside both",
    "find tree": "I need wood and see no tree",
    "find water": "I must drink and know of no water",
    "find cow": "I must eat and know of no cow",
    "find stone": "I need stone and know of none",
    "find coal": "iron tools take coal and I know of none",
    "find iron": "iron tools take iron and I know of none",
    "find diamond": "only a diamond is missing of what lies in the ground",
    "find skeleton": "I have not defeated one yet, and they live in dark tunnels",
    "find zombie": "I have not defeated one yet, and they roam the grass",
    "wait": "there is nothing better to do now",
    "fight": "something attacks me",
}
STAGES = {  # by an item that ends it
    "wood_sword": "wood tools",
    "stone_sword": "stone tools and a furnace",
    "iron_sword": "coal and iron for iron tools",
    "diamond": "a diamond",
}
VITAL = frozenset({"drink", "eat cow", "sleep", "rest", "build a shelter", "find water", "find cow", "fight"})


class Facts(NamedTuple):
    """What a plan may speak of.

    Attributes:
        wish: the subgoal and what is done about it.
        body: the player.
        ahead: milestones after this subgoal.
        pick: draws one of several wordings.
    """

    wish: Wish
    body: Body
    ahead: Sequence[str]
    pick: Callable[[Sequence[str]], str]

    @property
    def direction(self) -> str:
        """Where the way leads, as in "to the north-east, 7 steps away"; empty where it is done here."""
        way = self.wish.move.way
        if not way:
            return ""
        here = self.body.map.here
        steps = len(way)
        return f"to the {compass(here, way[-1])}, {steps} step{'s' if steps > 1 else ''} away"


def compass(here: Cell, there: Cell) -> str:
    """The direction from one cell to another, of eight; the longer part alone where it is more than three times the other."""
    east, south = there[0] - here[0], there[1] - here[1]
    parts = ["north" if south < 0 else "south"] * (3 * abs(south) >= abs(east) and south != 0)
    parts += ["west" if east < 0 else "east"] * (3 * abs(east) >= abs(south) and east != 0)
    return "-".join(parts)


def _strategy(facts: Facts) -> str:
    """The long run, and where in it this subgoal stands."""
    subgoal = facts.wish.subgoal
    stages = [name for item, name in STAGES.items() if not facts.body.has(item)]
    whole = ", then ".join(stages) if stages else "stay alive and do what is left"
    after = f", then {' and '.join(facts.ahead)}" if facts.ahead else ""
    opening = facts.pick(("Overall strategy", "The long plan", "My strategy"))
    if subgoal in VITAL or subgoal.startswith("find "):
        return f"{opening}: {whole}. For now {subgoal}, because {WHY[subgoal]}{after}."
    return f"{opening}: {whole}. The next stage is to {subgoal}{after}. Keep food, drink and energy above 3 and stay away from lava."


def _reasons(facts: Facts) -> str:
    """The subgoal, why, the next two, and the direction."""
    subgoal, where = facts.wish.subgoal, facts.direction
    opening = facts.pick(("Subgoal", "Current subgoal", "Now"))
    after = f" After that: {', '.join(facts.ahead)}." if facts.ahead else " After that: stay alive."
    return f"{opening}: {subgoal}, because {WHY[subgoal]}.{after}{f' Go {where}.' if where else ' It is done right here.'}"


def _steps(facts: Facts) -> str:
    """The next actions one after the other."""
    subgoal = facts.wish.subgoal
    parts = ", ".join(_runs(facts.body, facts.wish.move))
    return f"{facts.pick(('Next steps', 'Steps', 'In detail'))} to {subgoal}: {parts}."


def _terse(facts: Facts) -> str:
    """The subgoal, and the direction in a word."""
    way = facts.wish.move.way
    return f"{facts.wish.subgoal.capitalize()}, {compass(facts.body.map.here, way[-1])}." if way else f"{facts.wish.subgoal.capitalize()}."


STYLES: Mapping[str, Callable[[Facts], str]] = {"strategy": _strategy, "reasons": _reasons, "steps": _steps, "terse": _terse}


def _runs(body: Body, move: Move, most: int = 4) -> list[str]:
    """A way as runs in one direction and what is done at its end, as in "3 steps west", "face south", "Do"."""
    if not move.way:
        return [move.action]
    cells = (body.map.here, *move.way)
    words = [WORDS[(b[0] - a[0], b[1] - a[1])].split()[1].lower() for a, b in itertools.pairwise(cells)]
    end = [f"face {words.pop()}", move.use] if move.use else []  # the last cell is not entered
    runs = [(word, len(list(group))) for word, group in itertools.groupby(words)]
    told = [f"{count} step{'s' if count > 1 else ''} {word}" for word, count in runs[:most]]
    return [*told, "onward in that manner"] if len(runs) > most else [*told, *end]


def worded(style: str, wish: Wish, body: Body, ahead: Sequence[str], generator: np.random.Generator) -> str:
    """A plan in words.

    Args:
        style: a key of `STYLES`.
        wish: the subgoal and what is done about it.
        body: the player.
        ahead: milestones after this subgoal.
        generator: of the choice between wordings.
    """
    return STYLES[style](Facts(wish, body, ahead, lambda words: words[int(generator.integers(len(words)))]))


def decoy(wish: Wish, body: Body, generator: np.random.Generator) -> Wish:
    """Another subgoal than this one, and a way that leads elsewhere: a wrong plan."""
    others = [name for name in WHY if name != wish.subgoal]
    here = body.map.here
    (dx, dy), steps = list(WORDS)[int(generator.integers(4))], int(generator.integers(2, 9))
    way = tuple((here[0] + dx * k, here[1] + dy * k) for k in range(1, steps + 1))
    return Wish(others[int(generator.integers(len(others)))], Move("Noop", way, "Do"))
