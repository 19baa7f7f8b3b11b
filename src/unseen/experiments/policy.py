"""A trained agent to use elsewhere: `initial`, `act`, and nothing about learning."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from unseen.agents.actor import Seen
from unseen.agents.build import ActorCritic


class Policy:
    """pi(a | h), with the memory handed in and out; the carry holds the previous action too."""

    def __init__(self, agent: ActorCritic, key: int = 0) -> None:
        self.agent = agent
        self._key = jax.random.key(key)
        self._act = jax.jit(_act, static_argnames="greedy")

    def initial(self, batch: int) -> Any:
        """The carry of `batch` agents that have seen nothing."""
        actor = self.agent.actor
        action = actor.head(jnp.zeros((batch, actor.trunk.features), jnp.float32)).mode()
        return actor.initial(batch), jnp.zeros_like(action)

    def act(self, observation: Any, carry: Any, start: Any, greedy: bool = False, action_mask: Any = None) -> tuple[np.ndarray, Any]:
        """Actions for a batch of observations.

        Args:
            observation: arrays with a leading batch axis, as the environment shows them.
            carry: from `initial` or the last `act`.
            start: (B,) whether each observation is the first of an episode.
            greedy: the most probable action instead of a draw.
            action_mask: (B, A) legal actions, where the environment has masks.

        Returns:
            The environment's actions, (B, ...), and the new carry.
        """
        self._key, key = jax.random.split(self._key)
        observation = jax.tree.map(jnp.asarray, observation)
        mask = None if action_mask is None else jnp.asarray(action_mask, bool)
        action, _, carry = self._act(self.agent, observation, carry, jnp.asarray(start, bool), mask, key, greedy=greedy)
        return np.asarray(action), carry


def _act(agent: ActorCritic, observation: Any, carry: Any, start: Any, mask: Any, key: Any, greedy: bool) -> Any:
    memory, previous = carry
    memory, distribution, _ = agent.actor.step(memory, agent.perceived(Seen(observation, previous, start, mask)))
    drawn = distribution.mode() if greedy else distribution.sample(agent.actor.head.noise(key, start.shape))
    return agent.actor.head.to_environment(drawn), distribution.log_probability(drawn), (memory, drawn)
