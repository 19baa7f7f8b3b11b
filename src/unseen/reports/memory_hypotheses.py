"""What results should look like in shape, stated before anything was trained, and whether scores bear it out.

The paper's numbers were not found. Each statement says where it is from: the paper as its reviews and summaries tell it, or ours
(specification §6). Each is judged by a 95 % t interval over seeds: held, not held, undecided (the interval reaches both sides, or there are
too few seeds for one), or not run. Contrasts are made on tasks where some agent is beyond the memoryless player.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from unseen.experiments.generalisation import HEADLINE
from unseen.experiments.reproduce.memory_grid import EPISODIC, FEED_FORWARD, MRA, TASKS, WORKING
from unseen.reports.carried_over import by_task, common_tasks, difference, over_tasks
from unseen.reports.statistics import Interval
from unseen.reports.text import interval, number, several

HELD, NOT_HELD, UNDECIDED, NOT_RUN = "held", "not held", "undecided", "not run"
PAPER, OURS = "the paper, second hand", "ours"
WELL, SOLVED = 75.0, 90.0  # normalised: what we call doing well, and solved
MARGIN = 5.0  # points that we call no difference
ERRORS = 3.0  # standard errors that tell an agent from the memoryless player
HELD_OUT = HEADLINE[1:]
NONE_COUNTS = "no task on which an agent is beyond the memoryless player"


class Judged(NamedTuple):
    """One hypothesis: what it says, whose it is, the verdict, and what the verdict rests on."""

    claim: str
    source: str
    verdict: str
    evidence: str


def judged(table: pl.DataFrame, agents: Sequence[str]) -> list[Judged]:
    """Every hypothesis on what was scored.

    Args:
        table: of `generalisation.scores`, with the columns task and agent.
        agents: of the matrix, without those whose critic is told.
    """
    counting = tasks_that_count(table, agents)

    def above(claim: str, better: str, worse: str, roles: Sequence[str]) -> Judged:
        return _contrast(table, counting, claim, PAPER, (better, worse), roles)

    return [
        _reactive(table),
        above("An LSTM does better than a feed-forward agent, on training levels.", WORKING, FEED_FORWARD, ("train",)),
        above("An LSTM does better than a feed-forward agent, on held-out levels.", WORKING, FEED_FORWARD, HELD_OUT),
        above("Episodic memory helps the LSTM, on training levels.", EPISODIC, WORKING, ("train",)),
        above("Episodic memory helps the LSTM, on held-out levels.", EPISODIC, WORKING, HELD_OUT),
        _more_on_holdout(table, counting),
        _best(table, counting, agents),
        _ordered(table, counting, agents),
        _extrapolation_is_hard(table, agents),
        _some_unsolved(table, agents),
        _rooms_harder_than_screens(table, agents),
    ]


def tasks_that_count(table: pl.DataFrame, agents: Sequence[str]) -> list[str]:
    """Tasks where one of these agents exceeds the memoryless mark on the training level by three standard errors."""
    if table.is_empty():
        return []
    tasks = table["task"].unique(maintain_order=True).to_list()
    return [task for task in tasks if any(beyond(table, task, agent).errors > ERRORS for agent in agents)]


class Beyond(NamedTuple):
    """How far an agent is beyond the memoryless player on the training level of a task, in points and in standard errors."""

    points: float
    errors: float


def beyond(table: pl.DataFrame, task: str, agent: str) -> Beyond:
    """NaN where it was not run. The standard error is the larger of that over seeds and that over episodes, with the mark's own in it."""
    if table.is_empty():
        return Beyond(np.nan, np.nan)
    some = table.filter((pl.col("task") == task) & (pl.col("agent") == agent) & (pl.col("role") == "train"))
    if some.is_empty():
        return Beyond(np.nan, np.nan)
    points, episodes = some["beyond_memoryless"].to_numpy(), some["beyond_error"].to_numpy()
    error = float(np.sqrt(np.sum(episodes**2))) / len(points)
    if len(points) > 1:
        error = max(error, float(points.std(ddof=1)) / len(points) ** 0.5)
    error = float(np.hypot(error, some["mark_error"].to_numpy()[0]))
    return Beyond(float(points.mean()), float(points.mean()) / max(error, 1e-9))


def _verdict(value: Interval, threshold: float = 0.0) -> str:
    """Whether an interval lies above a threshold."""
    if not np.isfinite(value.estimate):
        return NOT_RUN
    if not value.exists:
        return UNDECIDED
    return HELD if value.low > threshold else NOT_HELD if value.high <= threshold else UNDECIDED


def _all_of(verdicts: Sequence[str]) -> str:
    """Of a statement that needs every one of these."""
    return NOT_HELD if NOT_HELD in verdicts else HELD if set(verdicts) == {HELD} else UNDECIDED


def _on_counting(
    table: pl.DataFrame,
    counting: Sequence[str],
    claim: str,
    source: str,
    agents: Sequence[str],
    judge: Callable[[list[str]], tuple[str, str]],
) -> Judged:
    """A statement judged on the tasks that count and on which all of these agents were scored."""
    tasks = common_tasks(table, agents)
    if not tasks:
        return Judged(claim, source, NOT_RUN, "")
    counted = [task for task in tasks if task in counting]
    if not counted:
        return Judged(claim, source, UNDECIDED, NONE_COUNTS)
    verdict, evidence = judge(counted)
    return Judged(claim, source, verdict, f"{evidence}, over {several(len(counted), 'task')}")


def _contrast(
    table: pl.DataFrame, counting: Sequence[str], claim: str, source: str, agents: tuple[str, str], roles: Sequence[str]
) -> Judged:
    better, worse = agents

    def judge(tasks: list[str]) -> tuple[str, str]:
        found = [difference(table, (better, [role]), (worse, [role]), tasks) for role in roles]
        told = "; ".join(f"{role}: {interval(value)} points" for role, value in zip(roles, found, strict=True))
        return _all_of([_verdict(value) for value in found]), told

    return _on_counting(table, counting, claim, source, agents, judge)


def _reactive(table: pl.DataFrame) -> Judged:
    claim = f"A feed-forward agent is not beyond the memoryless player by more than {MARGIN:g} points on any screen task."
    screens = [task.name for task in TASKS if task.psychlab]
    scores = {task: by_task(table, FEED_FORWARD, "train", [task], "beyond_memoryless") for task in screens}
    scores = {task: each for task, each in scores.items() if len(each[0])}
    if not scores:
        return Judged(claim, OURS, NOT_RUN, "")
    found = {task: over_tasks(each) for task, each in scores.items()}
    verdicts = [{HELD: NOT_HELD, NOT_HELD: HELD}.get(v := _verdict(value, MARGIN), v) for value in found.values()]
    return Judged(claim, OURS, _all_of(verdicts), "; ".join(f"{task}: {interval(value)} points" for task, value in found.items()))


def _more_on_holdout(table: pl.DataFrame, counting: Sequence[str]) -> Judged:
    claim = "Episodic memory's gain is larger on held-out levels than on training levels."

    def judge(tasks: list[str]) -> tuple[str, str]:
        lost = []  # by every run from training to held-out levels: the gain is larger there where the LSTM loses more
        for agent in (WORKING, EPISODIC):
            each = [[by_task(table, agent, role, [task])[0] for role in HEADLINE] for task in tasks]
            lost.append([train - np.mean(held, axis=0) for train, *held in each])
        rows = []
        for n, agent in enumerate((WORKING, EPISODIC)):
            for task, losses in zip(tasks, lost[n], strict=True):
                rows += [(task, agent, k, "train", float(loss)) for k, loss in enumerate(losses)]
        of_losses = pl.DataFrame(rows, schema=["task", "agent", "seed", "role", "normalised"], orient="row")
        value = difference(of_losses, (WORKING, ["train"]), (EPISODIC, ["train"]), tasks)
        return _verdict(value), f"{interval(value)} points more"

    return _on_counting(table, counting, claim, OURS, (EPISODIC, WORKING), judge)


def _best(table: pl.DataFrame, counting: Sequence[str], agents: Sequence[str]) -> Judged:
    claim = "MRA has the best mean over training and held-out levels."
    others = [agent for agent in agents if agent != MRA]

    def judge(tasks: list[str]) -> tuple[str, str]:
        found = {other: difference(table, (MRA, HEADLINE), (other, HEADLINE), tasks) for other in others}
        told = "; ".join(f"over {other}: {interval(value)}" for other, value in found.items())
        return _all_of([_verdict(value) for value in found.values()]), told

    return _on_counting(table, counting, claim, PAPER, [MRA, *others], judge)


def _ordered(table: pl.DataFrame, counting: Sequence[str], agents: Sequence[str]) -> Judged:
    claim = f"Every agent's training score is at least that of interpolation (within {MARGIN:g} points), and that above extrapolation's."

    def judge(tasks: list[str]) -> tuple[str, str]:
        verdicts, told = [], []
        for agent in agents:
            first = difference(table, (agent, ["train"]), (agent, ["interpolate"]), tasks)
            second = difference(table, (agent, ["interpolate"]), (agent, ["extrapolate"]), tasks)
            verdicts += [_verdict(first, -MARGIN), _verdict(second)]
            told.append(f"{agent}: {interval(first)}, {interval(second)}")
        return _all_of(verdicts), "points lost, " + "; ".join(told)

    return _on_counting(table, counting, claim, OURS, agents, judge)


def _extrapolation_is_hard(table: pl.DataFrame, agents: Sequence[str]) -> Judged:
    claim = f"No agent does well (a mean of {WELL:g} or more) on extrapolation."
    tasks = common_tasks(table, agents)
    if not tasks:
        return Judged(claim, PAPER, NOT_RUN, "")
    found = {agent: over_tasks(by_task(table, agent, "extrapolate", tasks)) for agent in agents}
    verdicts = [{HELD: NOT_HELD, NOT_HELD: HELD}.get(v := _verdict(value, WELL), v) for value in found.values()]
    best = max(found, key=lambda agent: found[agent].estimate)
    return Judged(claim, PAPER, _all_of(verdicts), f"best: {best} with {interval(found[best])}, over {len(tasks)} tasks")


def _some_unsolved(table: pl.DataFrame, agents: Sequence[str]) -> Judged:
    claim = f"Some tasks are solved (a mean of {SOLVED:g} or more on training) by none of the agents."
    tasks = common_tasks(table, agents)
    if not tasks:
        return Judged(claim, PAPER, NOT_RUN, "")
    verdicts, told = [], []
    for task in tasks:
        found = [over_tasks(by_task(table, agent, "train", [task])) for agent in agents]
        below = [_verdict(value, SOLVED) for value in found]
        verdicts.append(HELD if set(below) == {NOT_HELD} else NOT_HELD if HELD in below else UNDECIDED)
        told.append(f"{task}: best {number(round(max(value.estimate for value in found), 1))}")
    verdict = HELD if HELD in verdicts else NOT_HELD if set(verdicts) == {NOT_HELD} else UNDECIDED
    return Judged(claim, PAPER, verdict, "; ".join(told))


def _rooms_harder_than_screens(table: pl.DataFrame, agents: Sequence[str]) -> Judged:
    claim = "Spot the difference is harder than change detection, its counterpart on a screen."
    screen, room = "change-detection", "spot-diff"
    if not {screen, room} <= set(common_tasks(table, agents, ("train",))):
        return Judged(claim, PAPER, NOT_RUN, "")
    # A task of its own for each agent, so that the difference is taken agent by agent and averaged over them.
    rows = [
        (agent, task, seed, "train", score)
        for agent in agents
        for task in (screen, room)
        for seed, score in enumerate(by_task(table, agent, "train", [task], "beyond_memoryless")[0].tolist())
    ]
    turned = pl.DataFrame(rows, schema=["task", "agent", "seed", "role", "normalised"], orient="row")
    value = difference(turned, (screen, ["train"]), (room, ["train"]), list(agents))
    return Judged(claim, PAPER, _verdict(value), f"{interval(value)} points further beyond the memoryless player on the screen")
