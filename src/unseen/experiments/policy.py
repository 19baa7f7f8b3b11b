"""A trained agent to use elsewhere: `initial`, `act`, and nothing about learning."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from unseen.agents.actor import Seen
from unseen.agents.build import ActorCritic
from unseen.agents.heads import Head, NormalHead

ACTING = 0xAC7  # folded into the key of a policy's own draws: training starts from the plain keys of its seeds


class Policy:
    """pi(a | h), with the memory handed in and out; the carry holds the previous action too."""

    def __init__(self, agent: ActorCritic, key: int = 0) -> None:
        self.agent = agent
        self._key = jax.random.fold_in(jax.random.key(key), ACTING)
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
        action, _, carry = self.draw(observation, carry, start, greedy, action_mask)
        return action, carry

    def draw(
        self, observation: Any, carry: Any, start: Any, greedy: bool = False, action_mask: Any = None
    ) -> tuple[np.ndarray, np.ndarray | None, Any]:
        """As `act`, with the actions' log-probabilities (B,) between actions and carry; see `log_probability_of_taken`."""
        self._key, key = jax.random.split(self._key)
        observation = jax.tree.map(jnp.asarray, observation)
        mask = None if action_mask is None else jnp.asarray(action_mask, bool)
        action, log_probability, carry = self._act(self.agent, observation, carry, jnp.asarray(start, bool), mask, key, greedy=greedy)
        return np.asarray(action), None if log_probability is None else np.asarray(log_probability), carry


def _act(agent: ActorCritic, observation: Any, carry: Any, start: Any, mask: Any, key: Any, greedy: bool) -> Any:
    memory, previous = carry
    memory, distribution, _ = agent.actor.step(memory, agent.perceived(Seen(observation, previous, start, mask)))
    head = agent.actor.head
    drawn = distribution.mode() if greedy else distribution.sample(head.noise(key, start.shape))
    log_probability = log_probability_of_taken(head, distribution.log_probability(drawn), greedy)
    return head.to_environment(drawn), log_probability, (memory, drawn)


def log_probability_of_taken(head: Head, log_probability: Array, greedy: bool) -> Array | None:
    """log p(a | h) of the action a that the environment takes, from that of the policy's draw; None where there is none.

    A squashed action a = low + (tanh(u) + 1) (high - low) / 2 has the density of tanh(u) divided by that scale in each dimension.
    A clipped action has none: all draws beyond an end are the end itself. Nor has a greedy action: it is no draw.
    """
    if greedy:
        return None
    if not isinstance(head, NormalHead) or head.form == "unbounded":
        return log_probability
    scales = [0.5 * (high - low) for low, high in zip(head.low, head.high, strict=True)]
    if head.form == "clipped" or min(scales) <= 0.0:
        return None
    return log_probability - sum(math.log(scale) for scale in scales)
