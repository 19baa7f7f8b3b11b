"""A finite POMDP as tables: sparse probabilities, a reward that keeps only the axes it depends on, and who ends an episode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Bool, Float
from scipy import sparse  # pyright: ignore[reportMissingTypeStubs]

from unseen.errors import UserError

if TYPE_CHECKING:
    from unseen.environments.tabular.joint import Joint

Values = Literal["reward", "cost"]
DENSE_LIMIT = 2**31  # bytes; above it a dense table is refused instead of exhausting the machine
TOLERANCE = 1e-4  # how far a probability row of a file may be from 1 (published files round to 4-6 digits)


@dataclass(frozen=True, eq=False)
class TabularPOMDP:
    """States s, actions a, observations o; T(s'|s,a), O(o|a,s') or O(o|a,s,s'), R(s,a,s',o), start b0(s), discount.

    Build one with `from_tables`, `read_pomdp` or a generator. Always in terms of reward: costs were negated on the way in.
    Distributions that sum to 1 only within 1e-4 are normalised: the bounds and the draws are of one and the same problem.

    Attributes:
        transition_rows: T as a sparse matrix, shape (A*S, S); row a*S + s. A terminal row holds the start distribution.
        observation_rows: O as a sparse matrix, shape (A*S, O) with row a*S + s', or (A*S*S, O) with row (a*S + s)*S + s'.
        reward: R with axes (a, s, s', o); an axis has length 1 where the reward does not depend on it. See `reward_full`.
        start: b0, shape (S,).
        terminal: shape (A, S); True where taking a in s pays its reward and ends the episode (`reset` in a file).
        discount: gamma in [0, 1].
        state_names, action_names, observation_names: one name per index.
        values: what the file held; "cost" is written back as cost.
    """

    transition_rows: sparse.csr_array
    observation_rows: sparse.csr_array
    reward: Float[np.ndarray, "#A #S #S_next #O"]
    start: Float[np.ndarray, "S"]
    terminal: Bool[np.ndarray, "A S"]
    discount: float
    state_names: tuple[str, ...]
    action_names: tuple[str, ...]
    observation_names: tuple[str, ...]
    values: Values = "reward"

    def __post_init__(self) -> None:
        actions, states, observations = self.shape
        if not 0.0 <= self.discount <= 1.0:
            raise UserError(f"discount {self.discount} is outside [0, 1]")
        if self.transition_rows.shape != (actions * states, states):  # pyright: ignore[reportUnnecessaryComparison]
            raise UserError(f"transitions have shape {self.transition_rows.shape}, need ({actions * states}, {states})")
        if self.observation_rows.shape not in ((actions * states, observations), (actions * states * states, observations)):  # pyright: ignore[reportUnnecessaryContains]
            raise UserError(f"observations have shape {self.observation_rows.shape}, need {actions * states} rows of {observations}")
        _check_reward_axes(self.reward, (actions, states, states, observations))
        if self.start.shape != (states,) or self.terminal.shape != (actions, states):
            raise UserError(f"start {self.start.shape} and terminal {self.terminal.shape} do not fit {states} states, {actions} actions")
        if not np.isfinite(self.reward).all():
            raise UserError("reward holds a number that is not finite")
        for what, rows in (("transition", self.transition_rows), ("observation", self.observation_rows)):
            bad = first_bad_row(rows)
            if bad is not None:
                raise UserError(f"{what} probabilities of {self.row_name(what, bad)} sum to {rows[[bad]].sum():.6g}, not to 1")
        if not abs(self.start.sum() - 1.0) <= TOLERANCE or (self.start < 0).any():
            raise UserError(f"start probabilities sum to {self.start.sum():.6g}, not to 1")
        object.__setattr__(self, "transition_rows", normalised(self.transition_rows))
        object.__setattr__(self, "observation_rows", normalised(self.observation_rows))
        object.__setattr__(self, "start", self.start / _divisors(self.start.sum(keepdims=True)))

    @classmethod
    def from_tables(
        cls,
        transition: np.ndarray,
        observation: np.ndarray,
        reward: np.ndarray,
        start: np.ndarray | None = None,
        *,
        terminal: np.ndarray | None = None,
        discount: float | int = 1.0,
        state_names: Sequence[str] | None = None,
        action_names: Sequence[str] | None = None,
        observation_names: Sequence[str] | None = None,
        values: Values = "reward",
    ) -> TabularPOMDP:
        """A POMDP from dense tables.

        Args:
            transition: T[a, s, s'], shape (A, S, S).
            observation: O[a, s', o], shape (A, S, O), or O[a, s, s', o], shape (A, S, S, O), where the origin matters.
            reward: R over leading axes (a, s), (a, s, s') or (a, s, s', o); an axis of length 1 is shared.
            start: b0[s], shape (S,); default uniform.
            terminal: shape (A, S); True where the episode ends. The next state of such a row becomes a draw from `start`.

        Raises:
            UserError: a shape that does not fit, or a row that does not sum to 1 within 1e-4 (named); others are normalised.
        """
        transition, observation = np.asarray(transition, np.float64), np.asarray(observation, np.float64)
        if transition.ndim != 3 or observation.ndim not in (3, 4):
            raise UserError(f"need transition (A, S, S) and observation (A, S, O); got shapes {transition.shape}, {observation.shape}")
        actions, states, _ = transition.shape
        observations = observation.shape[-1]
        start = np.full(states, 1.0 / states) if start is None else np.asarray(start, np.float64)
        terminal = np.zeros((actions, states), bool) if terminal is None else np.asarray(terminal, bool)
        transition = np.where(terminal[:, :, None], start, transition)
        reward = np.asarray(reward, np.float64)
        reward = reward.reshape(reward.shape + (1,) * (4 - reward.ndim))
        _check_reward_axes(reward, (actions, states, states, observations))
        return cls(
            sparse.csr_array(transition.reshape(actions * states, states)),
            sparse.csr_array(observation.reshape(-1, observations)),
            reduce_axes(reward),
            start,
            terminal,
            float(discount),
            tuple(state_names or map(str, range(states))),
            tuple(action_names or map(str, range(actions))),
            tuple(observation_names or map(str, range(observations))),
            values,
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Numbers of actions, states and observations: (A, S, O)."""
        return len(self.action_names), len(self.state_names), len(self.observation_names)

    @property
    def observation_depends_on_origin(self) -> bool:
        """Whether O has the state one came from as an axis."""
        actions, states, _ = self.shape
        return len(self.observation_rows.indptr) - 1 == actions * states * states and states > 1

    @cached_property
    def transition(self) -> Float[np.ndarray, "A S S"]:
        """T as a dense table, T[a, s, s']."""
        actions, states, _ = self.shape
        return _dense(self.transition_rows, (actions, states, states))

    @cached_property
    def observation(self) -> Float[np.ndarray, "A S O"] | Float[np.ndarray, "A S S O"]:
        """O as a dense table: O[a, s', o], or O[a, s, s', o] where the origin matters."""
        actions, states, observations = self.shape
        origin = (states,) if self.observation_depends_on_origin else ()
        return _dense(self.observation_rows, (actions, *origin, states, observations))

    def reward_full(self) -> Float[np.ndarray, "A S S O"]:
        """R[a, s, s', o] with every axis at full length: a read-only view that costs no memory until it is copied."""
        actions, states, observations = self.shape
        return np.broadcast_to(self.reward, (actions, states, states, observations))

    @cached_property
    def expected_reward(self) -> Float[np.ndarray, "A S"]:
        """r(s, a) = sum_{s', o} T(s'|s,a) O(o|a,s,s') R(a,s,s',o), shape (A, S)."""
        actions, states, _ = self.shape
        if self.reward.shape[2:] == (1, 1):
            return np.broadcast_to(self.reward[:, :, 0, 0], (actions, states)).copy()
        rewards = self.reward_full()
        return np.stack(
            [
                np.bincount(j.state, weights=j.probability * rewards[a, j.state, j.next_state, j.observation], minlength=states)
                for a, j in enumerate(self.joint)
            ]
        )

    @cached_property
    def joint(self) -> tuple[Joint, ...]:
        """P(s', o | s, a) as lists of what is possible, one per action."""
        from unseen.environments.tabular.joint import joint_of

        return tuple(joint_of(self, a) for a in range(self.shape[0]))

    def continuing(self) -> TabularPOMDP:
        """The same problem without ends: where an episode would end, the next state is drawn from the start distribution."""
        return replace(self, terminal=np.zeros_like(self.terminal))

    def optimal_value_bounds(
        self, seconds: float | int = 60.0, gap: float | int = 1e-3, discount: float | None = None, horizon: int | None = None
    ) -> tuple[float, float]:
        """Bounds on the optimal discounted value at the start belief: (lower, upper).

        Args:
            seconds: time after which the search stops with what it has.
            gap: upper - lower at which it stops earlier; the result is then the same on every run.
            discount: instead of the file's; below 1, or up to 1 with a horizon.
            horizon: steps after which the episode is cut, as a run's episodes are; None: no step limit.

        Source: Smith & Simmons 2005 (HSVI2); see `bounds.solve` for the policy behind the lower bound, and
        `within.bounds_within` for the values within a horizon.
        """
        from unseen.environments.tabular.bounds import solve
        from unseen.environments.tabular.within import bounds_within

        if horizon is not None:
            return bounds_within(self, horizon, seconds=seconds, gap=gap, discount=discount)

        solution = solve(self, seconds=seconds, gap=gap, discount=discount)
        return solution.lower, solution.upper

    def row_name(self, what: str, row: int) -> str:
        """Row `row` of the "transition" or "observation" rows in words, for error messages."""
        states = len(self.state_names)
        origin = None
        if what == "observation" and self.observation_depends_on_origin:
            origin, row = row // states % states, row // (states * states) * states + row % states
        return row_words(
            self.action_names[row // states], self.state_names[row % states], what, None if origin is None else self.state_names[origin]
        )


def row_words(action: str, state: str, what: str, origin: str | None = None) -> str:
    """A probability row in words: which action, which state (the next one for observations)."""
    if what == "transition":
        return f"action {action!r}, state {state!r}"
    return f"action {action!r}, " + (f"state {origin!r}, " if origin is not None else "") + f"next state {state!r}"


def first_bad_row(rows: sparse.csr_array) -> int | None:
    """The first row that is not a probability distribution, or None."""
    bad = ~(np.abs(rows.sum(axis=1) - 1.0) <= TOLERANCE)  # so that NaN is bad, too
    negative = rows.data < 0
    if negative.any():
        bad[np.repeat(np.arange(len(bad)), np.diff(rows.indptr))[negative]] = True
    return int(np.argmax(bad)) if bad.any() else None


def normalised(rows: sparse.csr_array) -> sparse.csr_array:
    """Rows that sum to 1; those that do already, but for the rounding of their sum, stay bit for bit what they were."""
    divisors = _divisors(rows.sum(axis=1))
    if (divisors == 1.0).all():
        return rows
    return sparse.csr_array((rows.data / np.repeat(divisors, np.diff(rows.indptr)), rows.indices, rows.indptr), shape=rows.shape)


def _divisors(sums: np.ndarray) -> np.ndarray:
    return np.where(np.abs(sums - 1.0) > 1e-12, sums, 1.0)


def _check_reward_axes(reward: np.ndarray, full: tuple[int, int, int, int]) -> None:
    if reward.ndim != 4 or any(n not in (1, m) for n, m in zip(reward.shape, full)):
        raise UserError(f"reward has shape {reward.shape}, need axes (action, state, next state, observation) of lengths {full} or 1")


def reduce_axes(table: np.ndarray) -> np.ndarray:
    """`table` with every axis along which nothing changes cut to length 1."""
    for axis in range(table.ndim):
        head = np.take(table, [0], axis)
        if (table == head).all():
            table = head
    return np.ascontiguousarray(table)


def _dense(rows: sparse.csr_array, shape: tuple[int, ...]) -> np.ndarray:
    if np.prod(shape, dtype=np.int64) * 8 > DENSE_LIMIT:
        raise UserError(f"a dense table of shape {shape} needs more than {DENSE_LIMIT >> 30} GiB; use the sparse rows instead")
    return rows.toarray().reshape(shape)
