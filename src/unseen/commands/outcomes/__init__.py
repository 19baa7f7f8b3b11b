"""`unseen outcomes`: what would have happened, from a table of logged decisions; each subcommand's settings and what it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from unseen.commands.outcomes.asked import Asked, groups, influence_frame
from unseen.commands.outcomes.policies import named_policies, policy_named
from unseen.commands.outcomes.settings import Check, Compare, Fit, Log, Report, Simulate
from unseen.data import Transitions, check_table
from unseen.errors import UserError, unknown
from unseen.runs.files import local_path, make_directory, write_atomic

LEARNER = "learner.zip"


def check(command: Check) -> int:
    columns = command.log.columns(command.table)
    found = check_table(command.table, **command.log.declared(columns))
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
    print(f"policy: {command.policy}")
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
    learners = {name: command.method.learner().fit(data, policy_named(word, data)) for name, word in named_policies(command.policies)}
    found = compared(learners, level=command.level)
    folder = directory(command.out)
    _write_frame(found.table(), folder / "estimates.parquet")
    _write_frame(influence_frame(data, found.values.names, found.values.influence), folder / "influence.parquet")
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


def warn(table: object, columns: Mapping[str, Any], log: Log) -> None:
    """Print what is doubtful; what is wrong is an error with all its rows."""
    found = check_table(table, **log.declared(columns))
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
