"""Where new episodes come from: levels generated as they are needed, or dealt from a pool of levels made beforehand."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PRNGKeyArray

from unseen.learning.levels import Levels

Begun = tuple[Array, Any, Any]  # level (B,), observation, state


@runtime_checkable
class Source(Protocol):
    """Deals first observations and states to the lanes that ask for one."""

    def begin(self, key: PRNGKeyArray, count: int, environment: Any, levels: Levels) -> tuple[Any, Begun]:
        """`count` lanes at the start of new episodes."""
        ...

    def restarted(self, key: PRNGKeyArray, asking: Bool[Array, "B"], lanes: Begun, environment: Any, levels: Levels) -> tuple[Any, Begun]:
        """The lanes, those that ask at the start of a new episode."""
        ...

    def refreshed(self, key: PRNGKeyArray, environment: Any, levels: Levels) -> Any: ...


def generate(key: PRNGKeyArray, count: int, environment: Any, levels: Levels) -> Begun:
    """`count` new episodes, each with a level drawn by weight."""
    k_level, k_reset = jax.random.split(key)
    level = jax.vmap(levels.draw)(jax.random.split(k_level, count))
    observation, state = levels.mapped(environment.reset, level, jax.random.split(k_reset, count))
    return level, observation, state


class Generated(eqx.Module):
    """A new level for every episode: right where a reset costs little."""

    def begin(self, key: PRNGKeyArray, count: int, environment: Any, levels: Levels) -> tuple[Generated, Begun]:
        return self, generate(key, count, environment, levels)

    def restarted(
        self, key: PRNGKeyArray, asking: Bool[Array, "B"], lanes: Begun, environment: Any, levels: Levels
    ) -> tuple[Generated, Begun]:
        return self, where(asking, generate(key, asking.shape[0], environment, levels), lanes)

    def refreshed(self, key: PRNGKeyArray, environment: Any, levels: Levels) -> Generated:
        return self


class Pool(eqx.Module):
    """A deck of levels dealt in order, redrawn in order at a seventh of the pace: no entry serves more than 8 times, as long as
    one update begins no more episodes than the deck has entries (once more for every further deck that it goes through).

    Where an environment has `respawn(key, state, params) -> (observation, state)`, goal and start are redrawn at every use, and the
    deck keeps no observations.
    Between updates `refreshed` redraws what is owed, in blocks of `block` entries.
    """

    PACE = 7  # and one use more, for an entry that is dealt just before its turn comes

    entries: Begun
    dealt: Int[Array, ""]  # how many have been dealt in all
    redrawn: Int[Array, ""]  # how many have been redrawn in all
    block: int = eqx.field(static=True)

    @staticmethod
    def filled(key: PRNGKeyArray, size: int, environment: Any, levels: Levels) -> Pool:
        zero = jnp.zeros((), jnp.int32)
        return Pool(_kept(generate(key, size, environment, levels), environment), zero, zero, max(1, size // 64))

    @property
    def size(self) -> int:
        return self.entries[0].shape[0]

    def begin(self, key: PRNGKeyArray, count: int, environment: Any, levels: Levels) -> tuple[Pool, Begun]:
        position = (self.dealt + jnp.arange(count, dtype=jnp.int32)) % self.size
        level, observation, state = jax.tree.map(lambda x: x[position], self.entries)
        if hasattr(environment, "respawn"):
            observation, state = levels.mapped(environment.respawn, level, jax.random.split(key, count), state)
        return eqx.tree_at(lambda p: p.dealt, self, self.dealt + count), (level, observation, state)

    def restarted(self, key: PRNGKeyArray, asking: Bool[Array, "B"], lanes: Begun, environment: Any, levels: Levels) -> tuple[Pool, Begun]:
        """One lane after the other is copied from the deck: few ask in any one step, and a state may be large."""
        keys = jax.random.split(key, asking.shape[0]) if hasattr(environment, "respawn") else None

        def deal(turn: tuple[Array, Array, Begun]) -> tuple[Array, Array, Begun]:
            dealt, waiting, lanes = turn
            lane = jnp.argmax(waiting)
            level, observation, state = jax.tree.map(lambda x: x[(dealt % self.size)[None]], self.entries)
            if keys is not None:
                observation, state = levels.mapped(environment.respawn, level, keys[lane][None], state)
            placed = jax.tree.map(
                lambda all_, one: jax.lax.dynamic_update_slice_in_dim(all_, one, lane, 0), lanes, (level, observation, state)
            )
            return dealt + 1, waiting.at[lane].set(False), placed

        dealt, _, lanes = jax.lax.while_loop(lambda turn: jnp.any(turn[1]), deal, (self.dealt, asking, lanes))
        return eqx.tree_at(lambda p: p.dealt, self, dealt), lanes

    def refreshed(self, key: PRNGKeyArray, environment: Any, levels: Levels) -> Pool:
        def owed(pool: Pool) -> Array:
            return (pool.dealt // self.PACE) - pool.redrawn >= self.block

        def redraw(pool: Pool) -> Pool:
            new = _kept(generate(jax.random.fold_in(key, pool.redrawn), self.block, environment, levels), environment)
            position = (pool.redrawn + jnp.arange(self.block, dtype=jnp.int32)) % self.size
            entries = jax.tree.map(lambda old, x: old.at[position].set(x), pool.entries, new)
            return Pool(entries, pool.dealt, pool.redrawn + self.block, self.block)

        return jax.lax.while_loop(owed, redraw, self)


def _kept(begun: Begun, environment: Any) -> Begun:
    """What a deck keeps of new episodes: no observations where `respawn` makes them anew."""
    level, observation, state = begun
    return (level, (), state) if hasattr(environment, "respawn") else (level, observation, state)


def where(condition: Bool[Array, "B"], new: Any, old: Any) -> Any:
    """Lane by lane: `new` where the condition holds."""

    def choose(a: Array, b: Array) -> Array:
        return jnp.where(condition.reshape(-1, *(1,) * (a.ndim - 1)), a, b)

    return jax.tree.map(choose, new, old)
