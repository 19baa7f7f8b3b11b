"""The first stage on one set of rows: behaviour policy, initial Q, and where the evaluation policy goes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64

from unseen.errors import UserError, unknown
from unseen.outcomes.behaviour import Behaviour, Given, Logged, Tabular, classified
from unseen.outcomes.linear import BellmanMoments, Flow, LinearQ
from unseen.outcomes.problem import Problem
from unseen.outcomes.ratios import LinearRatio, Ratio, TabularRatio, stabilised
from unseen.outcomes.regression import evaluate_q, regressor
from unseen.outcomes.rows import Rows
from unseen.outcomes.tables import Cells, Table

RATIOS = ("auto", "tabular", "linear", "network", "kernel")


@runtime_checkable
class QModel(Protocol):
    """A fitted Q."""

    def values(self, states: Float64[np.ndarray, "m d"]) -> Float64[np.ndarray, "m A"]:
        """(m, A) at encoded states."""
        ...


@dataclass(frozen=True, eq=False)
class TableQ:
    """Q by cell.

    Attributes:
        cells: numbers the states.
        q: (S, A).
        elsewhere: value of states that were never observed.
    """

    cells: Cells
    q: Float64[np.ndarray, "S A"]
    elsewhere: float = 0.0

    def values(self, states: Float64[np.ndarray, "m d"]) -> Float64[np.ndarray, "m A"]:
        """(m, A)."""
        s = self.cells.of(states)
        return np.where((s >= 0)[:, None], self.q[s], self.elsewhere)


@dataclass(frozen=True)
class ZeroQ:
    """Nothing is known."""

    actions: int

    def values(self, states: Float64[np.ndarray, "m d"]) -> Float64[np.ndarray, "m A"]:
        """(m, A) zeros."""
        return np.zeros((len(states), self.actions))


@dataclass(frozen=True)
class FirstStage:
    """How the nuisances are estimated.

    Attributes:
        behaviour: "auto" (logged where it was, counted where states are, else logistic), "logged", "tabular", "logistic", a
            scikit-learn classifier, or a policy that is known.
        calibration: of classifiers.
        initial_q: "auto", "tabular", "linear", "neural", "zero", a regressor or its name, or an object with values(states).
        sweeps: of fitted Q evaluation; None: to convergence.
        ratio: "auto", "tabular", "linear", "network", "kernel", or an object with forward(queries, rows, values).
        ridge: of linear models, relative to the mean diagonal.
        smoothing: of counted transitions.
        stabilise: rescale and cut ratios that are functions of pairs.
        floor: smallest behaviour probability that is divided by.
    """

    behaviour: Any = "auto"
    calibration: str = "auto"
    initial_q: Any = "auto"
    sweeps: int | None = None
    ratio: Any = "auto"
    ridge: float = 0.0
    smoothing: float = 0.0
    stabilise: bool = True
    floor: float = 0.01


@dataclass(frozen=True, eq=False)
class Nuisances:
    """Fitted on some rows, to be used on others.

    Attributes:
        behaviour: pi_b.
        q: initial Q.
        ratio: w, where the second stage needs it.
        table: the counted process, where states are counted.
        flow: the flow equation, where states are not counted.
        inverse: (n,) 1 / pi_b of the action taken on the rows it was fitted on, where the flow or the ratio needs it.
        notes: what happened on the way: sweeps made, growth of a sweep.
    """

    behaviour: Behaviour
    q: QModel
    ratio: Ratio | None
    table: Table | None
    flow: Flow | None
    inverse: Float64[np.ndarray, " n"] | None
    notes: dict[str, float]


def fit_nuisances(
    p: Problem,
    rows: Rows,
    settings: FirstStage,
    *,
    pairwise: bool,
    seed: int,
    with_flow: bool = True,
    moments: BellmanMoments | None = None,
    near: Behaviour | None = None,
) -> Nuisances:
    """Fit on these rows.

    Args:
        p: the problem they belong to.
        rows: to learn from.
        settings: how.
        pairwise: whether the second stage needs w itself; a linear one and the intervals use the flow equation instead.
        seed: of everything drawn.
        with_flow: whether intervals will be asked for.
        moments: of these rows for linear fitted Q evaluation, where they are known already.
        near: pi_b of similar rows, from which a logistic one is reached sooner.
    """
    notes: dict[str, float] = {}
    table = None
    if p.cells is not None:
        table = Table.from_counts(p.counts(rows), p.policy_table, p.discount, settings.smoothing)
    behaviour = fit_behaviour(p, rows, settings, seed, near)
    q = fit_initial_q(p, rows, settings, table, seed, notes, moments)
    inverse = flow = None
    ratio_kind = resolved_ratio(p, settings.ratio)
    needs_rho = (table is None and with_flow) or (pairwise and ratio_kind == "kernel")
    if needs_rho:
        inverse = 1 / floored(behaviour(rows), rows, settings.floor)[0]
    if table is None and with_flow:
        assert inverse is not None
        flow = Flow.fitted(p.features, rows, rows.taken * inverse, p.discount)
    ratio = fit_ratio(p, rows, settings, table, inverse, seed) if pairwise else None
    return Nuisances(behaviour, q, ratio, table, flow, inverse, notes)


def floored(every: Float64[np.ndarray, "m A"], rows: Rows, floor: float) -> tuple[Float64[np.ndarray, " m"], float]:
    """(m,) probability of the action taken, at least the floor, and the share of rows that the floor lifted."""
    taken = every[np.arange(len(rows)), rows.actions]
    low = taken < floor
    return np.where(low, floor, taken), float(rows.share @ low)


def fit_behaviour(p: Problem, rows: Rows, settings: FirstStage, seed: int, near: Behaviour | None = None) -> Behaviour:
    """The behaviour policy, as the settings say."""
    kind = settings.behaviour
    if isinstance(kind, str):
        if kind == "auto":
            kind = "logged" if p.data.propensities is not None else "tabular" if p.cells is not None else "logistic"
        if kind == "logged":
            if p.data.propensities is None:
                raise UserError("behaviour='logged', but the data have no propensities; name their column in from_table(propensity=...)")
            return Logged()
        if kind == "tabular":
            if p.cells is None:
                raise UserError("behaviour='tabular' needs states that can be counted; use 'logistic' or a classifier")
            return Tabular(p.cells, p.counts(rows).visits)
        return classified(rows, kind, p.features, seed, settings.calibration, near)
    if hasattr(kind, "predict_proba"):
        return classified(rows, kind, p.features, seed, settings.calibration, near)
    return Given(kind, p.data)


def fit_initial_q(
    p: Problem,
    rows: Rows,
    settings: FirstStage,
    table: Table | None,
    seed: int,
    notes: dict[str, float],
    moments: BellmanMoments | None = None,
) -> QModel:
    """The initial Q, as the settings say."""
    kind = settings.initial_q
    if isinstance(kind, str) and kind == "auto":
        kind = "tabular" if table is not None else "linear"
    if isinstance(kind, str):
        if kind == "zero":
            return ZeroQ(p.actions)
        if kind == "tabular":
            if table is None or p.cells is None:
                raise UserError("initial_q='tabular' needs states that can be counted; use 'linear', 'neural' or a regressor")
            q = table.q(settings.sweeps)
            return TableQ(p.cells, q, float(np.average(q, weights=table.visits)))
        if kind == "linear":
            moments = BellmanMoments.of(p.psi, rows) if moments is None else moments
            notes["growth"] = moments.growth(p.discount)
            return LinearQ(p.psi, moments.theta(p.discount, settings.sweeps, settings.ridge))
        if kind == "neural":
            from unseen.outcomes.q_network import fit_q_network

            return fit_q_network(rows, p.features, p.discount, seed)
    elif hasattr(kind, "values"):
        return kind
    q, made, change = evaluate_q(rows, p.discount, regressor(kind, seed, len(rows)), p.features, sweeps=settings.sweeps, mode=p.psi.mode)
    notes |= {"sweeps": float(made), "change": change}
    return q


def resolved_ratio(p: Problem, kind: Any) -> Any:
    """The kind of ratio that "auto" stands for."""
    if isinstance(kind, str):
        if kind not in RATIOS:
            raise unknown("ratio", kind, RATIOS)
        return ("tabular" if p.cells is not None else "linear") if kind == "auto" else kind
    return kind


def fit_ratio(
    p: Problem, rows: Rows, settings: FirstStage, table: Table | None, inverse: Float64[np.ndarray, " n"] | None, seed: int
) -> Ratio:
    """The density ratio, as the settings say."""
    kind = resolved_ratio(p, settings.ratio)
    if not isinstance(kind, str):
        return kind
    if kind == "tabular":
        if table is None or p.cells is None:
            raise UserError("ratio='tabular' needs states that can be counted; use 'linear', 'network' or 'kernel'")
        return TabularRatio(p.cells, table)
    if kind == "linear":
        return LinearRatio.fitted(p.psi, rows, p.discount, settings.ridge)
    from unseen.outcomes.ratio_networks import kernel_minimax, successor_density

    if kind == "network":
        pairs = successor_density(rows, p.features, p.discount, seed)
    else:
        assert inverse is not None
        pairs = kernel_minimax(rows, rows.taken * inverse, p.features, p.discount, seed)
    return stabilised(pairs, expected_mass(p, rows) if settings.stabilise else None, rows, seed)


def expected_mass(p: Problem, rows: Rows) -> Any:
    """m(s, a) = gamma E[(1 - D)(1 + sum_a pi_e(a|S~) m(S~, a))]: Q of a reward of gamma while the episode goes on.

    From counts where states are counted, else linear.
    """
    if p.cells is not None:
        cells, table = p.cells, Table.from_counts(p.counts(rows), p.policy_table, p.discount)
        counted = table.successor_mean(np.ones(len(cells)))
        return CountedMass(cells, np.concatenate([counted, counted.mean(axis=0, keepdims=True)]))
    alive = replace(rows, rewards=p.discount * rows.alive)
    mass = LinearQ(p.psi, BellmanMoments.of(p.psi, alive).theta(p.discount))
    most = p.discount / (1 - p.discount) if p.discount < 1 else np.inf
    return LinearMass(mass, most)


LEAST = 1e-3  # mass below which a ratio is not rescaled


@dataclass(frozen=True, eq=False)
class CountedMass:
    """m(s, a) from counts.

    Attributes:
        cells: numbers of the states.
        table: (S + 1, A); the last row is for states never seen.
    """

    cells: Cells
    table: Float64[np.ndarray, "T A"]

    def __call__(self, states: Float64[np.ndarray, "m d"]) -> Float64[np.ndarray, "m A"]:
        """(m, A)."""
        return np.maximum(self.table[self.cells.of(states)], LEAST)


@dataclass(frozen=True, eq=False)
class LinearMass:
    """m(s, a) by a linear model, within what is possible.

    Attributes:
        model: of the mass.
        most: gamma / (1 - gamma).
    """

    model: LinearQ
    most: float

    def __call__(self, states: Float64[np.ndarray, "m d"]) -> Float64[np.ndarray, "m A"]:
        """(m, A)."""
        return np.clip(self.model.values(states), LEAST, self.most)
