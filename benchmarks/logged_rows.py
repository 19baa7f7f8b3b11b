"""Logged decisions of any size for benchmarks: a linear process with unequal trajectories, half of which terminate."""

from __future__ import annotations

import numpy as np
import polars as pl

from unseen.outcomes import Transitions

COLUMNS, ACTIONS = 8, 4
SHORTEST, LONGEST = 5, 40


class FirstColumns:
    """The policy to be judged: softmax of the first columns, one for each action."""

    def __init__(self, sharpness: float = 0.7):
        self.sharpness = sharpness

    def probabilities(self, states) -> np.ndarray:
        """(n, A)."""
        z = self.sharpness * states.to_numpy()[:, :ACTIONS]
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)


def logged_rows(n: int, seed: int = 0, bins: int | None = None) -> Transitions:
    """n transitions of 8 numbers and 4 actions; with `bins`, of the first 4 columns as so many categories each."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(SHORTEST, LONGEST, 2 * n // (SHORTEST + LONGEST) + 1_000)
    lengths = lengths[: int(np.searchsorted(lengths.cumsum(), n)) + 1]
    choice = 0.4 * rng.normal(size=(COLUMNS, ACTIONS))
    effect, worth = 0.3 * rng.normal(size=(ACTIONS, COLUMNS)), rng.normal(size=COLUMNS)
    s, parts = rng.normal(size=(len(lengths), COLUMNS)), []
    for t in range(LONGEST):
        live = np.flatnonzero(lengths > t)
        a = (s[live] @ choice + rng.gumbel(size=(len(live), ACTIONS))).argmax(axis=1)
        reward = 0.3 * s[live] @ worth + 0.2 * effect[a] @ worth + 0.5 * rng.normal(size=len(live))
        after = 0.8 * s[live] + effect[a] + 0.4 * rng.normal(size=(len(live), COLUMNS))
        parts.append((live, np.full(len(live), t), s[live], a, reward, after))
        s[live] = after
    who, time, now, a, reward, after = (np.concatenate(part) for part in zip(*parts))
    order = np.lexsort((time, who))[:n]
    who, time, now, a, reward, after = (part[order] for part in (who, time, now, a, reward, after))
    last = np.append(who[1:] != who[:-1], True)
    kind = "numeric"
    if bins is not None:
        cuts = np.quantile(now[:, :ACTIONS], np.arange(1, bins) / bins, axis=0)
        now, after = (np.stack([np.searchsorted(cuts[:, j], x[:, j]) for j in range(ACTIONS)], axis=1) for x in (now, after))
        kind = "categorical"
    names = [f"x{j}" for j in range(now.shape[1])]
    table = {"id": who, "t": time, "action": a, "reward": reward, "ended": last & (who % 2 == 0), "cut": last & (who % 2 == 1)}
    table |= {name: now[:, j] for j, name in enumerate(names)} | {f"next_{name}": after[:, j] for j, name in enumerate(names)}
    return Transitions.from_table(
        pl.DataFrame(table),
        id="id",
        time="t",
        state=dict.fromkeys(names, kind),
        action="action",
        reward="reward",
        terminated="ended",
        truncated="cut",
        next_state=[f"next_{name}" for name in names],
    )
