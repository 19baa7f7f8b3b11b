"""One gradient step, by optax."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float


def clipped(transformation: optax.GradientTransformation, max_norm: float | None) -> optax.GradientTransformation:
    """The transformation behind a clip of the global norm."""
    return transformation if max_norm is None else optax.chain(optax.clip_by_global_norm(max_norm), transformation)


def norm(tree: Any) -> Float[Array, ""]:
    """The Euclidean norm of all leaves together, as dot products: nothing of a leaf's size is written."""
    return jnp.sqrt(sum((jnp.vdot(x, x) for x in jax.tree.leaves(tree)), start=jnp.zeros((), jnp.float32)))


def step(
    optimiser: optax.GradientTransformation, module: Any, gradient: Any, state: Any, rate: float | Float[Array, ""] = 1.0
) -> tuple[Any, Any]:
    """The module moved by `rate` times the optimiser's update, and the optimiser's new state."""
    with jax.numpy_dtype_promotion("standard"):  # optax mixes Python floats with its integer step counter
        updates, state = optimiser.update(gradient, state)
    return eqx.apply_updates(module, jax.tree.map(lambda u: rate * u, updates)), state
