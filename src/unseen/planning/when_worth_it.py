"""A schedule that was learnt from a log: a plan in the situations where planning was worth more than it cost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from unseen.errors import UserError, unknown
from unseen.planning.logged_worth import LoggedWorth
from unseen.planning.regions import ELSEWHERE, Region, place
from unseen.planning.schedules import Decision, Situation
from unseen.runs.files import write_atomic

Rule = Literal["estimate", "lower"]
RULES: tuple[Rule, ...] = ("estimate", "lower")
KIND, VERSION = "when-worth-it", 1


class Case(NamedTuple):
    """A situation, what planning was worth there, and what follows from it."""

    region: Region
    plan: bool
    worth: float
    low: float
    high: float


@dataclass(frozen=True)
class WhenWorthIt:
    """A plan where the first situation that fits says so; none where none fits.

    Attributes:
        cases: in the order in which they are tried.
        rule: "estimate": a plan where its estimated worth, net of the price, is above 0; "lower": where the lower end of its interval is.
        about: from what log, and what "worth" means there.
        name: the file it was read from, for tables.
    """

    cases: tuple[Case, ...]
    rule: Rule = "estimate"
    about: Mapping[str, Any] = field(default_factory=dict, compare=False, hash=False)
    name: str = field(default="", compare=False)

    def decide(self, now: Situation) -> Decision:
        where = place([case.region for case in self.cases], now.features)
        return Decision("plan" if any(case.plan for case in self.cases if case.region.name == where) else "act")

    def __str__(self) -> str:
        return f"{KIND}:{self.name or 'unsaved'}"

    @classmethod
    def of(cls, found: LoggedWorth, rule: Rule = "estimate") -> WhenWorthIt:
        """The schedule that an estimate speaks for.

        Args:
            found: from a log.
            rule: see the class.

        Raises:
            UserError: an unknown rule, or a verdict that is red: nothing follows from such an estimate.
        """
        if rule not in RULES:
            raise unknown("rule", str(rule), RULES)
        if found.verdict.colour == "red":
            raise UserError(f"no schedule follows from an estimate that is not to be trusted: {found.verdict.reasons[0]}")
        regions = {region.name: region for region in found.regions} | {ELSEWHERE: Region(ELSEWHERE, {})}
        rows = found.table().to_dicts()
        cases = tuple(
            Case(regions[row["situation"]], (row["worth"] if rule == "estimate" else row["low"]) > 0, row["worth"], row["low"], row["high"])
            for row in rows
        )
        # A situation without decisions says nothing, and must still keep what follows it from being taken for it.
        unseen = tuple(Case(region, False, 0.0, 0.0, 0.0) for region in found.regions if region.name not in {c.region.name for c in cases})
        order = [region.name for region in found.regions] + [ELSEWHERE]
        return cls(tuple(sorted(cases + unseen, key=lambda case: order.index(case.region.name))), rule, found.estimand.said())

    def write(self, path: str | Path) -> None:
        """As a file of JSON that `schedule("when-worth-it:FILE")` reads."""
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
        return cls(cases, said["rule"], said.get("about", {}), str(path))


def _case(said: Any) -> Case:
    region = Region.read(said)
    if type(said["plan"]) is not bool:
        raise TypeError
    return Case(region, said["plan"], *(float(said[name]) for name in ("worth", "low", "high")))
