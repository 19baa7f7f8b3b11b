"""What a `.pomdp` file declares before its tables: names, discount, the sign of its values, and where an episode starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from unseen.environments.tabular.pomdp import TOLERANCE, Values
from unseen.environments.tabular.syntax import Statement
from unseen.errors import UserError, unknown

_DECLARATIONS = ("discount", "values", "states", "actions", "observations", "start", "include", "exclude")


@dataclass(frozen=True)
class Preamble:
    """The declarations of one file; also turns its words into indices and numbers, since that needs the names.

    Attributes:
        names: `states`, `actions`, `observations` -> one name per index.
        indices: the same, name -> index.
        start: shape (S,).
    """

    path: str
    names: Mapping[str, tuple[str, ...]]
    indices: Mapping[str, Mapping[str, int]]
    discount: float
    values: Values
    start: np.ndarray

    @classmethod
    def read(cls, statements: Sequence[Statement], path: str) -> Preamble:
        """Collect the declarations among `statements`.

        Raises:
            UserError: a declaration that is missing, repeated or makes no sense.
        """
        found: dict[str, Statement] = {}
        for s in statements:
            kind = "start" if s.kind in ("include", "exclude") else s.kind
            if kind in _DECLARATIONS:
                if kind in found:
                    raise at(path, s, f"{kind!r} is declared a second time (first in line {found[kind].position()[0]})")
                found[kind] = s
        for axis in ("states", "actions", "observations"):
            if axis not in found:
                raise UserError(f"{path}:1:1: the file does not declare its {axis}; add a line such as '{axis}: 2'")
        names = {axis: _names(found[axis], path) for axis in ("states", "actions", "observations")}
        indices = {axis: {name: i for i, name in enumerate(members)} for axis, members in names.items()}
        costs = "values" in found and found["values"].keyword == "COST"
        bare = cls(path, names, indices, 1.0, "cost" if costs else "reward", np.full(len(names["states"]), 1.0 / len(names["states"])))
        discount = bare._discount(found["discount"]) if "discount" in found else bare.discount
        start = bare._start(found["start"]) if "start" in found else bare.start
        return cls(path, names, indices, discount, bare.values, start)

    def index(self, s: Statement, part: str, k: int, axis: str) -> int:
        """The index on `axis` that the k-th word of a statement's part means, by name or by number."""
        word = s.where[k] if part == "where" else s.body[k]
        known = self.indices[axis].get(word)
        if known is not None and not word[0].isdigit():
            return known
        if not word.isdigit():
            raise at(self.path, s, str(unknown(axis[:-1], word, self.names[axis])), part, k)
        if int(word) >= len(self.names[axis]):
            raise at(self.path, s, f"{axis[:-1]} {word} does not exist; numbers go from 0 to {len(self.names[axis]) - 1}", part, k)
        return int(word)

    def numbers(self, s: Statement) -> np.ndarray:
        """The numbers of a statement's body, shape (N,)."""
        numbers = np.array([float(word) for word in s.body])
        if not np.isfinite(numbers).all():
            k = int(np.argmin(np.isfinite(numbers)))
            raise at(self.path, s, f"{s.body[k]} is too large a number", "body", k)
        return numbers

    def probabilities(self, s: Statement) -> np.ndarray:
        """As `numbers`, each within [0, 1]."""
        numbers = self.numbers(s)
        outside = (numbers < 0) | (numbers > 1 + TOLERANCE)
        if outside.any():
            k = int(np.argmax(outside))
            raise at(self.path, s, f"probability {s.body[k]} is outside [0, 1]", "body", k)
        return numbers

    def _discount(self, s: Statement) -> float:
        numbers = self.numbers(s)
        if len(numbers) != 1 or not 0.0 <= numbers[0] <= 1.0:
            raise at(self.path, s, f"discount {' '.join(s.body[:3])} is not one number in [0, 1]", "body")
        return float(numbers[0])

    def _start(self, s: Statement) -> np.ndarray:
        count = len(self.names["states"])
        if s.kind in ("include", "exclude"):
            chosen = np.zeros(count, bool)
            chosen[[self.index(s, "body", k, "states") for k in range(len(s.body))]] = True
            chosen = chosen if s.kind == "include" else ~chosen
            if not chosen.any():
                raise at(self.path, s, "'start exclude' leaves no state to start in")
            return chosen / chosen.sum()
        if s.keyword == "UNIFORM":
            return self.start
        if len(s.body) == 1 and (count > 1 or not s.body[0][0].isdigit()):
            return np.eye(count)[self.index(s, "body", 0, "states")]
        start = self.probabilities(s)
        if len(start) != count:
            raise at(self.path, s, f"{len(start)} start probabilities for {count} states", "body", min(count, len(start) - 1))
        if abs(start.sum() - 1.0) > TOLERANCE:
            raise at(self.path, s, f"start probabilities sum to {start.sum():.6g}, not to 1")
        return start / start.sum() if abs(start.sum() - 1.0) > 1e-12 else start


def at(path: str, s: Statement, message: str, part: str = "head", k: int = 0) -> UserError:
    """An error at the k-th word of a statement's part: `path:line:column: message`."""
    line, column = s.position(part, k)
    return UserError(f"{path}:{line}:{column}: {message}")


def _names(s: Statement, path: str) -> tuple[str, ...]:
    if s.body[0][0].isdigit() or s.body[0][0] in "+-.":
        if len(s.body) != 1 or not s.body[0].isdigit() or not 1 <= int(s.body[0]) <= 10**7:
            raise at(path, s, f"{s.kind}: {' '.join(s.body[:3])} is not a count; write one whole number of at least 1, or names", "body")
        return tuple(str(i) for i in range(int(s.body[0])))
    seen: set[str] = set()
    for k, name in enumerate(s.body):
        if name in seen:
            raise at(path, s, f"{s.kind[:-1]} {name!r} is declared twice", "body", k)
        seen.add(name)
    return s.body
