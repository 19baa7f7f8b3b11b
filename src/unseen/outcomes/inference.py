"""Intervals: doubly robust estimates of means of Q with their influence on every trajectory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64, Int64
from sklearn.utils.validation import check_is_fitted

from unseen.data.table import as_frame
from unseen.errors import UserError
from unseen.outcomes.estimates import Estimate
from unseen.outcomes.functionals import Along, Functional, Projection, Regions, StateMean, policy_weight, rows_at_once, uniform_weight
from unseen.outcomes.line import Line
from unseen.outcomes.linear import CHUNK, chunks, solve
from unseen.outcomes.rows import quotient
from unseen.outcomes.threads import at_once

if TYPE_CHECKING:
    from unseen.outcomes.diagnostics import Diagnostics
    from unseen.outcomes.fold import Fold
    from unseen.outcomes.problem import Problem
    from unseen.outcomes.rows import Rows

BEYOND_THE_STATE = "otherwise than the state says"  # of a caution that no interval survives
BEYOND = 5.0  # standard errors; cross-fitted residuals also carry the first stage's own error, which these leave out
FEW = 4  # rows of an action in a region for each fold, below which its interval is not to be trusted
NO_INTERVAL = (
    "Q at a single point of a continuous state space has no root-n interval; ask for a region (a function of the states that says who is "
    "in, or a mapping of names to such functions), for the linear projection (final='linear'), or for counted states"
)


class Inference:
    """Mixed into learners that keep their folds: `folds_`, `parts_`, `fold_`, `problem_`, and `jobs_`, how many are asked at a time.

    Source: specification, 11.1 (derived there).
    """

    problem_: Problem
    folds_: list[Fold]
    parts_: list[Int64[np.ndarray, "_"]]
    fold_: Int64[np.ndarray, " N"]
    jobs_: int
    final: Any
    row_weight: str
    ridge: float

    def scores(self, functional: Functional) -> Float64[np.ndarray, "N k"]:
        """(N, k) sum_t share_it {sum_a u(S, a) Q1(S, a) + (local + rho omega) delta}: each row with nuisances from the other folds."""
        size = rows_at_once(functional)
        return np.sum(at_once(lambda f: self.sums(f.rows, f.scores(functional), size), self.folds_, self.jobs_), axis=0)

    def by_row(self, parts: Sequence[Any]) -> Any:
        """(n, ...) what the folds say about their rows, back in the order of the data."""
        whole = np.empty((len(self.problem_.rows), *parts[0].shape[1:]))
        for index, values in zip(self.parts_, parts):
            whole[index] = values
        return whole

    @property
    def fold_share(self) -> Float64[np.ndarray, " K"]:
        """(K,) each fold's share of the rows, weighted."""
        weight = np.array([f.rows.weight.sum() for f in self.folds_])
        return weight / weight.sum()

    def estimate(self, functional: Functional, scores: Float64[np.ndarray, "N k"] | None = None) -> Estimate:
        """Any functional of `unseen.outcomes.functionals`, with its interval; `scores` where they are known already."""
        check_is_fitted(self, "g_")
        rows = self.problem_.rows
        scores = self.scores(functional) if scores is None else scores
        gram = functional.gram(rows)
        theta = solve(gram, scores.sum(axis=0))
        fitted = self.sums(rows, lambda part: functional.fitted(rows.take(part), theta), rows_at_once(functional))
        inside = len(scores) * (scores - fitted)
        return Estimate(functional.names, theta, solve(gram, inside.T).T, functional.label, data=self.problem_.fingerprint)

    def value(self, starts: Any = None, *, sampled: bool = False) -> Estimate:
        """V = E[v(S_0)]: what the policy is worth, begun where trajectories begin.

        (1/N) sum_i v(S_i0) + (1/n) sum_j rho_j nu(S_j) delta_j, nu = d0 / p_b + E_{d0, pi}[w].

        Args:
            starts: a table of other first states; None: those of the data's trajectories; "states": wherever the data are.
            sampled: the other first states are a sample, whose own variance counts too; without it they are who is asked about.

        Returns:
            An `Estimate`.
        """
        check_is_fitted(self, "g_")
        if isinstance(starts, str) and starts == "states":
            return self.estimate(StateMean())
        p = self.problem_
        if starts is None:
            return self._value_from_data()
        states = self._encoded(starts)  # type: ignore[attr-defined]
        policy, share = p.policy_at(states), np.full(len(states), 1 / len(states))
        if p.cells is not None and (p.cells.of(states) < 0).any():
            row = int(np.argmin(p.cells.of(states)))
            raise UserError(f"start state in row {row} never occurs in the data, so nothing is known about it; leave it out")
        # Each fold's own estimate, weighted by its rows.
        plug_in = np.stack([(policy * f.nuisances.q.values(states)).sum(axis=1) for f in self.folds_], axis=1) @ self.fold_share
        terms = self.by_row([f.start_weights(states, share, policy) * f.delta for f in self.folds_])
        mean = float(plug_in.mean() + p.rows.share @ terms)
        extra = np.array([[plug_in.var(ddof=1) / len(states)]]) if sampled and len(states) > 1 else None
        influence = self._by_trajectory((terms - p.rows.share @ terms)[:, None])
        return Estimate(("value",), np.array([mean]), influence, "value from the given first states", extra, p.fingerprint)

    def contrast(self, states: Any, treat: Any, control: Any) -> Estimate:
        """E[Q(S, treat) - Q(S, control) | S in a region], for a counted state, or by projection.

        Args:
            states: a function from a dataframe of states to who is in the region; a mapping from names to such functions; None for all
                decisions that were logged, each counting once; or a table of states, where states are counted or `final="linear"`
                (labelled as a projection).
            treat, control: action labels.

        Raises:
            UserError: single points of a continuous space, regions without rows, actions that the weights leave out.
        """
        data = self.problem_.data
        first, second = (int(data.encode_actions(a)[0]) for a in (treat, control))
        coefficients = np.zeros(data.n_actions)
        coefficients[first] += 1.0
        coefficients[second] -= 1.0
        return self._by_state(states, coefficients, f"{treat} - {control}")

    def outcome(self, states: Any, action: Any) -> Estimate:
        """E[Q(S, action) | S in a region], for a counted state, or by projection; `states` as in `contrast`."""
        data = self.problem_.data
        coefficients = np.zeros(data.n_actions)
        coefficients[int(data.encode_actions(action)[0])] = 1.0
        return self._by_state(states, coefficients, f"{action}")

    def effect_along(self, columns: str | Sequence[str], treat: Any, control: Any) -> Estimate:
        """How E[Q(S, treat) - Q(S, control)] varies along columns of the state or of the modifiers: its linear projection on them.

        Args:
            columns: names.
            treat, control: action labels.

        Returns:
            An `Estimate` of the effect averaged over all logged decisions (as `contrast(None, ...)`), and of what one unit of each number,
            or another level than the first of each category, adds to it.

        Raises:
            UserError: a name that is no column, columns that are the same everywhere or tell the same, actions that the weights leave out
                or that were never taken at a level.
        """
        average = self.contrast(None, treat, control)
        p = self.problem_
        line = Line.of(p.data, p.rows, [columns] if isinstance(columns, str) else list(columns))
        coefficients = np.zeros(p.actions)
        for label, sign in ((treat, 1.0), (control, -1.0)):
            coefficients[int(p.data.encode_actions(label)[0])] += sign
        cautions = self._cautions(line.members(p.rows), coefficients, line.groups)
        slopes = self.estimate(Along(line.columns, coefficients, ("1", *line.names), "slopes"))
        return replace(
            average,
            names=("on average", *line.names),
            value=np.concatenate([average.value, slopes.value[1:] / line.scale]),
            influence=np.concatenate([average.influence, slopes.influence[:, 1:] / line.scale], axis=1),
            label=f"{treat} - {control}, linear in {', '.join(line.names)}",
            cautions=(*average.cautions, *cautions),
        )

    def coefficients(self) -> Estimate:
        """theta of the linear projection of Q on the features, whatever the second stage is."""
        return self.estimate(self.projection(), getattr(self, "scores_", None))

    def projection(self) -> Projection:
        """The functional that `coefficients` and a linear second stage estimate."""
        labels = tuple(map(str, self.problem_.data.action_labels))
        said = "linear projection of Q" if self.ridge == 0 else "ridge projection of Q, shrunk towards 0"
        return Projection(self.problem_.psi, self.lambda_, self.ridge, labels, said)

    @property
    def lambda_(self) -> Any:
        """From rows to (n, A) the weights that `row_weight` names."""
        return policy_weight if self.row_weight == "policy" else uniform_weight

    @cached_property
    def diagnostics(self) -> Diagnostics:
        """Overlap, tails, support, calibration, moments, and the verdict."""
        from unseen.outcomes.diagnostics import diagnose

        check_is_fitted(self, "g_")
        return diagnose(self)

    @cached_property
    def value_weights(self) -> Float64[np.ndarray, " n"]:
        """(n,) rho nu: the weights of the residuals in the value from the data's first states."""
        p = self.problem_
        return self.by_row([f.start_weights(p.starts, p.start_share, p.start_policy) for f in self.folds_])

    def _forget(self) -> None:
        for name in ("diagnostics", "value_weights"):
            self.__dict__.pop(name, None)

    def _value_from_data(self) -> Estimate:
        p = self.problem_
        share = p.start_share
        terms = self.value_weights * self.by_row([f.delta for f in self.folds_])
        v = np.empty(len(p.starts))
        for k, fold in enumerate(self.folds_):
            mine = self.fold_ == k
            v[mine] = (p.start_policy[mine] * fold.nuisances.q.values(p.starts[mine])).sum(axis=1)
        correction = float(p.rows.share @ terms)
        mean = float(share @ v)
        influence = (len(v) * share * (v - mean))[:, None] + self._by_trajectory((terms - correction)[:, None])
        return Estimate(("value",), np.array([mean + correction]), influence, "value from the data's first states", data=p.fingerprint)

    def _by_state(self, states: Any, coefficients: Float64[np.ndarray, " A"], label: str) -> Estimate:
        check_is_fitted(self, "g_")
        p = self.problem_
        self._require_weight(coefficients)
        if states is None:
            states = {"all decisions": lambda frame: np.ones(len(as_frame(frame)), np.bool_)}
        if callable(states):
            states = {getattr(states, "__name__", "region").replace("<lambda>", "region"): states}
        if isinstance(states, dict) and states and all(callable(f) for f in states.values()):
            regions = self._regions(states, coefficients, label)
            return replace(self.estimate(regions), cautions=self._cautions(regions.members(p.rows), coefficients, regions.names))
        encoded = self._encoded(states)  # type: ignore[attr-defined]
        names = tuple(_described(p.data.decode_states(encoded)))
        if p.cells is not None:
            s = p.cells.of(encoded)
            visits = p.counts(p.rows).visits.sum(axis=1)
            missing = (s < 0) | (visits[s] == 0)
            if missing.any():
                raise UserError(
                    f"state {names[int(np.argmax(missing))]} has no row in the data, so nothing is known about it; leave it out"
                )
            self._require_cells(s, coefficients, names)
            regions = Regions(lambda rows: rows.s[:, None] == s, np.tile(coefficients[:, None], (1, len(s))), names, label)
            return replace(self.estimate(regions), cautions=self._cautions(regions.members(p.rows), coefficients, names))
        if isinstance(self.final, str) and self.final in ("auto", "linear"):
            theta = self.coefficients()
            phi = p.features(encoded)
            mixed = p.psi.mix(phi, np.tile(coefficients, (len(phi), 1)))
            return theta.combined(mixed, names, f"{label}, by the linear projection of Q")
        raise UserError(NO_INTERVAL)

    def _regions(self, regions: dict[str, Any], coefficients: Float64[np.ndarray, " A"], label: str) -> Regions:
        p = self.problem_

        def inside(rows: Any) -> Any:
            frame = p.data.describe(rows.states, rows.modifiers)
            return np.stack([_members(f, frame, len(rows), name) for name, f in regions.items()], axis=1)

        count = inside(p.rows).sum(axis=0)
        for name, size in zip(regions, count):
            if size == 0:
                raise UserError(f"region {name!r} holds no row of the data; widen it")
        return Regions(inside, np.tile(coefficients[:, None], (1, len(regions))), tuple(regions), label)

    def _cautions(
        self, members: Float64[np.ndarray, "n k"], coefficients: Float64[np.ndarray, " A"], names: tuple[str, ...]
    ) -> tuple[str, ...]:
        """What an estimate says little about: actions hardly ever taken there, and mass of states where they never were.

        Raises:
            UserError: an action that was never taken in a region.
        """
        p, found = self.problem_, []
        of_row = self.fold_[p.rows.trajectory]
        for a in np.flatnonzero(coefficients):
            label, taken = p.data.action_labels[a], p.rows.actions == a
            unseen = np.zeros(len(p.rows))
            if p.cells is not None:
                unseen = (p.counts(p.rows).visits[p.rows.s, a] == 0).astype(np.float64)
            for name, inside in zip(names, members.T):
                count = int((inside * taken).sum())
                least = min(int((inside * taken * (of_row == k)).sum()) for k in range(len(self.folds_)))
                if count == 0:
                    raise UserError(f"action {label!r} was never taken in {name!r}; nothing is known about it there: widen the region")
                if least == 0 or count < FEW * len(self.folds_):
                    found.append(f"{name}: {label} was taken {count} times, too few for its interval to be trusted")
                share = float(inside @ unseen / inside.sum())
                if share > 0:
                    found.append(f"{name}: in {share:.1%} of its decisions {label} was never taken in the state; other actions stand in")
            if p.rows.modifiers is not None:
                found += self._beyond_the_state(members, int(a), names)
        return tuple(found)

    def _beyond_the_state(self, members: Float64[np.ndarray, "n k"], a: int, names: tuple[str, ...]) -> list[str]:
        """Groups in which an action was chosen, or did, otherwise than the state says: then modifiers belong into the state."""
        p, found = self.problem_, []
        taken = (p.rows.actions == a) * self.by_row([f.inverse for f in self.folds_])
        delta = self.by_row([f.delta for f in self.folds_])
        label = p.data.action_labels[a]
        for what, terms in (("was chosen", taken - 1), ("did", taken * delta)):
            apart = self.apart(lambda part, terms=terms: members[part] * terms[part, None])
            for name, by in zip(names, apart):
                if by > BEYOND:
                    found.append(f"{name}: {label} {what} {BEYOND_THE_STATE} ({by:.0f} standard errors); put what tells into the state")
        return found

    def _require_weight(self, coefficients: Float64[np.ndarray, " A"]) -> None:
        """With row_weight='policy' nothing is fitted for actions that the policy never takes."""
        p = self.problem_
        if self.row_weight == "policy":
            never = p.rows.policy.max(axis=0) == 0
            if (never & (coefficients != 0)).any():
                label = p.data.action_labels[int(np.argmax(never & (coefficients != 0)))]
                raise UserError(f"the policy never takes {label!r}, so row_weight='policy' gives it no weight; use row_weight='uniform'")

    def _require_cells(self, s: Int64[np.ndarray, " m"], coefficients: Float64[np.ndarray, " A"], names: tuple[str, ...]) -> None:
        p = self.problem_
        visits = p.counts(p.rows).visits[s]
        bad = (visits == 0) & (coefficients != 0)[None]
        if bad.any():
            i, a = (int(x) for x in np.argwhere(bad)[0])
            raise UserError(f"action {p.data.action_labels[a]!r} was never taken in state {names[i]}; nothing is known about it there")

    def _by_trajectory(self, rows: Float64[np.ndarray, "n k"]) -> Float64[np.ndarray, "N k"]:
        """xi_i = N sum_t share_it IF_it."""
        return self.problem_.data.n_trajectories * self.sums(self.problem_.rows, lambda part: rows[part])

    def apart(self, terms: Callable[[slice], Float64[np.ndarray, "m k"]]) -> Float64[np.ndarray, " k"]:
        """(k,) |mean of the rows' terms| in standard errors by trajectory."""
        sums = self.sums(self.problem_.rows, terms)
        return quotient(np.abs(sums.sum(axis=0)), np.sqrt((sums**2).sum(axis=0)))

    def sums(self, rows: Rows, terms: Callable[[slice], Float64[np.ndarray, "m k"]], size: int = CHUNK) -> Float64[np.ndarray, "N k"]:
        """(N, k) sum_t share_it terms_it of every trajectory, share among all rows; a trajectory's rows follow each other."""
        p = self.problem_
        total, scale = np.zeros((p.data.n_trajectories, 1)), p.rows.weight.sum()
        for part in chunks(len(rows), size):
            who = rows.trajectory[part]
            first = np.flatnonzero(np.diff(who, prepend=-1))
            some = np.add.reduceat(terms(part) * (rows.weight[part, None] / scale), first)
            if total.shape[1] != some.shape[1]:
                total = np.zeros((len(total), some.shape[1]))
            total[who[first]] += some
        return total


def _members(region: Any, frame: Any, n: int, name: str) -> Any:
    """(n,) booleans from what a region's function answered."""
    answer = np.asarray(region(frame))
    if answer.shape != (n,) or answer.dtype.kind != "b":
        raise UserError(
            f"region {name!r} answers with {answer.dtype} of shape {answer.shape}; it must say True or False for each of {n} states"
        )
    return answer


def _described(frame: Any) -> list[str]:
    """Each state in words: stage=II, tumour=3.1."""
    table = as_frame(frame)
    columns = {name: table[name].to_list() for name in table.columns}
    return [
        ", ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in zip(columns, row)) for row in zip(*columns.values())
    ]
