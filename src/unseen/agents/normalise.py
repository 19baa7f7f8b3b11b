"""Running means and variances: of observations for the encoders, of returns for the critic; both live in the checkpoint."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


class Running(eqx.Module):
    """Mean and variance of everything seen so far, per entry.

    Source: Chan et al. 1983 (merging two samples' moments).
    """

    count: Float[Array, ""]
    mean: Float[Array, "*s"]
    m2: Float[Array, "*s"]

    @staticmethod
    def fresh(shape: tuple[int, ...]) -> Running:
        return Running(jnp.zeros((), jnp.float32), jnp.zeros(shape, jnp.float32), jnp.zeros(shape, jnp.float32))

    @property
    def deviation(self) -> Float[Array, "*s"]:
        """Standard deviation; 1 before two values have been seen."""
        variance = self.m2 / jnp.maximum(self.count - 1.0, 1.0)
        return jnp.where(self.count > 1.5, jnp.sqrt(jnp.maximum(variance, 1e-8)), 1.0)

    def updated(self, x: Float[Array, "*n"], weight: Bool[Array, "*m"]) -> Running:
        """With the values of `x` (leading axes, then the entry's) where `weight` is true."""
        leading = tuple(range(weight.ndim))
        w = jnp.broadcast_to(weight.astype(jnp.float32).reshape(*weight.shape, *(1,) * (x.ndim - weight.ndim)), x.shape)
        new = jnp.sum(weight.astype(jnp.float32))
        new_mean = jnp.sum(w * x, axis=leading) / jnp.maximum(new, 1.0)
        new_m2 = jnp.sum(w * (x - jnp.broadcast_to(new_mean, x.shape)) ** 2, axis=leading)
        total = jnp.maximum(self.count + new, 1.0)
        delta = new_mean - self.mean
        return Running(self.count + new, self.mean + delta * new / total, self.m2 + new_m2 + delta**2 * self.count * new / total)

    def normalised(self, x: Float[Array, "*n"], limit: float = 10.0) -> Float[Array, "*n"]:
        """(x - mean) / deviation, clipped to +- limit."""
        scaled = (x - jnp.broadcast_to(self.mean, x.shape)) / jnp.broadcast_to(self.deviation, x.shape)
        return jnp.clip(scaled, -limit, limit)


class ReturnScale(eqx.Module):
    """The deviation of discounted returns, by which rewards are divided: of R_t = r_t + gamma R_tm1, begun anew with each episode.

    Source: Engstrom et al. 2020, section 3 (reward scaling).
    """

    running: Running
    so_far: Float[Array, "B"]  # R of each lane

    @staticmethod
    def fresh(lanes: int) -> ReturnScale:
        return ReturnScale(Running.fresh(()), jnp.zeros((lanes,), jnp.float32))

    @property
    def deviation(self) -> Float[Array, ""]:
        """1 while all returns were alike: before the first reward there is nothing to scale by."""
        return jnp.where(self.running.m2 > 0.0, self.running.deviation, 1.0)

    def updated(self, r_t: Float[Array, "T B"], starts: Bool[Array, "T B"], valid: Bool[Array, "T B"], discount: float) -> ReturnScale:
        """With T more steps of every lane; steps that are not valid add nothing."""

        def step(so_far: Array, inputs: tuple[Array, Array, Array]) -> tuple[Array, Array]:
            reward, start, counts = inputs
            after = reward + discount * jnp.where(start, 0.0, so_far)
            return jnp.where(counts, after, so_far), after

        so_far, seen = jax.lax.scan(step, self.so_far, (r_t, starts, valid))
        return ReturnScale(self.running.updated(seen, valid), so_far)
