"""A pytree as named NumPy arrays and back, for checkpoints; random keys as their data."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from unseen.runs.tensors import restore_into


def _is_key(x: Any) -> bool:
    return jnp.issubdtype(x.dtype, jax.dtypes.prng_key)


def _named(tree: Any) -> list[tuple[str, Any]]:
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return [(jax.tree_util.keystr(path, simple=True, separator="."), leaf) for path, leaf in leaves]


def to_arrays(tree: Any) -> dict[str, np.ndarray]:
    """Every leaf under its path, as in "agent.actor.trunk.memory.w_x"."""
    return {name: np.asarray(jax.random.key_data(x) if _is_key(x) else x) for name, x in _named(tree)}


def from_arrays(template: Any, arrays: dict[str, np.ndarray]) -> Any:
    """The tree of `template` (arrays or their shapes) with these leaves.

    Raises:
        UserError: missing, extra, wrongly shaped or typed arrays, up to ten of them named.
    """

    def stored(x: Any) -> jax.ShapeDtypeStruct:
        return jax.eval_shape(jax.random.key_data, x) if _is_key(x) else jax.ShapeDtypeStruct(x.shape, x.dtype)

    restored = restore_into({name: stored(x) for name, x in _named(template)}, arrays)
    leaves = [jax.random.wrap_key_data(jnp.asarray(restored[n])) if _is_key(x) else jnp.asarray(restored[n]) for n, x in _named(template)]
    return jax.tree.unflatten(jax.tree.structure(template), leaves)
