"""Reads Cassandra's `.pomdp` files: statements, taken in order, become tables; a later statement overrides an earlier one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import sparse  # pyright: ignore[reportMissingTypeStubs]

from unseen.environments.tabular.pomdp import DENSE_LIMIT, TOLERANCE, TabularPOMDP, reduce_axes, row_words
from unseen.environments.tabular.preamble import Preamble, at
from unseen.environments.tabular.rows import Place, Rows
from unseen.environments.tabular.syntax import Statement, parse
from unseen.errors import UserError

_REWARD_AXES = ("actions", "states", "states", "observations")


def read_pomdp(path: str | Path) -> TabularPOMDP:
    """Read a `.pomdp` file.

    Understands the whole format (see `syntax`), `reset` rows (terminal: the episode ends there, and the next state of the
    continuing reading is a draw from the start distribution) and `OO:`. Without a discount it is 1, without values they are
    rewards, without a start it is uniform, as in pomdp-solve; rows that sum to 1 within 1e-4 are normalised.

    Raises:
        UserError: one line, `path:line:column` and what is wrong; rows that do not sum to 1 are named by action and state.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {error.strerror if isinstance(error, OSError) else 'not a text file'}") from None
    return parse_pomdp(text, str(path))


def parse_pomdp(text: str, path: str = "<text>") -> TabularPOMDP:
    """As `read_pomdp`, from text; `path` is what errors call it."""
    statements = parse(text, path)
    preamble = Preamble.read(statements, path)
    tables = _Tables(preamble, statements, path)
    for statement in statements:
        match statement.kind:
            case "transition":
                tables.transit(statement)
            case "observation" | "origin_observation":
                tables.observe(statement)
            case "reward":
                tables.pay(statement)
            case _:
                pass  # the preamble has read the others
    return TabularPOMDP(
        tables.distributions("transition", tables.transitions, "T"),
        tables.distributions("observation", tables.symbols, "O"),
        reduce_axes(0.0 - tables.rewards if preamble.values == "cost" else tables.rewards),
        preamble.start,
        tables.terminal,
        preamble.discount,
        preamble.names["states"],
        preamble.names["actions"],
        preamble.names["observations"],
        preamble.values,
    )


class _Tables:
    """The tables while the statements fill them."""

    def __init__(self, preamble: Preamble, statements: Sequence[Statement], path: str) -> None:
        self.preamble, self.path = preamble, path
        actions, states, observations = (len(preamble.names[axis]) for axis in ("actions", "states", "observations"))
        self.origin_matters = any(s.kind == "origin_observation" for s in statements)
        self.terminal = np.zeros((actions, states), bool)
        self.transitions = Rows((actions, states), states)
        self.symbols = Rows((actions, states, states) if self.origin_matters else (actions, states), observations)
        self.rewards = self._rewards([s for s in statements if s.kind == "reward"])

    def transit(self, s: Statement) -> None:
        """T: action [: state [: next state]], then a number, a row, a matrix, `uniform`, `identity` or `reset`."""
        where = self._where(s, ("actions", "states", "states"))
        rows = tuple(slice(None) if place is None else place for place in where[:2])
        self.terminal[rows] = s.keyword == "RESET"
        if s.keyword == "RESET":
            if len(where) != 2:
                raise at(self.path, s, "'reset' needs an action and a state in front, as in 'T: action : state reset'")
            self.transitions.write(where, self.preamble.start, s.position())
        elif s.keyword == "IDENTITY":
            if len(where) != 1:
                raise at(self.path, s, "'identity' stands for a whole matrix, as in 'T: action identity'")
            self.transitions.write([*where, None], np.eye(len(self.preamble.names["states"])), s.position())
        else:
            self._fill(self.transitions, s, where, ("states", "states"))

    def observe(self, s: Statement) -> None:
        """O: action [: next state [: observation]], or OO: action : state [: next state [: observation]]."""
        if s.kind == "origin_observation":
            where = self._where(s, _REWARD_AXES)
            if len(where) == 1:
                raise at(self.path, s, "'OO:' needs an action and a state in front, as in 'OO: action : state'")
            self._fill(self.symbols, s, where, ("states", "states", "observations"))
        elif self.origin_matters:
            action, *rest = self._where(s, ("actions", "states", "observations"))
            self._fill(self.symbols, s, [action, None, *rest], ("states", "states", "observations"))
        else:
            self._fill(self.symbols, s, self._where(s, ("actions", "states", "observations")), ("states", "observations"))

    def pay(self, s: Statement) -> None:
        """R: action : state [: next state [: observation]], then a number, a row or a matrix."""
        where = self._where(s, _REWARD_AXES)
        if len(where) == 1:
            raise at(self.path, s, "'R:' needs an action and a state in front, as in 'R: action : state : * : * 1.0'")
        value = np.reshape(self.preamble.numbers(s), self._lengths(s, _REWARD_AXES[len(where) :]))
        # An axis of length 1 is one that no statement tells apart: every place on it is place 0.
        index = tuple(slice(None) if place is None else min(place, n - 1) for place, n in zip(where, self.rewards.shape))
        self.rewards[index] = value

    def distributions(self, what: str, rows: Rows, keyword: str) -> sparse.csr_array:
        """The finished rows, normalised; refuses the first that does not sum to 1."""
        table, sums = rows.finish()
        bad = np.flatnonzero(np.abs(sums - 1.0) > TOLERANCE)
        if len(bad):
            index = np.unravel_index(bad[0], rows.shape)
            names = self.preamble.names
            action, state = names["actions"][index[0]], names["states"][index[-1]]
            origin = names["states"][index[1]] if len(index) == 3 else None
            position = rows.last_written(int(bad[0]))
            line, column = position or (1, 1)
            told = f"sum to {sums[bad[0]]:.6g}, not to 1" if position else f"are missing; add '{keyword}: {action} : {state} ...'"
            more = f" (and of {len(bad) - 1} more rows)" if len(bad) > 1 else ""
            raise UserError(f"{self.path}:{line}:{column}: {what} probabilities of {row_words(action, state, what, origin)} {told}{more}")
        return table

    def _fill(self, rows: Rows, s: Statement, where: Sequence[Place], axes: tuple[str, ...]) -> None:
        """Write one entry, or whole rows, of probabilities; `axes` follow the action."""
        left = axes[len(where) - 1 :]
        shape = self._lengths(s, left)
        if left:
            table = np.full(shape, 1.0 / shape[-1]) if s.keyword == "UNIFORM" else self.preamble.probabilities(s).reshape(shape)
            rows.write([*where, *(None for _ in left[:-1])], table, s.position())
        elif s.keyword == "UNIFORM":
            raise at(self.path, s, "a single entry takes one probability, not 'uniform'", "body")
        else:
            rows.write_entry(where[:-1], where[-1], float(self.preamble.probabilities(s)[0]), s.position())

    def _lengths(self, s: Statement, axes: tuple[str, ...]) -> tuple[int, ...]:
        """Lengths of the axes a statement's numbers fill; refuses any other count of numbers."""
        shape = tuple(len(self.preamble.names[axis]) for axis in axes)
        need = int(np.prod(shape))
        if s.body and len(s.body) != need:
            form = " x ".join(f"{n} {axis}" for n, axis in zip(shape, axes)) or "a single entry"
            raise at(self.path, s, f"{len(s.body)} numbers where {need} are needed ({form})", "body", min(need, len(s.body) - 1))
        return shape

    def _where(self, s: Statement, axes: tuple[str, ...]) -> list[Place]:
        if len(s.where) > len(axes):
            raise at(self.path, s, f"too many colons: expected at most {' : '.join(axis[:-1] for axis in axes)}", "where", len(axes))
        return [None if word == "*" else self.preamble.index(s, "where", k, axis) for k, (word, axis) in enumerate(zip(s.where, axes))]

    def _rewards(self, statements: Sequence[Statement]) -> np.ndarray:
        """Zeros, with an axis at full length only where some statement tells its members apart."""
        told = [any(k >= len(s.where) or s.where[k] != "*" for s in statements) for k in range(4)]
        shape = tuple(len(self.preamble.names[axis]) if full else 1 for axis, full in zip(_REWARD_AXES, told))
        if np.prod(shape, dtype=np.int64) * 8 > DENSE_LIMIT:
            size = " x ".join(map(str, shape))
            raise at(self.path, statements[0], f"the rewards tell {size} cases apart, too many to hold; use '*' where they do not differ")
        return np.zeros(shape)
