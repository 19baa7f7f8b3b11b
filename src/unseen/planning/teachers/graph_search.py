"""A teacher for graph search: it remembers what it has seen, exhausts one branch after the other, and says where it is going.

The published explorer goes to the nearest unexplored node and would write a new plan on more than half of all steps. This one chooses the
branch behind that node and stays with it until nothing in it is unexplored, so that a plan lasts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from unseen.environments.text.trees import ways
from unseen.errors import UserError, unknown
from unseen.planning.grammar import Written
from unseen.planning.teachers.contract import Lesson

LONGEST = 12  # steps of the longest interval between two plans, and 2 is the shortest: the published range


class Aim(NamedTuple):
    """Where a plan leads.

    Attributes:
        target: whether it is the target; else a node to explore behind.
        goal: the node.
        route: to it, from where the plan was made, both ends included.
        later: nodes that are known and unexplored outside the branch behind the goal, ascending.
        origin: where the plan was made.
        wrong: whether it was made wrong on purpose.
    """

    target: bool
    goal: int
    route: tuple[int, ...]
    later: tuple[int, ...]
    origin: int
    wrong: bool = False


def _terse(aim: Aim) -> str:
    return f"{'target' if aim.target else 'explore'} {aim.goal}"


def _route(aim: Aim) -> str:
    return f"{_terse(aim)} via {' '.join(map(str, aim.route[1:]))}"


def _remember(aim: Aim) -> str:
    return f"{_route(aim)} later {' '.join(map(str, aim.later)) if aim.later else 'none'}"


def _explain(aim: Aim) -> str:
    way = ", then ".join(map(str, aim.route[1:]))
    if aim.target:
        return f"The target {aim.goal} has been seen. I walk to {way}."
    left = f" If it is not there, {', '.join(map(str, aim.later))} remain to be explored." if aim.later else ""
    return f"The target has not been seen. I explore all that lies behind node {aim.goal}: I walk to {way}.{left}"


STYLES = {"terse": _terse, "route": _route, "remember": _remember, "explain": _explain}


@dataclass
class _Seen:
    """What has been seen in an episode: the edges, by node, and the nodes whose every edge has been seen."""

    edges: dict[int, set[int]] = field(default_factory=dict)
    explored: set[int] = field(default_factory=set)

    def look(self, observation: Mapping[str, Any], radius: int) -> None:
        """Take in what is seen from a node: nodes nearer than the radius show all of their edges."""
        for i, j in observation["edge_list"]:
            self.edges.setdefault(int(i), set()).add(int(j))
            self.edges.setdefault(int(j), set()).add(int(i))
        here = int(observation["current_node"])
        self.edges.setdefault(here, set())
        for node, way in self.ways(here).items():
            if len(way) <= radius:  # radius nodes on the way: radius - 1 edges
                self.explored.add(node)

    def ways(self, start: int) -> dict[int, tuple[int, ...]]:
        """The way to every known node, both ends included."""
        return ways(self.edges, start)

    @property
    def frontier(self) -> list[int]:
        """Known nodes that are not explored, ascending."""
        return sorted(self.edges.keys() - self.explored)


class GraphSearchTeacher:
    """Walks to the target once it was seen, and else exhausts the branch behind the nearest unexplored node.

    It plans where it holds no plan, when the target is first seen, when a branch is exhausted, and when an interval has passed.
    """

    def __init__(
        self,
        *,
        mistakes: float = 0.0,
        slips: float = 0.0,
        stale: float = 0.0,
        late: float = 0.0,
        styles: Sequence[str] = tuple(STYLES),
    ):
        """
        Args:
            mistakes: the share of steps with a random legal move.
            slips: the share of steps with the label of a node that is no neighbour, or its own.
            stale: the share of episodes in which plans go wrong: with probability one half a plan names a random known node, is followed
                for one to three steps, and is then replaced.
            late: the share of episodes in which it may write plans every so many steps only, whatever happens; it moves on what it knows
                all the same. From these a student learns to act while the plan that it holds is out of date.
            styles: to draw from.

        Raises:
            UserError: a share that is none, or an unknown style.
        """
        for name, share in (("mistakes", mistakes), ("slips", slips), ("stale", stale), ("late", late)):
            if not 0 <= share <= 1:
                raise UserError(f"{name} = {share} of a teacher must be a share from 0 to 1")
        for style in styles:
            if style not in STYLES:
                raise unknown("style of the graph search teacher", style, STYLES)
        if not styles:
            raise UserError("styles of a teacher: give at least one")
        self._mistakes, self._slips, self._stale, self._late, self._styles = mistakes, slips, stale, late, tuple(styles)

    @property
    def styles(self) -> tuple[str, ...]:
        return self._styles

    def begin(self, generator: np.random.Generator, style: str | None = None, interval: int | None = None) -> None:
        """See `Teacher.begin`.

        Raises:
            UserError: a style that it does not have, or an interval below 0.
        """
        if style is not None and style not in self._styles:
            raise unknown("style of this teacher", style, self._styles)
        if interval is not None and interval < 0:
            raise UserError(f"interval = {interval} of a teacher must be 0 (never) or more")
        self._generator, self._interval = generator, interval
        self._style = STYLES[style or self._styles[int(generator.integers(len(self._styles)))]]
        self._goes_stale = bool(generator.random() < self._stale)
        self._every = int(generator.integers(2, LONGEST + 1)) if generator.random() < self._late else 0  # 0: it may plan at any time
        self._wait = 0
        self._seen, self._aim = _Seen(), None
        self._left = 0  # steps until the interval has passed
        self._wrong = 0  # steps for which the held plan, which is wrong, is followed

    def write(self, environment: Any, events: tuple[str, ...] = ()) -> Lesson:
        """See `Teacher.write`; the episode must have begun."""
        observation = environment.structured()
        here, target = int(observation["current_node"]), int(observation["target_node"])
        self._seen.look(observation, environment.radius)
        reason = self._reason(target)
        if self._every and not reason and self._wait <= 0 and not self._wrong:
            reason = "interval"
        plan = self._replan(here, target, reason) if reason else None
        if self._every and self._wait > 0:  # it goes on as it should, and does not say so
            reason, plan = "withheld" if reason else "", None
        if plan is not None:
            self._wait = self._every
        self._left -= 1
        self._wait -= 1
        wrong = self._wrong > 0
        self._wrong = max(0, self._wrong - 1)
        action = self._move(here)
        if self._generator.random() < self._mistakes:
            action, wrong = int(self._generator.choice(sorted(self._seen.edges[here]))), True
        if self._generator.random() < self._slips:
            labels = range(len(observation["adjacency"]))
            action, wrong = int(self._generator.choice([node for node in labels if node not in self._seen.edges[here]])), True
        return Lesson(Written(plan, str(action)), reason, wrong)

    def _reason(self, target: int) -> str:
        """Why there should be a new plan now; nothing where the held one is still good."""
        aim = self._aim
        if aim is None:
            return "none held"
        if self._wrong:
            return ""
        if aim.wrong:
            return "event plan was wrong"
        if target in self._seen.edges and not aim.target:
            return "event target seen"
        if not aim.target and not self._open(aim):
            return "event branch exhausted"
        return "interval" if self._left <= 0 and self._interval != 0 else ""

    def _open(self, aim: Aim) -> list[int]:
        """Unexplored nodes in the branch behind the goal, which has grown since the plan was made."""
        ways = self._seen.ways(aim.origin)
        return [node for node in self._seen.frontier if aim.goal in ways[node]]

    def _replan(self, here: int, target: int, reason: str) -> str:
        ways = self._seen.ways(here)
        if target in ways:
            goal = target
        elif reason == "interval" and self._aim is not None:
            goal = min(self._open(self._aim), key=lambda node: len(ways[node]))
        else:
            goal = min(self._seen.frontier, key=lambda node: (len(ways[node]), node))
        self._left = int(self._generator.integers(2, LONGEST + 1)) if self._interval is None else self._interval
        others = [node for node in ways if node != here]
        spoken = not self._every or self._wait <= 0
        if self._goes_stale and spoken and self._generator.random() < 0.5:
            mistaken = int(self._generator.choice(others))
            self._wrong = int(self._generator.integers(1, 4))
            self._aim = Aim(False, mistaken, ways[mistaken], (), here, wrong=True)
        else:
            later = tuple(node for node in self._seen.frontier if goal not in ways[node])
            self._aim = Aim(goal == target, goal, ways[goal], () if goal == target else later, here)
        return self._style(self._aim)

    def _move(self, here: int) -> int:
        """The next step on the way that the plan leads."""
        aim = self._aim
        assert aim is not None  # a first call always plans
        ways = self._seen.ways(here)
        if aim.target or self._wrong or not self._open(aim):
            goal = aim.goal
        else:
            goal = min(self._open(aim), key=lambda node: (len(ways[node]), node))
        if goal == here:  # a wrong plan that has been followed to its end
            goal = min(self._seen.frontier, key=lambda node: (len(ways[node]), node), default=next(iter(self._seen.edges[here])))
        return ways[goal][1]
