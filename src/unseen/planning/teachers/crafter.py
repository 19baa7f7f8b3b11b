"""A scripted player of Crafter that writes down what it is after: the teacher of how to plan, and when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from unseen.errors import UserError, unknown
from unseen.planning.grammar import Written
from unseen.planning.teachers.contract import Lesson
from unseen.planning.teachers.crafter_errands import Wish
from unseen.planning.teachers.crafter_goals import Machine
from unseen.planning.teachers.crafter_map import WAYS, Cell
from unseen.planning.teachers.crafter_words import STYLES, decoy, worded

INTERVALS = (2, 12)  # steps between two plans, the shortest and the longest that are drawn
NOTICED = (2, 8)  # steps until a wrong plan is noticed


class CrafterTeacher:
    """Plays by subgoals, and plans when there is no plan, when the subgoal changes and when the last plan is old.

    It sees what the text tells where it lists every item: the cells around, where it looks, what it holds and whether it sleeps. What it
    remembers of the world it has put together from that.
    """

    def __init__(self, *, mistakes: float = 0.0, stale: float = 0.0, styles: Sequence[str] = tuple(STYLES)):
        """
        Args:
            mistakes: share of steps in which the action is drawn at random, of those that do not lead into lava.
            stale: share of episodes in which about half of all plans are bad: of another subgoal and another way, or not renewed when the
                subgoal changed. After 2 … 8 steps the teacher notices and plans anew (reason "event mistake"). Its actions stay right.
            styles: of which an episode's is drawn.

        Raises:
            UserError: a share that is none, or a style that does not exist.
        """
        for name, share in (("mistakes", mistakes), ("stale", stale)):
            if not 0 <= share <= 1:
                raise UserError(f"{name} = {share} of a Crafter teacher must be a share from 0 to 1")
        if not styles:
            raise UserError(f"styles = {styles!r} of a Crafter teacher must name one or more of: {', '.join(STYLES)}")
        for style in styles:
            if style not in STYLES:
                raise unknown("style of a Crafter teacher", style, STYLES)
        self._mistakes, self._stale, self._styles = mistakes, stale, tuple(styles)
        self._begun = False

    @property
    def styles(self) -> tuple[str, ...]:
        return self._styles

    def begin(self, generator: np.random.Generator, style: str | None = None, interval: int | None = None) -> None:
        """Raises:
        UserError: a style that this teacher does not have, or a negative interval.
        """
        if style is not None and style not in self._styles:
            raise unknown("style of this Crafter teacher", style, self._styles)
        if interval is not None and interval < 0:
            raise UserError(f"interval = {interval} of a Crafter teacher must be 0 (never) or more steps")
        self._generator, self._interval = generator, interval
        self._style = self._styles[int(generator.integers(len(self._styles)))] if style is None else style
        self._unreliable = bool(generator.random() < self._stale)
        self._machine = Machine()
        self._last, self._before, self._expected = "", dict[str, int](), (0, 0)
        self._planned: str | None = None  # the subgoal for which the plan that is held was due
        self._age, self._until = 0, 0
        self._bad, self._notices = False, 0
        self._begun = True

    def write(self, environment: Any, events: tuple[str, ...] = ()) -> Lesson:
        """Raises:
        UserError: no episode has begun.
        """
        if not self._begun:
            raise UserError("a Crafter teacher does not know of an episode yet; call begin(generator) first")
        asleep = bool(environment.asleep)
        self._look(environment, events)
        wish = self._machine.decide(asleep)
        reason = self._due(wish.subgoal)
        plan = self._plan(wish) if reason else None
        action, slip = wish.move.action, False
        if self._mistakes and self._generator.random() < self._mistakes:
            action, slip = self._slip(environment.actions), True
        self._expect(action, asleep)
        self._age += 1
        return Lesson(Written(plan, action), reason, slip or self._bad)

    def _look(self, environment: Any, events: tuple[str, ...]) -> None:
        body = self._machine.body
        facing = environment.facing
        # whoever moved looks where it went; another's action may have been done instead of the one that was written
        expected = self._expected if self._expected == facing else (0, 0)
        body.map.look(environment.window(), tuple(dict.fromkeys((expected, (0, 0), facing))))
        body.facing, body.inventory = facing, dict(environment.inventory)
        self._machine.learn(events, self._last, self._before)

    def _expect(self, action: str, asleep: bool) -> None:
        """Remember what will show in the next step whether it worked."""
        body = self._machine.body
        self._last, self._before = action, dict(body.inventory)
        way: Cell = WAYS.get(action, (0, 0))
        cell = body.map.here[0] + way[0], body.map.here[1] + way[1]
        free = body.map.is_open(cell) and cell not in body.map.creatures
        self._expected = way if free and not (asleep and body.has("energy") < 9) else (0, 0)

    def _slip(self, actions: Sequence[str]) -> str:
        """Any action but one that kills."""
        body = self._machine.body
        here = body.map.here
        lava = {word for word, (dx, dy) in WAYS.items() if body.map.kinds.get((here[0] + dx, here[1] + dy)) == "lava"}
        allowed = [word for word in actions if word not in lava]
        return allowed[int(self._generator.integers(len(allowed)))]

    def _due(self, subgoal: str) -> str:
        """Why a plan is written now; empty where none is."""
        if self._planned is None:
            return "none held"
        if self._bad:
            self._notices -= 1
            return "event mistake" if self._notices <= 0 else ""
        if subgoal != self._planned:
            if self._unreliable and self._generator.random() < 0.5:
                self._turns_bad()
                return ""
            return "event subgoal"
        return "interval" if self._until and self._age >= self._until else ""

    def _plan(self, wish: Wish) -> str:
        generator, corrects = self._generator, self._bad
        self._planned, self._age, self._bad = wish.subgoal, 0, False
        self._until = int(generator.integers(INTERVALS[0], INTERVALS[1] + 1)) if self._interval is None else self._interval
        ahead = self._machine.next_milestones(2)
        if self._unreliable and not corrects and generator.random() < 0.5:
            self._turns_bad()
            wish = decoy(wish, self._machine.body, generator)
        return worded(self._style, wish, self._machine.body, ahead, generator)

    def _turns_bad(self) -> None:
        self._bad, self._notices = True, int(self._generator.integers(NOTICED[0], NOTICED[1] + 1))
