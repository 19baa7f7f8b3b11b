"""Logged decisions with a known truth: every environment that `unseen.outcomes` is judged on, as a table."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import polars as pl
from jaxtyping import Float64

from unseen.data import Transitions
from unseen.environments import options
from unseen.environments.clinical.sepsis_table import sepsis
from unseen.environments.tabular.mdp import TabularMDP
from unseen.environments.tabular.toys import frozen_lake, taxi
from unseen.errors import UserError, unknown
from unseen.experiments import logged_tables
from unseen.outcomes.policies import Policy

ROLLOUTS, TOLERANCE = 20_000, 1e-3


@runtime_checkable
class Truth(Protocol):
    """What is true of the evaluation policy."""

    def q(self, states: Any, actions: Any) -> tuple[Float64[np.ndarray, " m"], Float64[np.ndarray, " m"]]:
        """(m,) Q(s, a) and (m,) standard errors."""
        ...

    def value(self) -> tuple[float, float]:
        """Mean of v over first states, and its standard error."""
        ...


@dataclass(frozen=True)
class Setting:
    """An environment to log, and how it is logged unless asked otherwise. Every number here is proposed.

    Attributes:
        table: makes it as a table; None for the tumour.
        length: decisions after which a trajectory is cut.
        discount: gamma.
        epsilon_b: probability that the behaviour policy acts uniformly at random.
        epsilon_e: the same of the evaluation policy.
        coef: strength of the tumour's confounding by size; None for tables.
        type_only: whether the state holds a patient's type instead of the parameters.
    """

    table: Callable[[], TabularMDP] | None
    length: int
    discount: float = 0.9
    epsilon_b: float = 0.8
    epsilon_e: float = 0.3
    coef: float | None = None
    type_only: bool = False


SETTINGS: Mapping[str, Setting] = {
    "taxi": Setting(taxi, 200),
    "taxi-125": Setting(lambda: taxi(destination=0), 200),
    "frozen-lake": Setting(frozen_lake, 100),
    "sepsis": Setting(sepsis, 20, epsilon_b=0.5),
    "tumour": Setting(None, 60, epsilon_b=0.1, coef=4.0),
    "tumour-type-only": Setting(None, 60, epsilon_b=0.1, coef=4.0, type_only=True),
}


@dataclass(frozen=True, eq=False)
class Logged:
    """A log, the policy to be judged from it, and the truth about that policy.

    Attributes:
        name: of the setting.
        table: a row for every decision: id, time, the state's columns, action (its label), reward, terminated, and propensity, the
            behaviour's probability of the action taken. A trajectory that was cut ends with a row that holds its last state only,
            so that `from_table` keeps every decision.
        columns: keyword arguments of `Transitions.from_table` for the table.
        behaviour: who decided; answers from the columns of the table.
        policy: to be judged, as `fit(data, policy)` takes it.
        discount: gamma.
        truth: of the policy.
    """

    name: str
    table: pl.DataFrame
    columns: Mapping[str, Any]
    behaviour: Policy
    policy: Policy
    discount: float
    truth: Truth

    def transitions(self) -> Transitions:
        """The table as estimators read it."""
        return Transitions.from_table(self.table, **self.columns)

    def truth_q(self, states: Any, actions: Any) -> tuple[Float64[np.ndarray, " m"], Float64[np.ndarray, " m"]]:
        """Q^pi(s, a) = E[sum_t gamma^t R_t | S_0 = s, A_0 = a], later actions by the policy, for ever.

        Args:
            states: a table with the state's columns, as rows of `table`; of the tumour always with the parameters, which in
                "tumour-type-only" the estimators do not see.
            actions: one label for all, or one for every row.

        Returns:
            (m,) values and (m,) standard errors: 0 where they are exact. The tumour's share their random numbers, so that
            contrasts are sharper than their errors say.

        Raises:
            UserError: missing columns, a state that does not exist, an unknown action.
        """
        return self.truth.q(states, actions)

    def truth_value(self) -> tuple[float, float]:
        """E[v(S_0)] over first states as in the log's environment, and its standard error."""
        return self.truth.value()


def logged(
    name: str,
    trajectories: int,
    *,
    seed: int = 0,
    length: int | None = None,
    discount: float | None = None,
    epsilon_b: float | None = None,
    epsilon_e: float | None = None,
    coef: float | None = None,
    rollouts: int = ROLLOUTS,
    tolerance: float = TOLERANCE,
) -> Logged:
    """Log trajectories under a behaviour policy, with the truth about an evaluation policy.

    Tables: both policies take the optimal action of the discount with probability 1 - epsilon, any with epsilon / A each.
    Tumour: chemo and radio are given independently with probability sigmoid(coef (D - 6.5) / 13) by the current diameter D in cm
    (that no other day counts keeps it Markov), all with 1 - epsilon_b, else one of the four actions uniformly; the evaluation policy is
    `logged_tumour.ThresholdRule`.

    Args:
        name: of a setting in `SETTINGS`.
        trajectories: how many, 1 or more.
        seed: of everything drawn for the log; the truth does not depend on it.
        length: decisions after which a trajectory is cut.
        discount: gamma, above 0 and below 1.
        epsilon_b, epsilon_e: between 0 and 1; a larger epsilon_b gives more overlap.
        coef: 0 (tossed coins) or more; the public codes use 0 to 10.
        rollouts: for each of the tumour's true values.
        tolerance: what the tumour's values may lack because rollouts end, in units of reward.

    Raises:
        UserError: an unknown name, or a number that is not allowed.

    Source: the tumour's behaviour: Bica et al. 2020, without their mean over 15 days; mixing in uniform actions, the evaluation policies
    and all defaults are proposed.
    """
    if name not in SETTINGS:
        raise unknown("logged environment", name, SETTINGS)
    setting = SETTINGS[name]
    for option, count in (("trajectories", trajectories), ("rollouts", rollouts), ("length", setting.length if length is None else length)):
        options.require_integer(f"logged {name}", option, count, 2 if option == "rollouts" else 1)
    if coef is not None and setting.coef is None:
        raise UserError(f"logged {name}: coef={coef!r} is not allowed; only the tumour has one: leave it out")
    chosen = Setting(
        table=setting.table,
        length=setting.length if length is None else length,
        discount=_between(name, "discount", setting.discount if discount is None else discount, open_ends=True),
        epsilon_b=_between(name, "epsilon_b", setting.epsilon_b if epsilon_b is None else epsilon_b),
        epsilon_e=_between(name, "epsilon_e", setting.epsilon_e if epsilon_e is None else epsilon_e),
        coef=setting.coef if coef is None else coef,
        type_only=setting.type_only,
    )
    if chosen.table is not None:
        return _from_tables(name, chosen, chosen.table(), trajectories, seed)
    options.require_number(f"logged {name}", "coef", chosen.coef, 0.0)
    _between(name, "tolerance", tolerance, open_ends=True)
    return _from_patients(name, chosen, trajectories, seed, rollouts, tolerance)


def _from_tables(name: str, setting: Setting, mdp: TabularMDP, trajectories: int, seed: int) -> Logged:
    behaviour = mdp.epsilon_greedy(setting.discount, setting.epsilon_b)
    policy = mdp.epsilon_greedy(setting.discount, setting.epsilon_e)
    return Logged(
        name=name,
        table=logged_tables.walk(mdp, behaviour, trajectories, setting.length, seed),
        columns=_columns(dict.fromkeys(mdp.column_names, "categorical"), mdp.action_names),
        behaviour=logged_tables.as_policy(mdp, behaviour),
        policy=logged_tables.as_policy(mdp, policy),
        discount=setting.discount,
        truth=logged_tables.TableTruth(mdp, policy, setting.discount),
    )


def _from_patients(name: str, setting: Setting, trajectories: int, seed: int, rollouts: int, tolerance: float) -> Logged:
    from unseen.experiments import logged_tumour  # brings JAX along, which tables do without

    behaviour = logged_tumour.BySize(float(setting.coef or 0.0), setting.epsilon_b)
    policy = logged_tumour.ThresholdRule(epsilon=setting.epsilon_e)
    hidden = ("alpha", "rho", "beta_c") if setting.type_only else ("type",)
    state = {column: kind for column, kind in logged_tumour.STATE.items() if column not in hidden}
    return Logged(
        name=name,
        table=logged_tumour.walk(behaviour, trajectories, setting.length, seed),
        columns=_columns(state, logged_tumour.ACTIONS),
        behaviour=behaviour,
        policy=policy,
        discount=setting.discount,
        truth=logged_tumour.TumourTruth(policy, setting.discount, rollouts, tolerance),
    )


def _columns(state: Mapping[str, str], actions: Sequence[str]) -> dict[str, Any]:
    """Arguments of `from_table`; all actions are named, so that their order does not depend on what was logged."""
    named = {column: column for column in ("id", "time", "action", "reward", "terminated", "propensity")}
    return {**named, "state": dict(state), "actions": tuple(actions)}


def _between(name: str, option: str, value: float, open_ends: bool = False) -> float:
    """The number if it lies between 0 and 1 (apart from both where `open_ends`)."""
    number = isinstance(value, int | float) and math.isfinite(value)
    inside = number and (0 < value < 1 if open_ends else 0 <= value <= 1)
    if not inside:
        allowed = "above 0 and below 1" if open_ends else "from 0 to 1"
        raise UserError(f"logged {name}: {option}={value!r} is not allowed; give a number {allowed}")
    return float(value)
