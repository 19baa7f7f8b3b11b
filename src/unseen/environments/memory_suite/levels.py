"""Names of levels: which stimuli are shown, the training or the holdout ones, and at which scale (specification §1.2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax

from unseen.environments.contract import Params
from unseen.errors import unknown

RESET_POOL = 4096  # levels that training keeps beforehand: drawing one costs far more than a step

Cell = tuple[float, bool, str]  # weight, holdout stimuli?, scale

# Tasks trained at two scales. How the original mixes them is not found; a fair coin is proposed.
TWO_SCALES: Mapping[str, tuple[Cell, ...]] = {
    "train": ((0.5, False, "small"), (0.5, False, "large")),
    "holdout_interpolate": ((1.0, True, "interpolate"),),
    "holdout_extrapolate": ((1.0, True, "extrapolate"),),
    "train_small": ((1.0, False, "small"),),
    "train_large": ((1.0, False, "large"),),
    "interpolate": ((1.0, False, "interpolate"),),
    "extrapolate": ((1.0, False, "extrapolate"),),
    "holdout_small": ((1.0, True, "small"),),
    "holdout_large": ((1.0, True, "large"),),
}

# Tasks trained at one scale (PsychLab); "holdout_train" is the place of holdout_small and holdout_large (proposed).
ONE_SCALE: Mapping[str, tuple[Cell, ...]] = {
    "train": ((1.0, False, "train"),),
    "holdout_interpolate": ((1.0, True, "interpolate"),),
    "holdout_extrapolate": ((1.0, True, "extrapolate"),),
    "interpolate": ((1.0, False, "interpolate"),),
    "extrapolate": ((1.0, False, "extrapolate"),),
    "holdout_train": ((1.0, True, "train"),),
}


def mixtures(names: Mapping[str, tuple[Cell, ...]], build: Callable[[bool, str], Params]) -> Mapping[str, tuple[tuple[float, Params], ...]]:
    """The levels of an environment: for each name the weighted `build(holdout, scale)`."""
    with jax.ensure_compile_time_eval():  # numbers, even where a traced function is the first to ask
        return {level: tuple((weight, build(holdout, scale)) for weight, holdout, scale in cells) for level, cells in names.items()}


def require_level(environment: str, names: Mapping[str, Any], level: str) -> None:
    """Raise `UserError` for a level that the environment does not have, with the nearest one."""
    if level not in names:
        raise unknown(f"level of {environment}", level, names)
