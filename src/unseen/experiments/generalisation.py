"""Does it carry over? Scores of a trained agent on the levels it was trained on, and on levels whose stimuli or scale it never met."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import polars as pl

from unseen.environments.contract import References, Score
from unseen.errors import UserError, unknown
from unseen.experiments.run import Run

# What is tested, and the levels that test it, mixed evenly: the first that an environment has. Training mixes two scales where it has two,
# so that held-out stimuli alone are a mixture of the same two.
ROLES: dict[str, tuple[tuple[str, ...], ...]] = {
    "train": (("train",),),
    "interpolate": (("holdout_interpolate",),),
    "extrapolate": (("holdout_extrapolate",),),
    "stimulus": (("holdout_train",), ("holdout_small", "holdout_large")),
    "scale": (("extrapolate",),),
}
HEADLINE = ("train", "interpolate", "extrapolate")
# From one role's score to another's. The first two change stimuli and scale at once; the last two one of them.
GAPS = {
    "interpolation": ("train", "interpolate"),
    "extrapolation": ("train", "extrapolate"),
    "stimuli": ("train", "stimulus"),
    "scale": ("train", "scale"),
}


def levels_by_role(environment: Any, roles: Iterable[str] = ROLES) -> dict[str, tuple[str, ...]]:
    """Role -> levels, of the roles for which an environment has them.

    Raises:
        UserError: a role that does not exist.
    """
    found = {}
    for role in roles:
        if role not in ROLES:
            raise unknown("role of a level", role, ROLES)
        has = [levels for levels in ROLES[role] if set(levels) <= set(environment.levels)]
        if has:
            found[role] = has[0]
    return found


def levels_of(run: Run) -> tuple[str, ...]:
    """The levels that say whether a run's agent carries over: train, and those held out where there are any."""
    if run.experiment.environment.startswith("gym:"):
        return ("train",)
    return tuple(level for levels in levels_by_role(run.environment, HEADLINE).values() for level in levels)


def scores(run: Run, *, episodes: int = 100, roles: Sequence[str] = tuple(ROLES)) -> pl.DataFrame:
    """A row for each seed and role: levels, return, its standard error over episodes, the score normalised by the reference players (0 the
    random one, 100 perfect memory), and the score with the best player known without memory at 0, with its standard error over episodes
    and that of the mark itself, in the same points.

    Evaluation episodes cannot occur in training: their keys are folded with a constant that training never uses.

    Args:
        run: a finished or unfinished run on an environment of this package.
        episodes: for each seed and level.
        roles: which of `ROLES`; an environment without levels for a role has no rows of it.

    Raises:
        UserError: an external environment.
    """
    from unseen.experiments.scoring import player

    environment = _environment_of(run)
    levels = levels_by_role(environment, roles)
    play = player(environment, levels, episodes)
    played = [play(run.agent(seed), run.evaluation_key(seed)) for seed in range(run.experiment.seeds)]
    rows = []
    for role, names in levels.items():
        marks = [environment.references(level) for level in names]
        random, memoryless, perfect = (_mean(marks, name) for name in ("random", "memoryless", "perfect_memory"))
        for seed, returns in enumerate(played):
            score = float(returns[role].mean())
            error = float(returns[role].std(ddof=1) / episodes**0.5) if episodes > 1 else float("nan")
            point = 100 / (perfect.mean - memoryless.mean)
            rows.append(
                {
                    "seed": run.experiment.first_seed + seed,
                    "role": role,
                    "level": " + ".join(names),
                    "episodes": episodes,
                    "return": score,
                    "standard_error": error,
                    "normalised": 100 * (score - random.mean) / (perfect.mean - random.mean),
                    "beyond_memoryless": point * (score - memoryless.mean),
                    "beyond_error": point * error,
                    "mark_error": point * memoryless.standard_error,
                }
            )
    return pl.DataFrame(rows)


def _mean(marks: Sequence[References], name: str) -> Score:
    """A player's score on an even mixture of levels; NaN where it was not measured on one of them."""
    found = [getattr(each, name) for each in marks]
    if any(score is None for score in found):
        return Score(math.nan, math.nan)
    error = math.sqrt(sum(score.standard_error**2 for score in found)) / len(found)
    return Score(sum(score.mean for score in found) / len(found), error)


def _environment_of(run: Run) -> Any:
    if run.experiment.environment.startswith("gym:"):
        raise UserError(f"environment = {run.experiment.environment!r}; an external environment has no levels to carry over to")
    return run.environment


def gaps(table: pl.DataFrame) -> pl.DataFrame:
    """How much of the normalised score is lost: a row for each seed (and each other column that names a run), a column for each gap.

    Args:
        table: of `scores`, perhaps several with further columns such as "task" and "agent".

    Returns:
        One row per run, with `GAPS`' names as columns; null where a level does not exist.
    """
    names = [c for c in table.columns if c in ("task", "agent", "seed")]
    wide = table.pivot(on="role", index=names, values="normalised")
    lost = [
        (pl.col(a) - pl.col(b)).alias(gap) if {a, b} <= set(wide.columns) else pl.lit(None, pl.Float64).alias(gap)
        for gap, (a, b) in GAPS.items()
    ]
    return wide.select(*names, *lost)
