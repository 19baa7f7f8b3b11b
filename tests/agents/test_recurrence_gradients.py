"""The hand-written gradients of GRU and LSTM scans against central differences in double precision."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unseen.agents.memory.recurrences import gru_scan, lstm_scan

T, B, H, STEP = 4, 2, 2, 1e-5
SHAPES = {
    "gru": {"w": (H, 3 * H), "b_n": (H,), "h_0": (B, H), "xs": (T, B, 3 * H)},
    "lstm": {"w": (H, 4 * H), "h_0": (B, H), "c_0": (B, H), "xs": (T, B, 4 * H)},
}
SCANS = {"gru": gru_scan, "lstm": lstm_scan}


@pytest.mark.parametrize("name", SCANS)
def test_gradients_are_central_differences(name):
    rng = np.random.default_rng(5)
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        arguments = {k: jnp.asarray(rng.normal(size=shape)) for k, shape in SHAPES[name].items()}
        starts = jnp.zeros((T, B), bool).at[2, 1].set(True)

        def outputs(arguments):
            return jax.tree.leaves(SCANS[name](*(arguments[k] for k in SHAPES[name]), starts))

        shapes = jax.eval_shape(outputs, arguments)
        weights = [jnp.asarray(rng.normal(size=x.shape)) for x in shapes]

        @jax.jit
        def total(arguments):
            return sum(jnp.sum(w * x) for w, x in zip(weights, outputs(arguments), strict=True))

        gradients = jax.jit(jax.grad(total))(arguments)
        for field, value in arguments.items():
            for index in np.ndindex(*value.shape):
                up, down = ({**arguments, field: value.at[index].add(d)} for d in (STEP, -STEP))
                slope = (float(total(up)) - float(total(down))) / (2 * STEP)
                assert float(gradients[field][index]) == pytest.approx(slope, rel=1e-6, abs=1e-8), (field, index)
