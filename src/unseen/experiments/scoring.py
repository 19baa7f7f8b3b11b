"""Returns of a trained agent on many levels at once: one compiled program for all levels and seeds, and no record of what happened."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from unseen.agents.build import ActorCritic
from unseen.learning.levels import Levels, mixture
from unseen.learning.rollout import BatchLoop, Lanes
from unseen.learning.source import Begun


class Dealt(eqx.Module):
    """One episode a lane, on the level that is named for it."""

    level: Int[Array, "B"]

    def begin(self, key: PRNGKeyArray, count: int, environment: Any, levels: Levels) -> tuple[Dealt, Begun]:
        observation, state = levels.mapped(environment.reset, self.level, jax.random.split(key, count))
        return self, (self.level, observation, state)

    def restarted(self, key: PRNGKeyArray, asking: Bool[Array, "B"], lanes: Begun, environment: Any, levels: Levels) -> tuple[Dealt, Begun]:
        """Nothing begins anew: each lane plays one episode."""
        return self, lanes

    def refreshed(self, key: PRNGKeyArray, environment: Any, levels: Levels) -> Dealt:
        return self


def _evenly(mixtures: Sequence[Levels]) -> Levels:
    """One mixture of several, each as likely as the next."""
    return Levels(
        tuple(entry for levels in mixtures for entry in levels.entries),
        tuple(weight / len(mixtures) for levels in mixtures for weight in levels.weights),
        tuple(horizon for levels in mixtures for horizon in levels.horizons),
        mixtures[0].masked,
    )


def player(
    environment: Any, names: Mapping[str, Sequence[str]], episodes: int
) -> Callable[[ActorCritic, PRNGKeyArray], dict[str, Float[np.ndarray, "episodes"]]]:
    """`play(agent, key)`: undiscounted returns of whole episodes, by the keys of `names`.

    Args:
        environment: whose levels.
        names: key -> levels, mixed evenly.
        episodes: of each.
    """
    each = [_evenly([mixture(environment, level) for level in levels]) for levels in names.values()]
    loop = BatchLoop(environment, _evenly(each), (), 1.0)

    def dealt(key: PRNGKeyArray) -> Dealt:
        """The entry of every lane: levels one after the other, the entries of each by weight."""
        lanes, below = [], 0
        for levels, k in zip(each, jax.random.split(key, len(each)), strict=True):
            lanes.append(below + jax.vmap(levels.draw)(jax.random.split(k, episodes)))
            below += len(levels.entries)
        return Dealt(jnp.concatenate(lanes))

    @eqx.filter_jit
    def play(agent: ActorCritic, key: PRNGKeyArray) -> Float[Array, "B"]:
        k_level, k_begin, k_noise = jax.random.split(key, 3)
        count = episodes * len(each)
        _, lanes = loop.fresh(agent, dealt(k_level), k_begin, count)

        def body(turn: tuple[Array, Lanes]) -> tuple[Array, Lanes]:
            t, lanes = turn
            noise = agent.actor.head.noise(jax.random.fold_in(k_noise, t), (count,))
            return t + 1, loop.slot(agent, lanes, noise)[0]

        return jax.lax.while_loop(lambda turn: jnp.any(turn[1].valid), body, (jnp.zeros((), jnp.int32), lanes))[1].score

    def by_name(agent: ActorCritic, key: PRNGKeyArray) -> dict[str, Float[np.ndarray, "episodes"]]:
        rows = np.asarray(play(agent, key)).reshape(len(each), episodes)
        return dict(zip(names, rows, strict=True))

    return by_name
