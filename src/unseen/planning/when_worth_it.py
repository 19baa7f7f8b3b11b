"""A schedule that was learnt from a log: a plan in the situations where planning was worth more than it cost."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

from unseen.errors import UserError, unknown
from unseen.planning.logged_worth import LoggedWorth
from unseen.planning.regions import ELSEWHERE, Region, place
from unseen.planning.schedules import Decision, Schedule, Situation, schedule
from unseen.runs.files import write_atomic

Rule = Literal["interval", "estimate", "lower"]
RULES: tuple[Rule, ...] = ("interval", "estimate", "lower")
KIND, VERSION = "when-worth-it", 1


class Case(NamedTuple):
    """A situation, what planning was worth there, and what follows from it: a plan, none, or (None) what the evaluation policy does."""

    region: Region
    plan: bool | None
    worth: float
    low: float
    high: float


@dataclass(frozen=True)
class WhenWorthIt:
    """A plan where the first situation that fits says so.

    Worth is that of planning once and then going on by the evaluation policy. A schedule that changes what it does in a situation also
    changes what it meets there: where no plan is held, to wait for one step more may always be worth it, and for good never is. So the
    usual rule leaves the evaluation policy only where an interval says so.

    Attributes:
        cases: in the order in which they are tried.
        rule: "interval": a plan where all of the interval of its worth, net of the price, is above 0, none where all of it is below, else
            what the evaluation policy does; "estimate": a plan where the estimate is above 0, else none; "lower": a plan where the lower
            end of the interval is, else none.
        about: what "worth" means, the evaluation policy among it.
        name: the file it was read from, for tables.

    Raises:
        UserError: an evaluation policy that is no word of a schedule.
    """

    cases: tuple[Case, ...]
    rule: Rule = "interval"
    about: Mapping[str, Any] = field(default_factory=dict, compare=False, hash=False)
    name: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if self.rule == "interval":
            _ = self.otherwise

    @cached_property
    def otherwise(self) -> Schedule:
        """The evaluation policy."""
        return schedule(str(self.about.get("policy", "")))

    def decide(self, now: Situation) -> Decision:
        where = place([case.region for case in self.cases], now.features)
        said = next((case.plan for case in self.cases if case.region.name == where), None if self.rule == "interval" else False)
        return self.otherwise.decide(now) if said is None else Decision("plan" if said else "act")

    def __str__(self) -> str:
        return f"{KIND}:{self.name or 'unsaved'}"

    @classmethod
    def of(cls, found: LoggedWorth, rule: Rule = "interval") -> WhenWorthIt:
        """The schedule that an estimate speaks for.

        Args:
            found: from a log.
            rule: see the class.

        Raises:
            UserError: an unknown rule, or a verdict that is red: nothing follows from such an estimate.
        """
        if found.verdict.colour == "red":
            raise UserError(f"no schedule follows from an estimate that is not to be trusted: {found.verdict.reasons[0]}")
        return cls.from_rows(found.table().to_dicts(), found.regions, found.estimand.said(), rule)

    @classmethod
    def from_rows(cls, rows: Sequence[Mapping[str, Any]], regions: Sequence[Region], about: Mapping[str, Any], rule: Rule) -> WhenWorthIt:
        """The same from the rows of its table: situation, worth, low, high.

        Raises:
            UserError: an unknown rule.
        """
        if rule not in RULES:
            raise unknown("rule", str(rule), RULES)
        found, cases = {row["situation"]: row for row in rows}, []
        for region in (*regions, Region(ELSEWHERE, {})):
            row = found.get(region.name)
            if row is not None:
                cases.append(Case(region, _follows(rule, row), row["worth"], row["low"], row["high"]))
            elif region.name != ELSEWHERE:  # of which the log says nothing; it still keeps what comes behind it from being taken for it
                cases.append(Case(region, None if rule == "interval" else False, 0.0, 0.0, 0.0))
        return cls(tuple(cases), rule, about)

    def rests_on(self, path: str | Path) -> bool:
        """Whether what it does where nothing follows is read from this file, at first or at second hand."""
        of = self.otherwise if self.rule == "interval" else None
        return isinstance(of, WhenWorthIt) and (Path(of.name).resolve() == Path(path).resolve() or of.rests_on(path))

    def write(self, path: str | Path) -> None:
        """As a file of JSON that `schedule("when-worth-it:FILE")` reads.

        Raises:
            UserError: the file of a schedule that this one rests on.
        """
        if self.rests_on(path):
            raise UserError(f"{str(path)!r} holds the schedule that this one follows where nothing can be told; write it to another file")
        cases = [{**case.region.said(), "plan": case.plan, "worth": case.worth, "low": case.low, "high": case.high} for case in self.cases]
        said = {"schedule": KIND, "version": VERSION, "rule": self.rule, "about": dict(self.about), "situations": cases}
        write_atomic(Path(path), (json.dumps(said, indent=1) + "\n").encode())

    @classmethod
    def read(cls, path: str | Path) -> WhenWorthIt:
        """What `write` wrote.

        Raises:
            UserError: no such file, or one that holds something else.
        """
        try:
            said = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise UserError(
                f"the schedule {str(path)!r} cannot be read: {error.strerror}; write one with unseen plan worth --log"
            ) from None
        except (ValueError, RecursionError):
            raise UserError(f"the schedule {str(path)!r} is not JSON; write one with unseen plan worth --log") from None
        try:
            if said["schedule"] != KIND or said["version"] != VERSION or said["rule"] not in RULES or type(said["situations"]) is not list:
                raise KeyError
            cases = tuple(_case(each) for each in said["situations"])
        except (KeyError, TypeError):
            raise UserError(f"{str(path)!r} holds no schedule {KIND} of version {VERSION}") from None
        about = said.get("about", {})
        if not isinstance(about, dict):
            raise UserError(f"{str(path)!r} holds no schedule {KIND} of version {VERSION}")
        kind, _, of = str(about.get("policy", "")).partition(":")
        if kind == KIND and Path(of).resolve() == Path(path).resolve():
            raise UserError(f"the schedule {str(path)!r} rests on itself; write one anew with unseen plan worth --log")
        return cls(cases, said["rule"], about, str(path))


def _follows(rule: Rule, row: Mapping[str, Any]) -> bool | None:
    """What a rule makes of an estimate."""
    if rule == "interval":
        return None if row["low"] <= 0 <= row["high"] else row["low"] > 0
    return (row["worth"] if rule == "estimate" else row["low"]) > 0


def _case(said: Any) -> Case:
    region = Region.read(said)
    if said["plan"] is not None and type(said["plan"]) is not bool:
        raise TypeError
    return Case(region, said["plan"], *(float(said[name]) for name in ("worth", "low", "high")))
