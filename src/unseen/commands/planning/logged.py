"""`unseen plan worth --log`: from recordings to a table of what planning was worth where, and to a schedule."""

from __future__ import annotations

import json
import runpy
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from unseen.commands.planning.agents import agent_of
from unseen.commands.planning.directories import EPISODES
from unseen.commands.planning.settings import Worth
from unseen.data.episodes import Episodes
from unseen.environments.text.contract import TextEnvironment
from unseen.errors import UserError, unknown
from unseen.reports.text import number
from unseen.runs.files import write_atomic

if TYPE_CHECKING:
    from unseen.planning.markov import Markov
    from unseen.planning.measured_truth import Truth
    from unseen.planning.regions import Region

RESULT, SCHEDULE = "worth.json", "when-worth-it.json"


def worth_from_log(command: Worth, world: TextEnvironment, log: Sequence[Path], folder: Path) -> int:
    """Estimate, measure where that was asked for, and write everything down."""
    from rich.console import Console

    from unseen.planning.estimand import Estimand
    from unseen.planning.logged_worth import worth_from_logs
    from unseen.planning.schedules import schedule
    from unseen.planning.when_worth_it import WhenWorthIt
    from unseen.reports.page import Page, write
    from unseen.reports.planning_worth import logged_worth_section, with_truth

    asked = command.from_log
    estimand, then = Estimand(asked.policy, asked.discount, asked.horizon, asked.price), schedule(asked.policy)
    old = folder / SCHEDULE
    if isinstance(then, WhenWorthIt) and (Path(then.name).resolve() == old.resolve() or then.rests_on(old)):
        raise UserError(f"--policy rests on {str(old)!r}, which would be written over; give another --out")
    episodes = Episodes.concatenate([_recorded(path) for path in log])
    played = set(episodes.info["environment"].tolist())
    if played != {world.name}:
        raise UserError(f"the log is of {', '.join(sorted(map(str, played)))}, not of {world.name}")
    regions, markov = _regions(asked.situations), _markov(asked.markov)
    found = worth_from_logs(episodes, estimand, markov=markov, regions=regions)
    measured = _measured(command, world, episodes, estimand, found.regions)
    table = with_truth(found, measured)
    Console().print(_short(table))
    print(f"verdict: {found.verdict}")
    write_atomic(folder / RESULT, (json.dumps(found.said() | {"situations": table.to_dicts()}, indent=1) + "\n").encode())
    if found.verdict.colour == "red":
        print("no schedule is written: nothing follows from an estimate that is not to be trusted")
    else:
        WhenWorthIt.of(found, asked.rule).write(folder / SCHEDULE)
        print(f"schedule: when-worth-it:{folder / SCHEDULE}")
    title = f"What planning was worth: {command.world.environment}"
    print(f"report: {write(Page(title, [logged_worth_section(found, measured)]), folder / 'report.html')}")
    return 0


def _short(table: pl.DataFrame) -> Any:
    """What a person acts on; long names of situations go on in the next line, so that a terminal has room for the rest."""
    from rich.box import SIMPLE
    from rich.table import Table

    heads = ("situation", "worth", *(("truth",) if "truth" in table.columns else ()), "price", "check", "advice")
    shown = Table(box=SIMPLE, pad_edge=False)
    for head in heads:
        shown.add_column(head, justify="left" if head in ("situation", "advice") else "right", overflow="fold")
    for row in table.to_dicts():
        cells = {"situation": row["situation"], "worth": _interval(row["worth"], row["low"], row["high"])}
        if "truth" in heads:
            known, error = row["truth"], row["truth_error"]
            cells["truth"] = "–" if known is None else number(known) if error is None else f"{number(known)} ± {number(error)}"
        cells |= {"price": number(row["plan_price"]), "check": _interval(row["check"], row["check_low"], row["check_high"])}
        shown.add_row(*(cells | {"advice": row["advice"]}).values())
    return shown


def _interval(value: float, low: float, high: float) -> str:
    return f"{number(value)} ({number(low)} to {number(high)})"


def _recorded(path: Path) -> Episodes:
    return Episodes.read(path / EPISODES if path.is_dir() else path)


def _measured(command: Worth, world: TextEnvironment, episodes: Episodes, estimand: Any, regions: Any) -> Truth | None:
    """The truth in some of the log's states, where it was asked for."""
    asked = command.from_log
    if asked.truth < 1:
        return None
    from unseen.planning.measured_truth import truth

    agent = agent_of(command.model, command.speech, command.schedule, command.world)
    history = set(map(int, episodes.info["history"]))
    if history != {agent.history}:
        raise UserError(f"the log was played with --history {', '.join(map(str, sorted(history)))}, and the agent has {agent.history}")
    how = {"states": asked.truth, "replicates": asked.continuations, "seed": command.seed}
    return truth(agent, world, episodes, estimand, regions=regions, **how)


def _regions(path: Path | None) -> list[Region] | None:
    """Raises:
    UserError: no such file, or one that holds no situations.
    """
    from unseen.planning.regions import Region

    if path is None:
        return None
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"--situations {str(path)!r}: {error.strerror}") from None
    except ValueError:
        raise UserError(f"--situations {str(path)!r} is not JSON") from None
    if not isinstance(said, list) or not said:
        raise UserError(f'--situations {str(path)!r} must hold a list of {{"name": "...", "within": {{"age": [2, null]}}}}')
    return [Region.read(each) for each in said]


def _markov(word: str | None) -> Markov | None:
    """A function of the user's.

    Raises:
        UserError: no such file or name, or code that fails.
    """
    if word is None:
        return None
    path, _, name = word.rpartition(".py")
    file = Path(f"{path}.py")
    if not path or (name and not name.startswith(":")) or not file.is_file():
        raise UserError(f"--markov {word!r}: give FILE.py or FILE.py:NAME, a file that defines markov(moment)")
    try:
        found = runpy.run_path(str(file))
    except Exception as error:
        raise UserError(f"{file} fails with {type(error).__name__}: {next(iter(str(error).splitlines()), '')}; mend the file") from error
    wanted = name.removeprefix(":") or "markov"
    if wanted not in found:
        raise unknown(f"name in {file}", wanted, [each for each in found if not each.startswith("_")])
    if not callable(found[wanted]):
        raise UserError(f"{wanted} in {file} is no function; give one from a moment to named numbers")
    return found[wanted]
