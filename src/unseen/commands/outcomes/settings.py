"""Settings of `unseen outcomes`: which columns hold what, how Q is estimated, and what each subcommand is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from unseen.data.table import as_frame
from unseen.errors import UserError, unknown


@dataclass(frozen=True)
class Log:
    """Which columns of the table hold what."""

    id: str = "id"
    """Column that names the trajectory: a patient, a customer, an episode."""
    time: str = "time"
    """Column with the step number, rising by 1 within a trajectory."""
    state: tuple[str, ...] = ()
    """Columns that describe the situation before each decision; default: all that have no other role."""
    categorical: tuple[str, ...] = ()
    """Those of them that are names of kinds though they are written as numbers."""
    action: str = "action"
    """Column with what was done."""
    reward: str = "reward"
    """Column with what it brought."""
    terminated: str = "terminated"
    """Column that says that nothing follows this decision."""
    truncated: str | None = None
    """Column that says that only the recording ends here."""
    propensity: str | None = None
    """Column with the probability with which the action was chosen; default: it is estimated."""
    ignore: tuple[str, ...] = ()
    """Columns that are no part of the state."""
    modifiers: tuple[str, ...] = ()
    """Columns that are no part of the state either, by which outcomes may be compared (--by)."""

    def columns(self, table: object) -> dict[str, Any]:
        """Arguments for `Transitions.from_table`."""
        frame = as_frame(table)
        for name in () if self.state else frame.columns:
            if (flag := _no_state(name)) and name not in (*self.ignore, *self.modifiers, self.truncated, self.propensity):
                raise UserError(f"column {name!r} is hardly part of the state; name its role (--{flag} {name}) or --ignore {name}")
        roles = {self.id, self.time, self.action, self.reward, self.terminated, self.truncated, self.propensity}
        names = self.state or tuple(name for name in frame.columns if name not in roles and name not in (*self.ignore, *self.modifiers))
        for name in self.categorical:
            if name not in (*names, *self.modifiers):
                raise unknown("state column (--categorical)", name, names)
        kinds = dict.fromkeys(self.categorical, "categorical")
        kinds |= {name: usual(frame, name) for name in (*names, *self.modifiers) if name not in kinds}
        return {
            "id": self.id,
            "time": self.time,
            "state": {name: kinds[name] for name in names},
            "action": self.action,
            "reward": self.reward,
            "terminated": self.terminated,
            "truncated": self.truncated,
            "propensity": self.propensity,
            "modifiers": {name: kinds[name] for name in self.modifiers},
        }

    def declared(self, columns: Mapping[str, Any]) -> dict[str, Any]:
        """The same with the kinds that were said, not guessed: "" for the others."""
        said = {role: {n: "categorical" if n in self.categorical else "" for n in columns[role]} for role in ("state", "modifiers")}
        return dict(columns) | said


def _no_state(name: str) -> str:
    """The flag for a column whose name says that it is no state; "" otherwise."""
    lowered = name.lower()
    if lowered in ("truncated", "propensity"):
        return lowered
    if lowered in ("done", "died", "end", "ended"):
        return "terminated"
    return "ignore" if lowered.startswith("next_") else ""


def usual(frame: Any, name: str) -> str:
    """Numbers are numeric, everything else is categorical."""
    if name not in frame.columns:
        raise unknown("column (state or modifiers)", name, frame.columns)
    return "numeric" if frame[name].dtype.is_numeric() else "categorical"


@dataclass(frozen=True)
class Method:
    """How Q is estimated: settings of `DRQLearner`."""

    discount: float = 0.95
    """gamma: what one step later counts."""
    final: Literal["auto", "tabular", "linear", "forest", "boosting", "lightgbm", "neural"] = "auto"
    """Class of the estimated Q."""
    initial_q: Literal["auto", "tabular", "linear", "forest", "boosting", "lightgbm", "neural", "zero"] = "auto"
    """First estimate of Q, which is then corrected."""
    behaviour: Literal["auto", "logged", "tabular", "logistic", "forest", "boosting", "lightgbm"] = "auto"
    """Model of what was done."""
    ratio: Literal["auto", "tabular", "linear", "network", "kernel"] = "auto"
    """Model of which states follow."""
    features: Literal["standard", "splines", "fourier", "leaves"] = "standard"
    """Of linear models."""
    folds: int = 5
    """Of trajectories, for cross-fitting."""
    floor: float = 0.01
    """Smallest probability that is divided by; how often it was needed is reported."""
    seed: int = 0
    """Of folds and everything drawn."""

    def learner(self) -> Any:
        """Unfitted."""
        from unseen.outcomes import DRQLearner

        return DRQLearner(
            self.discount,
            final=self.final,
            initial_q=self.initial_q,
            behaviour=self.behaviour,
            ratio=self.ratio,
            features=self.features,
            folds=self.folds,
            floor=self.floor,
            random_state=self.seed,
        )


@dataclass(frozen=True)
class Check:
    """Everything that is wrong or doubtful in a table, with row numbers."""

    table: Annotated[Path, tyro.conf.Positional]
    """.parquet or .csv with a row for every decision."""
    log: Annotated[Log, tyro.conf.arg(name="")] = field(default_factory=Log)


@dataclass(frozen=True)
class Fit:
    """What a policy is worth and what each action would bring, with intervals, a verdict and a page."""

    table: Annotated[Path, tyro.conf.Positional]
    """.parquet or .csv with a row for every decision."""
    policy: str = "uniform"
    """What is judged: uniform, always:ACTION, a table (.parquet, .csv) with a row for every state, or FILE.py[:NAME], a function from a
    dataframe of states to actions or probabilities."""
    log: Annotated[Log, tyro.conf.arg(name="")] = field(default_factory=Log)
    method: Annotated[Method, tyro.conf.arg(name="")] = field(default_factory=Method)
    by: tuple[str, ...] = ()
    """Columns of the state or of --modifiers by whose levels (or quarters, of numbers) outcomes are compared too."""
    reference: str | None = None
    """Action that the others are compared with; default: the first."""
    level: float = 0.95
    """Of intervals."""
    out: Path = Path("outcomes")
    """Directory for estimates.parquet, influence.parquet, predictions.parquet, learner.zip and report.html."""


@dataclass(frozen=True)
class Compare:
    """Which of several policies is worth most, on the same data."""

    table: Annotated[Path, tyro.conf.Positional]
    """.parquet or .csv with a row for every decision."""
    policies: tuple[str, ...]
    """As --policy of fit; NAME=POLICY gives it a name."""
    log: Annotated[Log, tyro.conf.arg(name="")] = field(default_factory=Log)
    method: Annotated[Method, tyro.conf.arg(name="")] = field(default_factory=Method)
    level: float = 0.95
    """Of intervals and of the set of those that may be best."""
    out: Path = Path("compared")
    """Directory for estimates.parquet, influence.parquet and report.html."""


@dataclass(frozen=True)
class Report:
    """The page of a fitted learner again, by other groups or at another level."""

    learner: Annotated[Path, tyro.conf.Positional]
    """learner.zip, or the directory it is in."""
    by: tuple[str, ...] = ()
    """Columns of the state or of --modifiers by whose levels (or quarters, of numbers) outcomes are compared too."""
    reference: str | None = None
    """Action that the others are compared with; default: the first."""
    level: float = 0.95
    """Of intervals."""
    out: Path | None = None
    """Of the page; default: report.html beside the learner."""


@dataclass(frozen=True)
class Simulate:
    """A logged table from an environment whose truth is known, with the policy to judge and the command to do it."""

    name: Annotated[str, tyro.conf.Positional]
    """taxi, frozen-lake, sepsis, tumour, …"""
    trajectories: int = 1_000
    """How many."""
    seed: int = 0
    """Of everything drawn."""
    options: dict[str, str] = field(default_factory=dict)
    """Others, such as epsilon_e 0.1 or coef 4."""
    out: Path = Path("simulated")
    """Directory for table.parquet and policy.py."""
