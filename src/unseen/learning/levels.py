"""A level's weighted mixture of parameters, stacked so that one compiled program mixes them across the batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray

from unseen.errors import unknown


class Levels(NamedTuple):
    """The mixture of one level. With a single entry its parameters are constants of the compiled program."""

    entries: tuple[Any, ...]
    weights: tuple[float, ...]
    horizons: tuple[int, ...]
    masked: bool

    @property
    def longest(self) -> int:
        return max(self.horizons)

    def draw(self, key: PRNGKeyArray) -> Int[Array, ""]:
        """The index of an entry, by weight."""
        if len(self.entries) == 1:
            return jnp.zeros((), jnp.int32)
        log_weights = jnp.log(jnp.asarray(self.weights, jnp.float32))
        return jax.random.categorical(key, log_weights).astype(jnp.int32)

    def mapped(self, function: Callable[..., Any], level: Int[Array, "B"], *arguments: Any) -> Any:
        """`function(*arguments, params)` for each lane; a single entry's parameters are shared, not copied to every lane."""
        if len(self.entries) == 1:
            return jax.vmap(lambda *one: function(*one, self.entries[0]))(*arguments)
        stacked = jax.tree.map(lambda *xs: jnp.stack([jnp.asarray(x) for x in xs]), *self.entries)
        return jax.vmap(function)(*arguments, jax.tree.map(lambda x: x[level], stacked))

    def horizon_of(self, level: Int[Array, "B"]) -> Int[Array, "B"]:
        """Steps after which the batch loop cuts an episode."""
        return jnp.asarray(np.asarray(self.horizons, np.int32))[level]


def mixture(environment: Any, level: str = "train") -> Levels:
    """The mixture of a level.

    Raises:
        UserError: for a level the environment does not have.
    """
    if level not in environment.levels:
        raise unknown(f"level of {environment.name}", level, environment.levels)
    weighted = environment.levels[level]
    entries = tuple(params for _, params in weighted)
    total = sum(weight for weight, _ in weighted)
    masked = jax.eval_shape(lambda: environment.action_mask(environment.reset(jax.random.key(0), entries[0])[1], entries[0])) is not None
    return Levels(entries, tuple(w / total for w, _ in weighted), tuple(int(environment.horizon(p)) for p in entries), masked)
