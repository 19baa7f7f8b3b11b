"""Memory models of the memax package (extra `memax`) behind our contract: one residual block of the named model."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from unseen.errors import UserError, unknown


@contextlib.contextmanager
def _lenient() -> Iterator[None]:
    """memax relies on implicit promotion of dtypes and ranks; ours is strict in tests."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


class Memax(eqx.Module):
    """A memax model, vmapped over the batch; the carry is its recurrent state with its start flag."""

    arrays: Any  # its parameters; functions that its layers hold are no leaves of ours
    form: Any = eqx.field(static=True)
    size: int = eqx.field(static=True)

    def __init__(self, inputs: int, size: int, *, model: str, key: PRNGKeyArray):
        try:
            from memax.equinox.train_utils import get_residual_memory_models
        except ImportError as error:
            raise UserError('memory Memax needs the memax package: pip install "unseen[memax]"') from error
        with _lenient():
            try:
                built = get_residual_memory_models(inputs, size, size, num_layers=1, models=[model], key=key)  # type: ignore[arg-type]
            except KeyError:
                names = list(get_residual_memory_models(4, 4, 4, num_layers=1, models="all", key=key))
                raise unknown("memax model", model, names) from None
        self.arrays, self.form = eqx.partition(built[model], eqx.is_array)
        self.size = size

    @property
    def model(self) -> Any:
        return eqx.combine(self.arrays, self.form)

    @property
    def features(self) -> int:
        return self.size

    def initial(self, batch: int) -> Any:
        with _lenient():
            carry = self.model.initialize_carry()
        return jax.tree.map(lambda x: jnp.broadcast_to(jnp.asarray(x), (batch, *jnp.shape(x))), carry)

    def step(self, carry: Any, x: Float[Array, "B I"], start: Bool[Array, "B"]) -> tuple[Any, Float[Array, "B H"], dict]:
        carry, features, _ = self.unroll(carry, x[None], start[None])
        return carry, features[0], {}

    def unroll(self, carry: Any, xs: Float[Array, "T B I"], starts: Bool[Array, "T B"]) -> tuple[Any, Float[Array, "T B H"], dict]:
        def one(carry: Any, x: Array, start: Array) -> tuple[Any, Array]:
            states, y = self.model(carry, (x, start))
            last = jax.tree.map(lambda s: s[-1], states)
            # The start flag of the last state belongs to this unroll; the next one begins without it.
            return jax.tree.map(lambda new, old: new.reshape(old.shape), last, carry), y

        with _lenient():
            carry, features = jax.vmap(one, in_axes=(0, 1, 1), out_axes=(0, 1))(carry, xs, starts)
        return carry, features.astype(jnp.float32), {}
