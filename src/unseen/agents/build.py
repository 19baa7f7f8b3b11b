"""From settings and spaces to modules."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from unseen.agents import settings
from unseen.agents.actor import Actor, Seen, Trunk
from unseen.agents.contrastive import Contrastive
from unseen.agents.critic import Critic
from unseen.agents.encoders import encoder, is_picture, layered
from unseen.agents.heads import policy_head
from unseen.agents.layers import Linear, Perceptron
from unseen.agents.memory.contract import Memory
from unseen.agents.memory.episodic import Episodic, readout
from unseen.agents.memory.feedforward import FeedForward
from unseen.agents.memory.gru import GRU, LSTM
from unseen.agents.memory.lru import LRU
from unseen.agents.memory.memax import Memax
from unseen.agents.memory.transformer import GTrXL
from unseen.agents.normalise import Running
from unseen.agents.reconstruction import Reconstructed, decoder
from unseen.errors import UserError, unknown


class ActorCritic(eqx.Module):
    """An actor, its critic, the statistics that scale what both see (not trained by gradients), and what an auxiliary loss needs."""

    actor: Actor
    critic: Critic
    statistics: dict[str, Running]
    auxiliary: Contrastive | Reconstructed | None = None

    @property
    def trained(self) -> tuple[Any, ...]:
        """What gradients train: actor, critic, and the auxiliary loss's own parameters where there is one."""
        return (self.actor, self.critic) if self.auxiliary is None else (self.actor, self.critic, self.auxiliary)

    def with_trained(self, parameters: tuple[Any, ...]) -> ActorCritic:
        """With these in their place."""
        where = (lambda m: (m.actor, m.critic)) if self.auxiliary is None else (lambda m: (m.actor, m.critic, m.auxiliary))
        return eqx.tree_at(where, self, parameters)

    def perceived(self, seen: Seen) -> Seen:
        """With the observation as the networks see it: vectors scaled by running statistics where that is switched on."""
        if not self.statistics:
            return seen
        raw = seen.observation
        if not isinstance(raw, dict):
            return seen._replace(observation=self.statistics[""].normalised(raw.astype(jnp.float32)))
        scaled = {k: self.statistics[k].normalised(v.astype(jnp.float32)) if k in self.statistics else v for k, v in raw.items()}
        return seen._replace(observation=scaled)

    def with_seen(self, observation: Any, weight: Array) -> ActorCritic:
        """With statistics that include these observations (leading axes as `weight`)."""
        if not self.statistics:
            return self
        leaves = observation if isinstance(observation, dict) else {"": observation}
        updated = {k: running.updated(leaves[k].astype(jnp.float32), weight) for k, running in self.statistics.items()}
        return eqx.tree_at(lambda m: m.statistics, self, updated)


def build(
    agent: settings.Agent,
    observation_space: gymnasium.Space,
    action_space: gymnasium.Space,
    signal_spaces: dict[str, gymnasium.Space],
    key: PRNGKeyArray,
    *,
    environment: str = "this environment",
) -> ActorCritic:
    """The modules of an agent for these spaces.

    Raises:
        UserError: a signal that does not exist, an unsupported space, a critic with nothing to look at, or a network for pictures where
            there are none.
    """
    k_actor, k_critic, k_policy, k_value, k_signals = jax.random.split(key, 5)
    k_auxiliary = jax.random.fold_in(key, 5)  # apart, so that an agent with an auxiliary loss starts from the same draws as one without
    critic = agent.critic
    for name in critic.signals:
        if name not in signal_spaces:
            raise unknown(f"signal of {environment}", name, signal_spaces)
    if not critic.history and not critic.signals:
        raise UserError("critic.history=False and critic.signals=(): the critic sees nothing; name a signal or keep the history")
    if critic.shared_trunk and not critic.history:
        raise UserError("critic.shared_trunk=True needs critic.history=True: the shared trunk is what carries the history")
    if agent.pictures is not None and not is_picture(observation_space):
        raise UserError(
            f"agent.pictures = {agent.pictures}, and the observation of {environment} has no picture (height, width and up to 16 channels; "
            "a grid of bytes with fewer than 16 rows or columns is taken for codes): leave agent.pictures out"
        )

    actor_trunk = _trunk(agent, observation_space, action_space, k_actor)
    own_trunk = _trunk(agent, observation_space, action_space, k_critic) if critic.history and not critic.shared_trunk else None
    common: dict[str, Any] = {"activation": agent.activation, "precision": agent.precision}
    signal_keys = jax.random.split(k_signals, len(critic.signals) + 1)
    # The keys of signals come last, so that an agent with a signal starts from the same draws as one without.
    embeds = {
        n: encoder(signal_spaces[n], agent.embedding, pictures=agent.pictures, key=k, **common)
        for n, k in zip(critic.signals, signal_keys, strict=False)
    }
    told = sum(e.features for e in embeds.values())
    value = Perceptron([actor_trunk.features if critic.history else told, *agent.head, 1], key=k_value, **common)
    join = None
    if critic.history and told:
        follows = agent.activation if agent.head else "linear"
        join = Linear(told, value.layers[0].b.shape[0], follows=follows, key=signal_keys[-1]).w
    form: dict[str, Any] = {"box_policy": agent.box_policy, "scale": agent.policy_scale}
    head = policy_head(action_space, actor_trunk.features, agent.head, **form, key=k_policy, **common)
    statistics = _statistics(observation_space) if agent.normalise_observations else {}
    helper = _auxiliary(agent, actor_trunk, observation_space, k_auxiliary)
    return ActorCritic(Actor(actor_trunk, head), Critic(own_trunk, critic.shared_trunk, embeds, join, value), statistics, helper)


def _auxiliary(
    agent: settings.Agent, trunk: Trunk, observation_space: gymnasium.Space, key: PRNGKeyArray
) -> Contrastive | Reconstructed | None:
    """What the agent's auxiliary loss needs besides the actor."""
    embedding = trunk.observation.features
    match agent.auxiliary:
        case None:
            return None
        case settings.CPC(steps, weight):
            return Contrastive(trunk.features, embedding, steps, weight, precision=agent.precision, key=key)
        case settings.Reconstruction(weight, source):
            inputs = embedding if source == "embedding" else embedding + trunk.features
            return Reconstructed(decoder(observation_space, inputs, precision=agent.precision, key=key), weight, source)


def _trunk(agent: settings.Agent, observation_space: gymnasium.Space, action_space: gymnasium.Space, key: PRNGKeyArray) -> Trunk:
    k_observation, k_action, k_memory = jax.random.split(key, 3)
    common: dict[str, Any] = {"activation": agent.activation, "precision": agent.precision}
    observe = encoder(observation_space, agent.embedding, pictures=agent.pictures, key=k_observation, **common)
    if agent.layer is not None:
        observe = layered(observe, agent.layer, **common, key=jax.random.fold_in(k_observation, 1))
    act = encoder(_drawn_space(action_space), agent.embedding, key=k_action, **common) if agent.previous_action else None
    inputs = observe.features + (act.features if act is not None else 0) + int(agent.previous_reward)
    return Trunk(observe, act, _memory(agent.memory, inputs, agent.precision, k_memory), agent.precision, agent.previous_reward)


def _drawn_space(space: gymnasium.Space) -> gymnasium.Space:
    """The space of actions as the policy draws them: indices from 0, or flat vectors."""
    spaces = gymnasium.spaces
    if isinstance(space, spaces.Discrete):
        return spaces.Discrete(int(space.n))
    if isinstance(space, spaces.MultiDiscrete):
        return spaces.MultiDiscrete(space.nvec)
    if isinstance(space, spaces.Box):
        return spaces.Box(-float("inf"), float("inf"), (int(jnp.size(space.low)),))
    return space  # refused by name where the policy head is built


def _memory(memory: settings.Memory, inputs: int, precision: str, key: PRNGKeyArray) -> Memory:
    match memory:
        case settings.FeedForward(size):
            return FeedForward(inputs, size, precision=precision, key=key)
        case settings.GRU(size):
            return GRU(inputs, size, precision=precision, key=key)
        case settings.LSTM(size):
            return LSTM(inputs, size, precision=precision, key=key)
        case settings.LRU(size):
            return LRU(inputs, size, precision=precision, key=key)
        case settings.GTrXL(size, layers, heads, window):
            return GTrXL(inputs, size, layers=layers, heads=heads, window=window, precision=precision, key=key)
        case settings.Memax(model, size):
            return Memax(inputs, size, model=model, key=key)
        case settings.MEM():
            return _episodic(memory, inputs, precision, key)
    raise UserError(f"memory {memory!r} is not a memory setting; allowed: FeedForward, GRU, LSTM, LRU, GTrXL, Memax, MEM")


def _episodic(memory: settings.MEM, inputs: int, precision: str, key: PRNGKeyArray) -> Episodic:
    """MEM and its working memory, whose width is that of the states that are stored."""
    k_working, k_memory = jax.random.split(key)
    if memory.working.size is None:
        raise UserError("memory.working=FeedForward() needs a size with MEM, the width of what is stored; give FeedForward(256)")
    read = readout(memory.recalls, inputs, memory.working.size)
    built = _memory(memory.working, inputs + read, precision, k_working)
    sizes = {"capacity": memory.capacity, "neighbours": memory.neighbours, "key_size": memory.key_size, "every": memory.every}
    how: dict[str, Any] = {"recalls": memory.recalls, "gradient": memory.gradient, "precision": precision}
    return Episodic(inputs, built, **sizes, **how, key=k_memory)


def _statistics(space: gymnasium.Space) -> dict[str, Running]:
    """Statistics of every float vector of the observation; pictures and categories are left as they are."""
    parts = space.spaces if isinstance(space, gymnasium.spaces.Dict) else {"": space}
    vectors = {k: s for k, s in parts.items() if isinstance(s, gymnasium.spaces.Box) and s.dtype.kind == "f" and len(s.shape) == 1}
    if not vectors:
        raise UserError(f"normalise_observations=True, but {space} has no float vector to normalise; switch it off")
    return {k: Running.fresh(s.shape) for k, s in vectors.items()}
