"""Many seeds in one compiled program: devices x mapped blocks x vmap width.

Seeds under plain `vmap` are not free on a CPU: a loop runs until its slowest seed is done and every branch of a switch is
computed. So each device maps over its seeds one after the other, and only `width` of them go through `vmap` together
(1 on a CPU; all of them on a GPU, where kernel launches bound small agents). Where there are at least
twice as many cores as seeds, those that would stay idle share the lanes of a seed, if its algorithm can (`learning/sharing.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from unseen.experiments.platform import spare_devices
from unseen.learning.sharing import AXIS, devices_for


class Layout(NamedTuple):
    """How the seeds are spread."""

    seeds: int
    devices: int
    width: int
    sharing: int = 1  # devices for each of those, which share the lanes of its seeds

    @property
    def padded(self) -> int:
        """Rows of the batched state: seeds, rounded up to fill every device's blocks; what is added is thrown away."""
        return self.devices * self.width * math.ceil(self.seeds / (self.devices * self.width))


def layout(seeds: int, width: int | None = None, lanes: int = 1) -> Layout:
    """Spread seeds over the devices there are.

    Args:
        seeds: how many.
        width: how many go through `vmap` together; None: 1 on a CPU, all of a device's on an accelerator.
        lanes: of one seed, that its devices may share evenly.
    """
    devices = min(len(jax.devices()), seeds)
    if width is None:
        width = 1 if jax.default_backend() == "cpu" else math.ceil(seeds / devices)
    sharing = devices_for(lanes, spare_devices(devices)) if width == 1 else 1
    return Layout(seeds, devices, min(width, math.ceil(seeds / devices)), sharing)


def over_seeds(function: Callable[..., Any], spread: Layout, shared: int = 0) -> Callable[..., Any]:
    """`function(state, *shared)` for every seed of a batched state; the last `shared` arguments are the same for all."""

    def one_device(batched: Any, *common: Any) -> Any:
        if spread.width == 1:
            return jax.lax.map(lambda one: function(one, *common), batched)
        blocks = jax.tree.map(lambda x: x.reshape(-1, spread.width, *x.shape[1:]), batched)
        mapped = jax.lax.map(lambda block: jax.vmap(lambda one: function(one, *common))(block), blocks)
        return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), mapped)

    if spread.devices * spread.sharing == 1:
        return one_device
    devices = np.asarray(jax.devices()[: spread.devices * spread.sharing])
    mesh = Mesh(devices.reshape(spread.devices, spread.sharing), ("seed", AXIS))
    by_seed, everywhere = PartitionSpec("seed"), PartitionSpec()
    return jax.shard_map(one_device, mesh=mesh, in_specs=(by_seed, *[everywhere] * shared), out_specs=by_seed, check_vma=False)


def keys_of(spread: Layout, first_seed: int) -> Any:
    """One key per row; the rows added as padding repeat the last seed."""
    numbers = np.minimum(np.arange(spread.padded), spread.seeds - 1) + first_seed
    return jax.vmap(jax.random.key)(jnp.asarray(numbers, jnp.uint32))


def padded(rows: np.ndarray, spread: Layout) -> np.ndarray:
    """The rows of all seeds, the last one repeated as padding; rows beyond the seeds are another layout's padding."""
    rows = rows[: spread.seeds]
    return np.concatenate([rows, np.repeat(rows[-1:], spread.padded - spread.seeds, axis=0)])
