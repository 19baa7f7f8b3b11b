"""Writes `.pomdp` files that read back as the same POMDP, using wildcards so that they stay short."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
from scipy import sparse  # pyright: ignore[reportMissingTypeStubs]

from unseen.environments.tabular.pomdp import TabularPOMDP

_NAMES_UP_TO = 100  # members of an axis that are written by name; larger axes by number, to keep the file small
_NAME = re.compile(r"[A-Za-z_][^\s:*#]*\Z")
_KEYWORDS = frozenset(("uniform", "identity", "reset"))

Names = tuple[str, ...]


def write_pomdp(pomdp: TabularPOMDP, path: str | Path, comment: str = "") -> None:
    """Write a `.pomdp` file that `read_pomdp` reads back bit for bit.

    Args:
        comment: lines for the top of the file, without the `#`.
    """
    Path(path).write_text(format_pomdp(pomdp, comment), encoding="utf-8")


def format_pomdp(pomdp: TabularPOMDP, comment: str = "") -> str:
    """The text of `write_pomdp`. Names the format cannot hold (see `syntax`) make their axis a count."""
    axes = {"states": pomdp.state_names, "actions": pomdp.action_names, "observations": pomdp.observation_names}
    lines = [f"# {line}".rstrip() for line in comment.splitlines()]
    lines += [f"discount: {pomdp.discount!r}", f"values: {pomdp.values}"]
    lines += [f"{axis}: {' '.join(names) if _writable(names) else len(names)}" for axis, names in axes.items()]
    state, action, symbol = (_called(names) for names in axes.values())
    lines += ["", _start(pomdp.start, state), ""]
    lines += [*_transitions(pomdp, action, state), "", *_observations(pomdp, action, state, symbol), ""]
    lines += _rewards(0.0 - pomdp.reward if pomdp.values == "cost" else pomdp.reward, (action, state, state, symbol))
    return "\n".join(lines) + "\n"


def _transitions(pomdp: TabularPOMDP, action: Names, state: Names) -> Iterator[str]:
    ended = pomdp.terminal.reshape(-1)
    yield from _matrices("T", pomdp.transition_rows, action, state, state, known=ended)
    always = pomdp.terminal.all(axis=0)
    yield from (f"T: * : {state[s]} reset" for s in np.flatnonzero(always).tolist())
    yield from (f"T: {action[a]} : {state[s]} reset" for a, s in np.argwhere(pomdp.terminal & ~always).tolist())


def _observations(pomdp: TabularPOMDP, action: Names, state: Names, symbol: Names) -> Iterator[str]:
    if not pomdp.observation_depends_on_origin:
        yield from _matrices("O", pomdp.observation_rows, action, state, symbol, known=None)
        return
    rows = pomdp.observation_rows
    for row, (a, s, s_next) in enumerate(product(action, state, state)):
        yield f"OO: {a} : {s} : {s_next} {_row(rows[[row]].toarray()[0])}"


def _matrices(keyword: str, rows: sparse.csr_array, action: Names, state: Names, column: Names, known: np.ndarray | None) -> Iterator[str]:
    """One matrix per action; the most common one is written once for all. Rows in `known` are written elsewhere."""
    size = len(state)
    known = np.zeros(len(action) * size, bool) if known is None else known
    matrices = [rows[a * size : (a + 1) * size] for a in range(len(action))]
    skip = [known[a * size : (a + 1) * size] for a in range(len(action))]
    # Rows written elsewhere do not matter here, so an action whose other rows agree with the base needs no lines of its own.
    base = Counter(m.tobytes() for m in map(_fingerprint, matrices)).most_common(1)[0][0]
    shared = next(a for a, m in enumerate(matrices) if _fingerprint(m).tobytes() == base)
    yield from _matrix(keyword, "*", matrices[shared], state, column, skip[shared] & np.all(skip, axis=0))
    for a, matrix in enumerate(matrices):
        different = np.unique((matrix != matrices[shared]).tocoo().coords[0])
        if len(different) and not skip[a][different].all():
            yield f"{keyword}: {action[a]} : * : * 0.0"
            yield from _matrix(keyword, action[a], matrix, state, column, skip[a])


def _matrix(keyword: str, action: str, matrix: sparse.csr_array, state: Names, column: Names, skip: np.ndarray) -> Iterator[str]:
    if keyword == "T" and matrix.nnz == len(state) and (matrix.diagonal() == 1.0).all():
        yield f"T: {action} identity"
        return
    if (matrix.toarray() == 1.0 / len(column)).all():
        yield f"{keyword}: {action} uniform"
        return
    for s in np.flatnonzero(~skip).tolist():
        entries = slice(matrix.indptr[s], matrix.indptr[s + 1])
        columns, values = matrix.indices[entries].tolist(), matrix.data[entries].tolist()
        if len(columns) * 4 <= len(column) or len(columns) == 1:
            yield from (f"{keyword}: {action} : {state[s]} : {column[c]} {p!r}" for c, p in zip(columns, values))
        else:
            yield f"{keyword}: {action} : {state[s]} {_row(matrix[[s]].toarray()[0])}"


def _rewards(reward: np.ndarray, names: tuple[Names, ...]) -> Iterator[str]:
    """The most common value for all, then each action's most common value, then the exceptions."""
    common = _most_common(reward)
    yield f"R: * : * : * : * {common!r}"
    for a in range(reward.shape[0]):
        action = names[0][a] if reward.shape[0] > 1 else "*"
        usual = _most_common(reward[a])
        if usual != common:
            yield f"R: {action} : * : * : * {usual!r}"
        for index in np.argwhere(reward[a] != usual).tolist():
            places = (names[k + 1][i] if n > 1 else "*" for k, (i, n) in enumerate(zip(index, reward.shape[1:])))
            yield f"R: {action} : {' : '.join(places)} {float(reward[a][tuple(index)])!r}"


def _start(start: np.ndarray, state: Names) -> str:
    support = np.flatnonzero(start)
    if (start == 1.0 / len(start)).all():
        return "start: uniform"
    if (start[support] == 1.0 / len(support)).all():
        return f"start include: {' '.join(state[s] for s in support.tolist())}"
    return f"start: {_row(start)}"


def _row(row: np.ndarray) -> str:
    return "uniform" if (row == 1.0 / len(row)).all() else " ".join(repr(float(p)) for p in row)


def _most_common(values: np.ndarray) -> float:
    found, counts = np.unique(values, return_counts=True)
    return float(found[np.argmax(counts)])


def _fingerprint(matrix: sparse.csr_array) -> np.ndarray:
    coordinates = matrix.tocoo()
    return np.concatenate([coordinates.coords[0], coordinates.coords[1], coordinates.data.view(np.int64)])


def _called(names: Names) -> Names:
    """What the members of an axis are called below the declarations."""
    return names if _writable(names) and len(names) <= _NAMES_UP_TO else tuple(map(str, range(len(names))))


def _writable(names: Names) -> bool:
    return len(set(names)) == len(names) and all(_NAME.match(name) and name not in _KEYWORDS for name in names)
