"""Lanes in parts that stay in the cache, dealt to the devices that share a seed.

What a rollout's lanes contribute to a gradient is a sum, so it may be taken a few lanes at a time. On a CPU that is faster than
all at once (the states of a thousand steps fit the cache, those of ten thousand do not), and it takes less memory. Where one seed
has several devices, each takes its share of the lanes; everything else of the seed's state is the same on all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Int

from unseen.learning.settings import A2C, PPO, Algorithm

AXIS = "lane"  # of the device mesh
ROWS = 2_048  # time steps x lanes of a part on a CPU; measured: LSTM-128 flat from 512 on, MEM-128 a third faster than with 1,024


class Sharing(NamedTuple):
    """How many devices share the lanes of one seed; inside `shard_map` over AXIS where there are more than one."""

    devices: int = 1

    def parts(self, lanes: Int[Array, "n"], time: int) -> Int[Array, "p c"]:
        """This device's share of the lanes, as parts of c lanes that are `time` steps long."""
        share = lanes.shape[0] // self.devices
        if self.devices > 1:
            lanes = jax.lax.dynamic_slice_in_dim(lanes, jax.lax.axis_index(AXIS) * share, share)
        return lanes.reshape(-1, part_size(share, time))

    def total(self, function: Callable[[Array], Any], lanes: Int[Array, "n"], time: int) -> Any:
        """The sum of function(part) over all parts of all devices."""
        parts = self.parts(lanes, time)
        if parts.shape[0] == 1:
            summed = function(parts[0])
        else:
            zero = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(function, parts[0]))
            summed, _ = jax.lax.scan(lambda sum_, part: (jax.tree.map(jnp.add, sum_, function(part)), None), zero, parts)
        return summed if self.devices == 1 else jax.lax.psum(summed, AXIS)

    def each(self, function: Callable[[Array], tuple[Any, Any]], lanes: Int[Array, "n"], time: int) -> tuple[Any, Any]:
        """function(part) -> (leaves with lanes first, leaves with time first), for all lanes and on every device."""
        by_lane, by_time = jax.lax.map(function, self.parts(lanes, time))
        by_lane = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), by_lane)
        by_time = jax.tree.map(lambda x: jnp.moveaxis(x, 0, 1).reshape(x.shape[1], -1, *x.shape[3:]), by_time)
        if self.devices > 1:
            by_lane = jax.lax.all_gather(by_lane, AXIS, tiled=True)
            by_time = jax.lax.all_gather(by_time, AXIS, axis=1, tiled=True)
        return by_lane, by_time


ALONE = Sharing()


def part_size(lanes: int, time: int) -> int:
    """Lanes of a part: on a CPU the largest divisor with no more than ROWS rows, or up to 8 lanes of any length; elsewhere all."""
    if jax.default_backend() != "cpu":
        return lanes
    most = max(8, ROWS // time)
    return max(size for size in range(1, min(lanes, most) + 1) if lanes % size == 0)


def devices_for(lanes: int, spare: int) -> int:
    """How many of the devices to spare can share this many lanes evenly, without leaving any idle between parts."""
    return max(n for n in range(1, max(1, spare) + 1) if lanes % n == 0)


def lanes_to_share(algorithm: Algorithm) -> int:
    """Lanes whose gradient several devices may share: those of a minibatch or update. A2C's few episodes are not worth it."""
    if isinstance(algorithm, A2C):
        return 1
    return algorithm.environments // algorithm.minibatches if isinstance(algorithm, PPO) else algorithm.environments


def shared(function: Callable[..., Any], devices: int) -> Callable[..., Any]:
    """`function(sharing, *arguments)` on this many devices, with the same arguments and results on each."""
    if devices == 1:
        return partial(function, ALONE)
    whole = partial(function, Sharing(devices))
    return jax.shard_map(whole, mesh=_mesh(devices), in_specs=PartitionSpec(), out_specs=PartitionSpec(), check_vma=False)


def everywhere(tree: Any, devices: int) -> Any:
    """A copy on each of the devices that share."""
    return jax.device_put(tree, NamedSharding(_mesh(devices), PartitionSpec()))


def _mesh(devices: int) -> Mesh:
    return Mesh(np.asarray(jax.devices()[:devices]), (AXIS,))
