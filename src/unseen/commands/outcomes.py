"""`unseen outcomes`: what would have happened, from a table of logged decisions; each subcommand's settings and what it does."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro

from unseen.data import Transitions, check_table
from unseen.data.table import as_frame
from unseen.errors import UserError, unknown
from unseen.runs.files import local_path, make_directory, write_atomic

LEARNER = "learner.zip"
EVERYBODY = "all decisions"
MOST_GROUPS = 12


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

    def columns(self, table: object) -> dict[str, Any]:
        """Arguments for `Transitions.from_table`."""
        frame = as_frame(table)
        for name in () if self.state else frame.columns:
            if (flag := _no_state(name)) and name not in (*self.ignore, self.truncated, self.propensity):
                raise UserError(f"column {name!r} is hardly part of the state; name its role (--{flag} {name}) or --ignore {name}")
        roles = {self.id, self.time, self.action, self.reward, self.terminated, self.truncated, self.propensity}
        names = self.state or tuple(name for name in frame.columns if name not in roles and name not in self.ignore)
        for name in self.categorical:
            if name not in names:
                raise unknown("state column (--categorical)", name, names)
        kinds = dict.fromkeys(self.categorical, "categorical")
        kinds |= {name: usual(frame, name) for name in names if name not in kinds}
        return {
            "id": self.id,
            "time": self.time,
            "state": {name: kinds[name] for name in names},
            "action": self.action,
            "reward": self.reward,
            "terminated": self.terminated,
            "truncated": self.truncated,
            "propensity": self.propensity,
        }

    def declared(self, columns: Mapping[str, Any]) -> dict[str, str]:
        """State columns with the kinds that were said, not guessed: "" for the others."""
        return {name: "categorical" if name in self.categorical else "" for name in columns["state"]}


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
        raise unknown("column (state)", name, frame.columns)
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
    """State columns by whose levels (or quarters, of numbers) outcomes are compared too."""
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
    """State columns by whose levels (or quarters, of numbers) outcomes are compared too."""
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


def check(command: Check) -> int:
    columns = command.log.columns(command.table)
    found = check_table(command.table, **(columns | {"state": command.log.declared(columns)}))
    print(found)
    return 0 if found.ok else 1


def fit(command: Fit) -> int:
    from unseen.reports.page import Page, write

    columns = command.log.columns(command.table)
    warn(command.table, columns, command.log)
    data = Transitions.from_table(command.table, **columns)
    for name in command.by:
        groups(data, name)  # a mistake is told before the work
    learner = command.method.learner().fit(data, policy_named(command.policy, data))
    folder = directory(command.out)
    asked = Asked(learner, command.by, command.reference, command.level)
    _write_frame(asked.table(), folder / "estimates.parquet")
    _write_frame(asked.influence(), folder / "influence.parquet")
    _write_frame(predictions(learner), folder / "predictions.parquet")
    print(learner.summary(command.level))
    print(asked.words())
    page = write(Page(f"What {command.policy} would bring: {command.table.name}", asked.sections()), folder / "report.html")
    print(f"report: {page}")
    learner.save(folder / LEARNER)
    return 0


def compare(command: Compare) -> int:
    from unseen.outcomes.comparison import compare as compared
    from unseen.reports.outcomes import comparison_section, outcome_section
    from unseen.reports.page import Page, write

    columns = command.log.columns(command.table)
    warn(command.table, columns, command.log)
    data = Transitions.from_table(command.table, **columns)
    learners = {name: command.method.learner().fit(data, policy_named(word, data)) for name, word in _named(command.policies)}
    found = compared(learners, level=command.level)
    folder = directory(command.out)
    _write_frame(found.table(), folder / "estimates.parquet")
    _write_frame(_influence(data, found.values.names, found.values.influence), folder / "influence.parquet")
    sections = [comparison_section(found)]
    sections += [outcome_section(learner, {}, name, command.level) for name, learner in learners.items()]
    page = write(Page(f"Policies compared: {command.table.name}", sections), folder / "report.html")
    _print_frame(found.table().drop("band_low", "band_high"))
    for name, learner in learners.items():
        if learner.diagnostics.verdict.reasons:
            print(f"{name}: {learner.diagnostics.verdict}")
    print(f"report: {page}")
    return 0


def report(command: Report) -> int:
    from unseen.outcomes import load
    from unseen.reports.page import Page, write

    path = command.learner / LEARNER if command.learner.is_dir() else command.learner
    learner = load(path)
    asked = Asked(learner, command.by, command.reference, command.level)
    out = command.out or path.with_name("report.html")
    print(asked.words())
    print(f"report: {write(Page(f'What the policy would bring: {path}', asked.sections()), out)}")
    return 0


class Asked:
    """What one fitted learner is asked for: outcomes and contrasts of everybody and by group."""

    def __init__(self, learner: Any, by: Sequence[str], reference: str | None, level: float) -> None:
        self.learner, self.level = learner, level
        self.labels = learner.problem_.data.action_labels
        self.reference = self.labels[0] if reference is None else label_of(reference, self.labels)
        self.groups = {"": {EVERYBODY: _everybody}} | {name: groups(learner.problem_.data, name) for name in by}
        others = [label for label in self.labels if label != self.reference]
        self.estimates = {f"outcome of {label}": (label, None, learner.outcome(None, label)) for label in self.labels}
        for name, regions in self.groups.items():
            for label in others:
                caption = f"{label} instead of {self.reference}{f', by {name}' if name else ''}"
                self.estimates[caption] = (label, self.reference, learner.contrast(dict(regions), label, self.reference))

    def table(self) -> Any:
        """Every estimate in long form."""
        import polars as pl

        frames = [self.learner.value().table(self.level).with_columns(asked=pl.lit("value"))]
        frames += [estimate.table(self.level).with_columns(asked=pl.lit(caption)) for caption, (_, _, estimate) in self.estimates.items()]
        return pl.concat(frames).select("asked", "name", "estimate", "standard_error", "low", "high", "band_low", "band_high")

    def influence(self) -> Any:
        """Every trajectory's influence on every estimate: variances and differences can be made from it."""
        parts = {("value",): self.learner.value()} | {(caption,): estimate for caption, (_, _, estimate) in self.estimates.items()}
        names = [f"{caption}: {name}" for (caption,), estimate in parts.items() for name in estimate.names]
        return _influence(self.learner.problem_.data, names, np.concatenate([e.influence for e in parts.values()], axis=1))

    def words(self) -> str:
        """Contrasts of everybody, and what is recommended."""
        lines = [""]
        for caption, (_, control, estimate) in self.estimates.items():
            if control is not None:
                low, high = (np.atleast_1d(end) for end in estimate.interval(self.level))
                who = [""] if estimate.names == (EVERYBODY,) else [f", {name}" for name in estimate.names]
                lines += [
                    f"{caption}{name}, then the policy: {v:.4g} ({a:.4g} to {b:.4g})"
                    for name, v, a, b in zip(who, estimate.value, low, high)
                ]
            lines += [f"caution: {caption}: {words}" for words in estimate.cautions]
        for name, regions in self.groups.items():
            found = self.recommended(regions)
            reasons = [f" ({reason})" if reason else "" for reason in found.reasons]
            lines += [
                f"{name}{'=' if name else ''}{who}: {what}{why}" for who, what, why in zip(found.names, map(str, found.labels), reasons)
            ]
        return "\n".join(lines)

    def recommended(self, regions: Mapping[str, Any]) -> Any:
        from unseen.outcomes import recommend

        return recommend(self.learner, dict(regions), level=self.level)

    def sections(self) -> list[Any]:
        """Of the page."""
        from unseen.outcomes.estimates import stacked
        from unseen.reports.outcomes import outcome_section, recommendation_section

        outcomes = [(str(label), e) for label, control, e in self.estimates.values() if control is None]
        shown: dict[str, Any] = {
            "What each action would bring, averaged over all logged decisions": stacked(
                [e for _, e in outcomes], [name for name, _ in outcomes]
            )
        }
        everybody = [(label, e) for label, control, e in self.estimates.values() if control is not None and e.names == (EVERYBODY,)]
        if everybody:
            shown[f"What each action would bring instead of {self.reference}"] = stacked(
                [e for _, e in everybody], [str(label) for label, _ in everybody]
            )
        for name in [name for name in self.groups if name]:
            parts = [(str(label), e) for c, (label, _, e) in self.estimates.items() if c.endswith(f", by {name}")]
            who = [f"{label}, {group}" for label, e in parts for group in e.names]
            shown[f"What each action would bring instead of {self.reference}, by {name}"] = stacked([e for _, e in parts], who)
        sections = [outcome_section(self.learner, shown, "Outcomes", self.level)]
        if len(self.labels) > 1:
            for name, regions in self.groups.items():
                sections.append(recommendation_section(self.recommended(regions), f"What to do{f', by {name}' if name else ''}"))
        return sections


def _everybody(states: Any) -> Any:
    return np.ones(len(as_frame(states)), np.bool_)


def groups(data: Transitions, name: str) -> dict[str, Callable[[Any], Any]]:
    """Regions by one state column: its levels, or quarters of its numbers."""
    columns = {c.name: (i, c) for i, c in enumerate(data.state_columns)}
    if name not in columns:
        raise unknown("state column (--by)", name, columns)
    place, column = columns[name]
    values = data.states[:, place]
    if column.kind == "categorical":
        present = [level for code, level in enumerate(column.levels) if (values == code).any()]
        if len(present) > MOST_GROUPS:
            raise UserError(f"--by {name} has {len(present)} levels; at most {MOST_GROUPS} groups can be compared on a page")
        return {str(level): _is(name, level) for level in present}
    from unseen.reports.text import number

    edges = np.unique(np.quantile(values, [0.0, 0.25, 0.5, 0.75, 1.0]))
    if len(edges) < 2:
        raise UserError(f"--by {name} is {edges[0]:g} everywhere; there are no groups to compare")
    return {
        f"{number(low)} to {number(high)}": _between(name, float(low), float(high), bool(high == edges[-1]))
        for low, high in pairwise(edges)
    }


def _is(name: str, level: Any) -> Callable[[Any], Any]:
    return lambda states: np.array([value == level for value in as_frame(states)[name].to_list()], np.bool_)


def _between(name: str, low: float, high: float, last: bool) -> Callable[[Any], Any]:
    def inside(states: Any) -> Any:
        x = np.asarray(as_frame(states)[name].to_numpy(), np.float64)
        return (x >= low) & ((x <= high) if last else (x < high))

    return inside


def policy_named(word: str, data: Transitions) -> Any:
    """uniform, always:ACTION, a table, or a function in a file of the user's."""
    from unseen.outcomes import Always, FromFunction, FromTable, Uniform

    if word == "uniform":
        return Uniform()
    if word.startswith("always:"):
        return Always(label_of(word.removeprefix("always:"), data.action_labels))
    path, _, name = word.rpartition(".py")
    if path and (not name or name.startswith(":")):
        file = Path(f"{path}.py")
        if not file.is_file():
            raise UserError(f"no file {str(file)!r}; a policy file defines policy(states)")
        found = guarded(lambda: runpy.run_path(str(file)), str(file))
        wanted = name.removeprefix(":") or "policy"
        if wanted not in found:
            raise unknown(f"name in {file}", wanted, [n for n in found if not n.startswith("_")])
        ask = getattr(found[wanted], "probabilities", found[wanted])
        return FromFunction(lambda states: guarded(lambda: ask(states), f"{file}: {wanted}(states)"))
    if word.endswith((".parquet", ".csv")):
        frame = as_frame(word)
        if "action" in frame.columns:
            return FromTable(frame, "action")
        absent = [label for label in data.action_labels if str(label) not in frame.columns]
        if absent:
            raise UserError(
                f"{word} has no column {str(absent[0])!r}; it needs one of probabilities for every action, or one named 'action'"
            )
        return FromTable(frame, {label: str(label) for label in data.action_labels})
    raise UserError(f"policy {word!r} is none of uniform, always:ACTION, FILE.py[:NAME], FILE.parquet, FILE.csv")


def guarded(call: Callable[[], Any], what: str) -> Any:
    """A call of the user's own code; what goes wrong there is one line."""
    try:
        return call()
    except Exception as error:
        told = next(iter(str(error).splitlines()), "")
        raise UserError(f"{what} fails with {type(error).__name__}: {told}; mend the file") from error


def label_of(word: str, labels: Sequence[Any]) -> Any:
    """The action that a word on the command line means: "1" may be the number 1."""
    for label in labels:
        if str(label) == word:
            return label
    raise unknown("action", word, [str(label) for label in labels])


def _named(words: Sequence[str]) -> list[tuple[str, str]]:
    """(name, policy) of NAME=POLICY, or of a policy that is its own name."""
    pairs = [(name, rest) if (rest := word.partition("=")[2]) and (name := word.partition("=")[0]) else (word, word) for word in words]
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise UserError(f"policies {names} share a name; write NAME=POLICY")
    return pairs


def warn(table: object, columns: Mapping[str, Any], log: Log) -> None:
    """Print what is doubtful; what is wrong is an error with all its rows."""
    found = check_table(table, **(dict(columns) | {"state": log.declared(columns)}))
    errors = [f for f in found if f.level == "error"]
    if errors:
        more = f" ({len(errors) - 1} more: unseen outcomes check lists them)" if len(errors) > 1 else ""
        raise UserError(str(errors[0]).removeprefix("error: ") + more)
    for finding in found:
        print(finding)
    print(f"state: {', '.join(columns['state'])}\n")


def directory(path: Path) -> Path:
    folder = local_path(path)
    make_directory(folder)
    return folder


def predictions(learner: Any) -> Any:
    """Q of every trajectory's first state under each action, and v under the policy, without intervals."""
    import polars as pl

    p = learner.problem_
    q = learner.g_.values(p.starts)
    by_action = {f"Q({label})": q[:, a] for a, label in enumerate(p.data.action_labels)}
    return pl.DataFrame({"id": p.data.ids.tolist()} | by_action | {"v": (p.start_policy * q).sum(axis=1)})


def _influence(data: Transitions, names: Sequence[str], influence: Any) -> Any:
    import polars as pl

    return pl.DataFrame({"id": data.ids.tolist()} | {name: influence[:, k] for k, name in enumerate(names)})


def _write_frame(frame: Any, path: Path) -> None:
    import io

    file = io.BytesIO()
    frame.write_parquet(file)
    write_atomic(path, file.getvalue())


def _print_frame(frame: Any) -> None:
    import polars as pl

    with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_hide_dataframe_shape=True, tbl_hide_column_data_types=True, float_precision=4):
        print(frame)


ROLES = ("id", "time", "action", "reward", "terminated", "propensity")
POLICY_FILE = """\
\"\"\"The evaluation policy of {name}, for unseen outcomes fit --policy.\"\"\"

from unseen.experiments.logged import logged

policy = logged({name!r}, 1{options}).policy
"""


def simulate(command: Simulate) -> int:
    from unseen.experiments.logged import logged

    options: dict[str, Any] = {name: _number(name, value) for name, value in command.options.items()}
    try:
        found = logged(command.name, command.trajectories, seed=command.seed, **options)
    except TypeError:
        from inspect import signature

        known = [name for name, p in signature(logged).parameters.items() if p.kind is p.KEYWORD_ONLY and name != "seed"]
        raise unknown("option", next(name for name in options if name not in known), known) from None
    folder = directory(command.out)
    _write_frame(found.table, folder / "table.parquet")
    spelled = "".join(f", {name}={value!r}" for name, value in options.items())
    write_atomic(folder / "policy.py", POLICY_FILE.format(name=command.name, options=spelled).encode())
    value, error = found.truth_value()
    exact = "exactly" if error == 0 else f"with standard error {error:.2g}"
    print(f"{len(found.table)} rows of {command.trajectories} trajectories in {folder / 'table.parquet'}")
    print(f"the policy in {folder / 'policy.py'} is worth {value:.4g} ({exact})")
    kinds = found.columns["state"]
    states = [name for name, kind in kinds.items() if kind == "categorical" and found.table[name].dtype.is_numeric()]
    others = [name for name in found.table.columns if name not in (*kinds, *ROLES)]
    words = "".join(f" --{flag} {' '.join(names)}" for flag, names in (("categorical", states), ("ignore", others)) if names)
    propensity = " --propensity propensity"
    where = f"{folder / 'table.parquet'} --policy {folder / 'policy.py'}"
    print(f"unseen outcomes fit {where}{words}{propensity} --discount {found.discount}")
    return 0


def _number(name: str, value: str) -> float | int:
    try:
        return int(value) if value.lstrip("-").isdigit() else float(value)
    except ValueError:
        raise UserError(f"option {name} is {value!r}; it must be a number") from None


COMMANDS: dict[str, tuple[type, Callable[[Any], int]]] = {
    "check": (Check, check),
    "fit": (Fit, fit),
    "compare": (Compare, compare),
    "report": (Report, report),
    "simulate": (Simulate, simulate),
}
