"""Whole episodes of a reference player: what they were worth, and how many trials or visits there were in them."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, PRNGKeyArray

from unseen.environments.contract import Score
from unseen.environments.memory_suite import chambers, transitive_inference
from unseen.environments.memory_suite.levels import require_level
from unseen.environments.memory_suite.players.player import Player, look
from unseen.errors import UserError

# Training starts from the key of its seed and folds small numbers into it, its evaluations fold in 0xE7A1; for one key different
# numbers give different keys (Threefry permutes them). A key folded with this constant is none of theirs, and nor, but for a
# coincidence of 64 bits, is one derived from it.
EVALUATION = 0x4EFE7E5C
BATCH = 500  # episodes at a time


class Played(NamedTuple):
    """Attributes:

    returns: undiscounted, of whole episodes cut at the horizon.
    trials: answered trials, or visits of the goal, in each.
    """

    returns: Float[np.ndarray, "episodes"]
    trials: Int[np.ndarray, "episodes"]

    @property
    def score(self) -> Score:
        """Mean return with its standard error."""
        return Score(float(self.returns.mean()), float(self.returns.std(ddof=1) / np.sqrt(len(self.returns))))

    @property
    def right(self) -> float:
        """The part of all trials that paid; meaningless where every one pays."""
        return float(self.returns.sum() / max(self.trials.sum(), 1))


def play(environment: Any, level: str, player: Player, episodes: int, key: PRNGKeyArray) -> Float[np.ndarray, "episodes"]:
    """Undiscounted returns of whole episodes, cut at the horizon.

    Args:
        environment: a compact or first-person one of the suite.
        level: one of its levels; parameters are mixed by weight.
        player: one for this environment.
        episodes: how many.
        key: any; `EVALUATION` is folded into it, so that no training episode is among those played.

    Raises:
        UserError: for a level that the environment does not have, or no episodes.
    """
    return played(environment, level, player, episodes, key).returns


def played(environment: Any, level: str, player: Player, episodes: int, key: PRNGKeyArray) -> Played:
    """As `play`, with the number of trials."""
    require_level(environment.name, environment.levels, level)
    if episodes < 1:
        raise UserError(f"memory references: episodes={episodes} is not allowed; give 1 or more")
    mixture = _mixture(environment, level)
    keys = jax.random.split(jax.random.fold_in(key, EVALUATION), episodes)
    size = min(episodes, BATCH)
    # The last batch is filled up with episodes of the first, which are not counted, so that one program serves all.
    filled = jnp.concatenate([keys, keys[: -episodes % size]])
    parts = [jax.device_get(_batch(environment, player, filled[k : k + size], *mixture)) for k in range(0, len(filled), size)]
    returns, trials = (np.concatenate(part)[:episodes] for part in zip(*parts, strict=True))
    return Played(returns.astype(np.float64), trials.astype(np.int64))


def _mixture(environment: Any, level: str) -> tuple[Float[Array, "m"], Any, Int[Array, "m"]]:
    """Logarithms of weights, parameters and horizons, for every level as many, so that one program serves all levels."""
    most = max(len(entries) for entries in environment.levels.values())
    weighted = list(environment.levels[level])
    weighted += [(0.0, weighted[0][1])] * (most - len(weighted))
    entries = [params for _, params in weighted]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *entries)
    log_weights = jnp.log(jnp.asarray([weight for weight, _ in weighted], jnp.float32))
    return log_weights, stacked, jnp.asarray([environment.horizon(params) for params in entries], jnp.int32)


@partial(jax.jit, static_argnums=(0, 1))
def _batch(
    environment: Any, player: Player, keys: Key[Array, "B"], log_weights: Float[Array, "m"], entries: Any, horizons: Int[Array, "m"]
) -> tuple[Float[Array, "B"], Int[Array, "B"]]:
    def begin(key: PRNGKeyArray) -> tuple[Any, Any, Int[Array, ""], PRNGKeyArray]:
        k_entry, k_reset, k_steps = jax.random.split(key, 3)
        entry = jax.random.categorical(k_entry, log_weights)
        params = jax.tree.map(lambda leaf: leaf[entry], entries)
        return environment.reset(k_reset, params)[1], params, horizons[entry], k_steps

    def step(
        time: Int[Array, ""], key: PRNGKeyArray, state: Any, memory: Any, reward: Float[Array, ""], params: Any
    ) -> tuple[Any, Any, Float[Array, ""], Bool[Array, ""]]:
        k_act, k_step = jax.random.split(jax.random.fold_in(key, time))
        memory, action = player.act(k_act, memory, look(environment, player.reads, state, reward), params)
        _, state, reward, terminated = environment.step(k_step, state, action, params)  # the picture is not used and so not painted
        return state, memory, reward, terminated

    count = keys.shape[0]
    states, params, limits, k_steps = jax.vmap(begin)(keys)
    memories = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (count, *jnp.shape(leaf))), player.begin())

    def advance(carry: tuple[Any, ...]) -> tuple[Any, ...]:
        time, states, memories, rewards, returns, trials, running = carry
        states, memories, rewards, terminated = jax.vmap(step, in_axes=(None, 0, 0, 0, 0, 0))(
            time, k_steps, states, memories, rewards, params
        )
        returns = returns + jnp.where(running, rewards, 0.0)
        trials = jnp.where(running, jax.vmap(trials_in)(states), trials)
        return time + 1, states, memories, rewards, returns, trials, running & ~terminated & (time + 1 < limits)

    nothing = jnp.zeros((count,), jnp.float32)
    start = jnp.int32(0), states, memories, nothing, nothing, jnp.zeros((count,), jnp.int32), jnp.ones((count,), bool)
    _, _, _, _, returns, trials, _ = jax.lax.while_loop(lambda carry: jnp.any(carry[-1]), advance, start)
    return returns, trials


def trials_in(state: Any) -> Int[Array, ""]:
    """How many trials have been answered, or how often the goal was reached."""
    if hasattr(state, "visits"):
        return state.visits
    if hasattr(state, "blocks"):
        return state.progress.trial + (state.progress.phase == chambers.PAUSE).astype(jnp.int32)
    if hasattr(state, "chains"):
        return transitive_inference.CHALLENGES * state.progress.round  # those of whole rounds, which are paid together
    return state.progress.trial
