"""One data set of `reproduce outcomes`: every method fitted on it, and how far from the truth it came."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64

import unseen.outcomes as room
from unseen.data import Transitions
from unseen.errors import UserError
from unseen.experiments.reproduce.outcomes_grid import TRUTH, TUMOUR, Cell, Method, Setting
from unseen.experiments.reproduce.outcomes_truth import Known, Queries, tabular
from unseen.outcomes.estimates import Estimate
from unseen.outcomes.features import StateFeatures
from unseen.outcomes.linear import ActionFeatures, LinearQ, solve

if TYPE_CHECKING:  # brings JAX along, which tables do without
    from unseen.experiments.reproduce.outcomes_tumour import Patients

# rmse = ||Q-hat - Q||^2 / ||Q||^2 over all pairs; visited: over those of the data; weighted: by p_b pi_e; from_fqe: ||Q-hat - FQE||^2 /
# ||Q||^2 in the saturated class; value: V-hat; low, high: its 95 % interval; true_value: V;
# episodes: of the data set.
MEASURES = ("rmse", "visited", "weighted", "from_fqe", "value", "low", "high", "true_value", "episodes", "seconds")
Row = dict[str, Any]
Visits = Float64[np.ndarray, "m A"] | None


def fitted(cell: Cell, seed: int) -> list[Row]:
    """A row of `MEASURES` for each method; one that cannot be fitted says why under "failure"."""
    of = known(cell.task, cell.setting)
    data, q_fqe, rows = of.data(seed), None, []
    visits = visited(data, of.queries)
    common = {"true_value": of.value, "episodes": data.n_trajectories}
    for method in cell.methods:
        row: Row = {"seed": seed, "method": method.name, "failure": ""} | dict.fromkeys(MEASURES) | common
        begun = time.perf_counter()
        try:
            learner, q = _fit(method, of, data, visits)
        except (UserError, np.linalg.LinAlgError, RuntimeError) as error:
            rows.append(row | {"failure": str(error).splitlines()[0]})
            continue
        row["seconds"] = time.perf_counter() - begun
        if q is not None:
            row |= distances(q, of.queries, visits)
            if method.family == "saturated":
                q_fqe = q if method.learner == "FQE" and method.options.get("sweeps") is None else q_fqe
                if q_fqe is not None:
                    row["from_fqe"] = float(((q - q_fqe) ** 2).sum() / (of.queries.truth**2).sum())
        rows.append(row | _value(learner))
    return rows


@cache
def known(task: str, setting: Setting) -> Known | Patients:
    """What is known of a task at a setting; kept, as are its solutions."""
    if task in TUMOUR:
        from unseen.experiments.reproduce.outcomes_tumour import Patients

        return Patients(task, setting)
    return tabular(task, setting)


def _fit(method: Method, of: Known | Patients, data: Transitions, visits: Visits) -> tuple[Any, Float64[np.ndarray, "m A"] | None]:
    """The fitted learner, and its Q where it has one."""
    asked = of.queries
    if method.learner == "Nearest":
        return None, nearest(asked, data)
    learner = getattr(room, method.learner)(of.discount, **_options(method.options, of))
    if isinstance(learner, room.DRQLearner):
        learner.set_params(n_jobs=1)  # data sets are spread over the cores already
    with warnings.catch_warnings():  # what LightGBM and scikit-learn say about feature names and small leaves
        warnings.simplefilter("ignore", UserWarning)
        learner.fit(data, of.judged())
        if method.family == "value":
            return learner, None
        q = learner.predict(asked.states)
    return learner, filled(q, visits) if method.family == "saturated" and visits is not None else q


def _options(options: Mapping[str, Any], of: Known | Patients) -> dict[str, Any]:
    """Names of things replaced by the things."""
    truths = of.truths() if TRUTH in options.values() else {}
    return {name: truths[name] if value == TRUTH else trees() if value == "trees" else value for name, value in options.items()}


def trees() -> Any:
    """LightGBM, small and on one thread.

    Raises:
        UserError: it is not installed.
    """
    try:
        from lightgbm import LGBMRegressor
    except ModuleNotFoundError:
        raise UserError("'lightgbm' is not installed; pip install 'unseen[trees]'") from None
    return LGBMRegressor(n_estimators=50, num_leaves=15, min_child_samples=5, n_jobs=1, random_state=0, verbose=-1)


def visited(data: Transitions, asked: Queries) -> Visits:
    """(m, A) rows in each cell that is asked about; None where states are not counted."""
    if asked.number is None:
        return None
    place = np.minimum(np.searchsorted(asked.number, data.state_index), len(asked.number) - 1)
    found = asked.number[place] == data.state_index
    cell = place[found] * data.n_actions + data.actions[found]
    return np.bincount(cell, minlength=asked.truth.size).reshape(asked.truth.shape).astype(np.float64)


def filled(q: Float64[np.ndarray, "m A"], visits: Float64[np.ndarray, "m A"]) -> Float64[np.ndarray, "m A"]:
    """The same rule for every saturated learner: a pair without data gets the mean over its state's rows, or over all rows."""
    total = visits.sum(axis=1)
    overall = (visits * q).sum() / visits.sum()
    mean = np.divide((visits * q).sum(axis=1), total, out=np.full(len(q), overall), where=total > 0)
    return np.where(visits > 0, q, mean[:, None])


def nearest(asked: Queries, data: Transitions) -> Float64[np.ndarray, "m A"]:
    """(m, A) the linear function without interactions that is nearest to the true Q, all pairs counting alike."""
    psi = ActionFeatures(StateFeatures(data.schema, asked.states), data.n_actions, "additive")
    phi, every = psi.features(asked.states), np.ones(asked.truth.shape)
    theta = solve(psi.second_moment(phi, every), psi.mix(phi, asked.truth).sum(axis=0))
    return LinearQ(psi, theta).values(asked.states)


def distances(q: Float64[np.ndarray, "m A"], asked: Queries, visits: Visits) -> Row:
    """Relative squared errors over all pairs, over those with data, and weighted by p_b pi_e."""
    weights = {"rmse": np.ones_like(asked.weight), "weighted": asked.weight}
    if visits is not None:
        weights["visited"] = (visits > 0).astype(np.float64)
    return {name: float((w * (q - asked.truth) ** 2).sum() / (w * asked.truth**2).sum()) for name, w in weights.items()}


def _value(learner: Any) -> Row:
    """V-hat from the data's first states, and its interval where there is one."""
    if learner is None:
        return {}
    try:
        value = learner.value()
    except UserError:  # no trajectory follows the policy so far
        return {}
    low, high = value.interval() if isinstance(value, Estimate) else (None, None)
    return {"value": float(value.estimate), "low": low, "high": high}
