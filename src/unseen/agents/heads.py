"""Policy heads: one for each kind of action space; an unsupported space is refused by name."""

from __future__ import annotations

import math
from collections.abc import Sequence

import equinox as eqx
import gymnasium
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from unseen.agents.distributions import Categorical, Distribution, MultiCategorical, Normal, gumbel, standard_normal
from unseen.agents.layers import Perceptron
from unseen.errors import UserError


class CategoricalHead(eqx.Module):
    """Logits for Discrete and MultiDiscrete actions."""

    perceptron: Perceptron
    sizes: tuple[int, ...] = eqx.field(static=True)
    first: tuple[int, ...] = eqx.field(static=True)  # the space's own first action, usually 0
    multiple: bool = eqx.field(static=True)

    def __call__(self, x: Float[Array, "*n H"], mask: Bool[Array, "*n S"] | None = None) -> Distribution:
        logits = self.perceptron(x)
        return MultiCategorical(logits, self.sizes, mask) if self.multiple else Categorical(logits, mask)

    def noise(self, key: PRNGKeyArray, leading: tuple[int, ...]) -> Array:
        return gumbel(key, (*leading, sum(self.sizes)))

    def to_environment(self, action: Array) -> Array:
        """Indices from 0 to the space's own numbering."""
        first = jnp.asarray(self.first if self.multiple else self.first[0], action.dtype)
        return action + jnp.broadcast_to(first, action.shape)


class NormalHead(eqx.Module):
    """Means for Box actions, with one learned log standard deviation per dimension (in units of half the range)."""

    perceptron: Perceptron
    log_deviation: Float[Array, "D"]
    low: tuple[float, ...] = eqx.field(static=True)
    high: tuple[float, ...] = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)
    form: str = eqx.field(static=True)

    def __call__(self, x: Float[Array, "*n H"], mask: Bool[Array, "*n S"] | None = None) -> Distribution:
        mean = self.perceptron(x)
        return Normal(mean, jnp.broadcast_to(self.log_deviation, mean.shape), self.form == "tanh")

    def noise(self, key: PRNGKeyArray, leading: tuple[int, ...]) -> Array:
        return standard_normal(key, (*leading, len(self.low)))

    def to_environment(self, action: Float[Array, "... D"]) -> Float[Array, "..."]:
        """From the head's units, in which the space reaches from -1 to 1, to the space."""
        if self.form != "unbounded":
            low, high = (jnp.broadcast_to(jnp.asarray(end, jnp.float32), action.shape) for end in (self.low, self.high))
            unit = jnp.tanh(action) if self.form == "tanh" else jnp.clip(action, -1.0, 1.0)
            action = low + 0.5 * (unit + 1.0) * (high - low)
        return action.reshape(*action.shape[:-1], *self.shape)


Head = CategoricalHead | NormalHead


def policy_head(
    space: gymnasium.Space,
    inputs: int,
    hidden: Sequence[int],
    *,
    activation: str,
    box_policy: str,
    scale: float,
    precision: str,
    key: PRNGKeyArray,
) -> Head:
    """The head for an action space; `scale` multiplies the initial weights of its last layer.

    Raises:
        UserError: for a space other than Discrete, MultiDiscrete and Box, or a clipped or squashed policy on an unbounded Box.
    """

    def perceptron(outputs: int) -> Perceptron:
        return Perceptron([inputs, *hidden, outputs], activation=activation, last_scale=scale, precision=precision, key=key)

    if isinstance(space, gymnasium.spaces.Discrete):
        return CategoricalHead(perceptron(int(space.n)), (int(space.n),), (int(space.start),), False)
    if isinstance(space, gymnasium.spaces.MultiDiscrete):
        if space.nvec.ndim != 1:
            raise UserError(f"action space {space} is not supported: MultiDiscrete must have one axis; flatten it in a wrapper")
        sizes = tuple(int(n) for n in space.nvec)
        return CategoricalHead(perceptron(sum(sizes)), sizes, tuple(int(s) for s in space.start), True)
    if isinstance(space, gymnasium.spaces.Box):
        dimension = math.prod(space.shape)
        form = box_policy
        if form != "unbounded" and not space.is_bounded("both"):
            raise UserError(f"box_policy={form!r} needs a bounded action space, not {space}; use box_policy='unbounded'")
        low, high = (tuple(float(v) for v in end.reshape(-1)) for end in (space.low, space.high))
        return NormalHead(perceptron(dimension), jnp.full((dimension,), math.log(0.6), jnp.float32), low, high, space.shape, form)
    raise UserError(f"action space {space} is not supported; allowed: Discrete, MultiDiscrete, Box")
