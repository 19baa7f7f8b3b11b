"""All seeds of an experiment on an environment in JAX: compiled once, advanced interval by interval."""

from __future__ import annotations

import time
import warnings
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from unseen.experiments.arrays import from_arrays, to_arrays
from unseen.experiments.platform import peak_memory, refuse_too_large, too_large
from unseen.experiments.seeds import Layout, keys_of, layout, over_seeds, padded
from unseen.experiments.settings import Experiment
from unseen.learning.guard import forgotten
from unseen.learning.learner import make_learner
from unseen.learning.levels import mixture
from unseen.learning.sharing import Sharing, lanes_to_share
from unseen.learning.state import GUARDED


class CompiledSeeds:
    """Attributes:

    compile_s: seconds the compiler took.
    memory: bytes the compiled program needs at once on all devices together, where the compiler tells.
    """

    def __init__(self, experiment: Experiment, environment: Any, width: int | None = None) -> None:
        self.experiment = experiment
        if note := forgotten(experiment.agent, mixture(environment, experiment.level).longest, environment.name):
            warnings.warn(note, stacklevel=2)
        begun = time.monotonic()
        self._compile(environment, layout(experiment.seeds, width, lanes_to_share(experiment.algorithm)))
        if self.spread.sharing > 1 and too_large(self.memory):  # each device that shares a seed holds all of its state
            self._compile(environment, self.spread._replace(sharing=1))
        self.compile_s = time.monotonic() - begun
        refuse_too_large(self.memory)

    def _compile(self, environment: Any, spread: Layout) -> None:
        experiment, self.spread = self.experiment, spread
        self.learner = make_learner(
            environment,
            experiment.agent,
            experiment.algorithm,
            level=experiment.level,
            reset_pool=experiment.reset_pool,
            buckets=spread.width == 1,
            sharing=Sharing(spread.sharing),
        )
        self._init = jax.jit(over_seeds(self.learner.init, spread))
        self._keys = keys_of(spread, experiment.first_seed)
        self._template = eqx.filter_eval_shape(self._init, self._keys)

        def interval(state: Any, mark: Any) -> Any:
            metrics, state = self.learner.report(self.learner.advance(state, mark))
            return state, metrics

        step = jax.jit(over_seeds(interval, spread, shared=1), donate_argnums=0)
        self._state = self._init(self._keys)  # its layout over the devices is the one to compile for
        self._step = step.lower(self._state, jnp.zeros((), jnp.int32)).compile()
        memory = peak_memory(self._step)  # of one device
        self.memory = None if memory is None else memory * spread.devices * spread.sharing

    def start(self) -> None:
        """The state made while compiling is the first one."""

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Go on from a checkpoint's arrays; each leaf goes to the devices it was compiled for, however many wrote it."""
        restored = from_arrays(self._template, {name: padded(rows, self.spread) for name, rows in arrays.items()})
        self._state = jax.tree.map(lambda new, old: jax.device_put(new, old.sharding), restored, self._state)

    def arrays(self) -> dict[str, np.ndarray]:
        """The state as (seeds, ...) each: padding belongs to the devices of this process, not to the run."""
        return {name: rows[: self.spread.seeds] for name, rows in to_arrays(self._state).items()}

    def advance(self, mark: int) -> dict[str, np.ndarray]:
        """Every seed up to `mark` environment steps; returns the interval's metrics, (seeds,) each."""
        self._state, metrics = self._step(self._state, jnp.asarray(mark, jnp.int32))
        return {name: np.asarray(values)[: self.spread.seeds] for name, values in metrics.items()}

    def env_steps(self) -> np.ndarray:
        return np.asarray(self._state.env_steps)[: self.spread.seeds].astype(np.int64)

    def refuse_not_finite(self) -> None:
        refuse_not_finite(self._state, self.experiment.first_seed, self.spread.seeds)

    def close(self) -> None:
        """Nothing to give back."""


def refuse_not_finite(state: Any, first_seed: int, seeds: int) -> None:
    """Stop at the first quantity that was not finite; parameters are looked at here, once an interval.

    Args:
        state: of a batch of seeds, (seeds or more, ...) each.
        first_seed: the number of the first.
        seeds: how many there are; what follows is padding.

    Raises:
        NotFinite: naming the quantity, the seed and the environment steps.
    """
    from unseen.experiments.train import NotFinite

    fault = np.asarray(state.fault)[:seeds]
    if fault.any():
        k = int(np.argmax(fault != 0))
        what, at = GUARDED[int(fault[k])], state.fault_steps
    else:
        finite = np.asarray(_all_finite(state.agent))[:seeds]
        if finite.all():
            return
        k = int(np.argmin(finite))
        what, at = GUARDED[-1], state.env_steps
    steps = int(np.asarray(at)[k])
    raise NotFinite(
        f"{what} is not finite for seed {first_seed + k} at {steps} environment steps; the last checkpoint is kept: "
        "lower algorithm.learning_rate, set algorithm.max_gradient_norm, or look at the environment's rewards"
    )


@jax.jit
def _all_finite(tree: Any) -> Any:
    """(seeds,): whether all numbers of a seed are finite."""
    leaves = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.inexact)]
    return jnp.stack([jnp.isfinite(x).all(axis=tuple(range(1, x.ndim))) for x in leaves]).all(axis=0)
