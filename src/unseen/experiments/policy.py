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
from unseen.agents.memory.contract import READ
from unseen.errors import UserError

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

    def act(
        self, observation: Any, carry: Any, start: Any, greedy: bool = False, action_mask: Any = None, reward: Any = None
    ) -> tuple[np.ndarray, Any]:
        """Actions for a batch of observations.

        Args:
            observation: arrays with a leading batch axis, as the environment shows them.
            carry: from `initial` or the last `act`.
            start: (B,) whether each observation is the first of an episode.
            greedy: the most probable action instead of a draw.
            action_mask: (B, A) legal actions, where the environment has masks.
            reward: (B,) what each action before was paid, where the agent reads it (`Agent.previous_reward`); of no interest at a start.

        Returns:
            The environment's actions, (B, ...), and the new carry.

        Raises:
            UserError: for an agent that reads rewards and is not given them.
        """
        action, _, carry = self.draw(observation, carry, start, greedy, action_mask, reward)
        return action, carry

    def draw(
        self, observation: Any, carry: Any, start: Any, greedy: bool = False, action_mask: Any = None, reward: Any = None
    ) -> tuple[np.ndarray, np.ndarray | None, Any]:
        """As `act`, with the actions' log-probabilities (B,) between actions and carry; see `log_probability_of_taken`."""
        return self.recalled(observation, carry, start, greedy, action_mask, reward)[:3]

    def recalled(
        self, observation: Any, carry: Any, start: Any, greedy: bool = False, action_mask: Any = None, reward: Any = None
    ) -> tuple[np.ndarray, np.ndarray | None, Any, dict[str, np.ndarray]]:
        """As `draw`, with what the memory read (B, K) at the end, by name; empty for a memory that does not say."""
        self._key, key = jax.random.split(self._key)
        observation = jax.tree.map(jnp.asarray, observation)
        mask = None if action_mask is None else jnp.asarray(action_mask, bool)
        given = observation, carry, jnp.asarray(start, bool), mask, self._paid(reward, np.asarray(start, bool))
        action, log_probability, carry, read = self._act(self.agent, *given, key, greedy=greedy)
        return np.asarray(action), None if log_probability is None else np.asarray(log_probability), carry, jax.device_get(read)

    def _paid(self, reward: Any, start: np.ndarray) -> Array | None:
        """What the agent reads of the rewards."""
        if not self.agent.actor.trunk.reward:
            return None
        if reward is None:
            if not start.all():
                raise UserError(
                    "reward = None; this agent reads what its last action was paid (agent.previous_reward=True): give reward=(B,)"
                )
            return jnp.zeros(start.shape, jnp.float32)
        paid = np.asarray(reward, np.float32)
        if paid.shape != start.shape:
            raise UserError(f"reward has the shape {paid.shape}; it must be that of start, {start.shape}: one reward for each observation")
        return jnp.asarray(paid)


def _act(agent: ActorCritic, observation: Any, carry: Any, start: Any, mask: Any, reward: Any, key: Any, greedy: bool) -> Any:
    memory, previous = carry
    memory, distribution, records = agent.actor.step(memory, agent.perceived(Seen(observation, previous, start, mask, reward)))
    head = agent.actor.head
    drawn = distribution.mode() if greedy else distribution.sample(head.noise(key, start.shape))
    log_probability = log_probability_of_taken(head, distribution.log_probability(drawn), greedy)
    read = {name: records[name] for name in READ if name in records}
    return head.to_environment(drawn), log_probability, (memory, drawn), read


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
