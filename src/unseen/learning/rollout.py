"""The batch loop: environments stepped together, cut at their horizon, restarted from fresh levels; never merged flags.

Time runs in *slots*. A slot shows an observation; in a valid slot the agent acts and the next slot shows what followed. When a
time limit cuts an episode, the next slot only shows the final observation (not valid, nothing is done), so the value a
truncation bootstraps from is simply the next slot's; the slot after it starts a new episode. After a termination the next slot
starts a new episode at once.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from unseen.agents.actor import Seen
from unseen.agents.build import ActorCritic
from unseen.agents.memory.contract import READ, Records
from unseen.learning.levels import Levels
from unseen.learning.source import Source, where


class Lanes(NamedTuple):
    """B environments between two slots."""

    episode_key: PRNGKeyArray  # (B,)
    level: Int[Array, "B"]  # which entry of the mixture of levels
    state: Any
    observation: Any
    previous_action: Array
    start: Bool[Array, "B"]
    valid: Bool[Array, "B"]  # False: this slot only shows the observation at which a time limit cut the episode
    time: Int[Array, "B"]  # steps taken in this episode
    carry: Any  # the actor's memory
    score: Float[Array, "B"]  # undiscounted return so far
    discounted: Float[Array, "B"]
    previous_reward: Float[Array, "B"] | None = None  # where the agent reads it


class Slots(NamedTuple):
    """What happened, time-major: T slots of B lanes; `seen` and `signals` have T + 1.

    Attributes:
        seen: what the agent perceived (T + 1, B): observation, previous action, start, mask, previous reward where it reads that.
        signals: what only the critic is told (T + 1, B), by name; drawn once per state.
        action, log_probability, reward, terminated, truncated: (T, B); meaningless where not valid.
        valid: whether an action was taken in the slot.
        time: steps taken in the episode before this slot.
        score, discounted: the episode's returns including this slot, to be read where it ended.
        recalled: what the actor's memory read (T, B, K), by name (`READ`); None unless the loop was asked for it.
    """

    seen: Seen
    signals: dict[str, Array]
    action: Array
    log_probability: Float[Array, "T B"]
    reward: Float[Array, "T B"]
    terminated: Bool[Array, "T B"]
    truncated: Bool[Array, "T B"]
    valid: Bool[Array, "T B"]
    time: Int[Array, "T B"]
    score: Float[Array, "T B"]
    discounted: Float[Array, "T B"]
    recalled: Records | None = None

    @property
    def ended(self) -> Bool[Array, "T B"]:
        return self.valid & (self.terminated | self.truncated)

    @property
    def acted_on(self) -> Bool[Array, "T1 B"]:
        """Which observations an action answered; the slot after the last never was."""
        return jnp.concatenate([self.valid, jnp.zeros_like(self.valid[:1])])


class BatchLoop(NamedTuple):
    """What does not change while stepping.

    `recalling` keeps what the actor's memory read in every slot: for learners whose first pass is made with the parameters that acted.
    """

    environment: Any
    levels: Levels
    signal_names: tuple[str, ...]
    discount: float
    recalling: bool = False

    def fresh(self, agent: ActorCritic, source: Source, key: PRNGKeyArray, batch: int) -> tuple[Source, Lanes]:
        """Lanes at the first slot of new episodes."""
        k_begin, k_episode = jax.random.split(key)
        keys = jax.random.split(k_episode, batch)
        source, (level, observation, state) = source.begin(k_begin, batch, self.environment, self.levels)
        action = agent.actor.head(jnp.zeros((batch, agent.actor.trunk.features), jnp.float32)).mode()
        zero, off = jnp.zeros((batch,), jnp.float32), jnp.zeros((batch,), bool)
        carry = agent.actor.initial(batch)
        time = jnp.zeros((batch,), jnp.int32)
        reward = zero if agent.actor.trunk.reward else None
        return source, Lanes(keys, level, state, observation, jnp.zeros_like(action), ~off, ~off, time, carry, zero, zero, reward)

    def shown(self, lanes: Lanes) -> tuple[Seen, dict[str, Array]]:
        """What the agent perceives in this slot, and what its critic is told.

        One draw of the signals per state: the key is folded from the episode's and the time, so that the signal a critic sees as
        target at t - 1 is the one it sees as input at t.
        """
        mask = self.levels.mapped(self.environment.action_mask, lanes.level, lanes.state) if self.levels.masked else None
        seen = Seen(lanes.observation, lanes.previous_action, lanes.start, mask, lanes.previous_reward)
        if not self.signal_names:
            return seen, {}
        keys = jax.vmap(lambda key, t: jax.random.fold_in(jax.random.fold_in(key, 1), t))(lanes.episode_key, lanes.time)
        told = self.levels.mapped(self.environment.signals, lanes.level, keys, lanes.state)
        return seen, {name: told[name] for name in self.signal_names}

    def slot(self, agent: ActorCritic, lanes: Lanes, noise: Array) -> tuple[Lanes, Slots]:
        """One slot: perceive, act, step. The lanes that ended show their final state; restarting is `restarted`'s business."""
        seen, signals = self.shown(lanes)
        carry, distribution, recalled = agent.actor.step(lanes.carry, agent.perceived(seen))
        action = distribution.sample(noise)
        keys = jax.vmap(lambda key, t: jax.random.fold_in(jax.random.fold_in(key, 2), t))(lanes.episode_key, lanes.time)
        chosen = agent.actor.head.to_environment(action)
        step = self.levels.mapped(self.environment.step, lanes.level, keys, lanes.state, chosen)
        reward = jnp.where(lanes.valid, step.reward.astype(jnp.float32), 0.0)
        terminated = lanes.valid & step.terminated
        time = lanes.time + lanes.valid.astype(jnp.int32)
        truncated = lanes.valid & ~terminated & (time >= self.levels.horizon_of(lanes.level))
        score = lanes.score + reward
        discounted = lanes.discounted + reward * self.discount ** lanes.time.astype(jnp.float32)
        record = Slots(
            seen,
            signals,
            action,
            distribution.log_probability(action),
            reward,
            terminated,
            truncated,
            lanes.valid,
            lanes.time,
            score,
            discounted,
            {name: recalled[name] for name in READ if name in recalled} if self.recalling else None,
        )
        observation, state = where(lanes.valid, (step.observation, step.state), (lanes.observation, lanes.state))
        after = Lanes(
            lanes.episode_key,
            lanes.level,
            state,
            observation,
            action,
            jnp.zeros_like(lanes.start),
            lanes.valid & ~terminated & ~truncated,
            time,
            carry,
            score,
            discounted,
            None if lanes.previous_reward is None else reward,
        )
        return after, record

    def restarted(self, lanes: Lanes, record: Slots, source: Source, key: PRNGKeyArray) -> tuple[Lanes, Source]:
        """Lanes whose episode is over begin a new one: after a termination at once, after a cut once it has been shown."""
        over = record.terminated | ~record.valid
        k_begin, k_episode = jax.random.split(key)
        keys = jax.random.split(k_episode, over.shape[0])
        shown = lanes.level, lanes.observation, lanes.state
        source, (level, observation, state) = source.restarted(k_begin, over, shown, self.environment, self.levels)
        zero = jnp.zeros_like(lanes.score)
        on = jnp.ones_like(lanes.start)
        new = (keys, on, on, jnp.zeros_like(lanes.time), zero, zero)
        old = (lanes.episode_key, lanes.start, lanes.valid, lanes.time, lanes.score, lanes.discounted)
        key, start, valid, time, score, discounted = where(over, new, old)
        kept = lanes._replace(level=level, state=state, observation=observation)
        return kept._replace(episode_key=key, start=start, valid=valid, time=time, score=score, discounted=discounted), source

    def continuous(self, agent: ActorCritic, lanes: Lanes, source: Source, key: PRNGKeyArray, slots: int) -> tuple[Lanes, Source, Slots]:
        """`slots` slots of every lane, restarting as episodes end."""
        k_noise, k_begin = jax.random.split(key)
        noise = agent.actor.head.noise(k_noise, (slots, lanes.start.shape[0]))

        def body(loop: tuple[Lanes, Source], inputs: tuple[Array, Array]) -> tuple[tuple[Lanes, Source], Slots]:
            lanes, source = loop
            noise_t, key_t = inputs
            lanes, record = self.slot(agent, lanes, noise_t)
            return self.restarted(lanes, record, source, key_t), record

        (lanes, source), records = jax.lax.scan(body, (lanes, source), (noise, jax.random.split(k_begin, slots)))
        return lanes, source, _with_last(records, *self.shown(lanes))

    def episodes(self, agent: ActorCritic, source: Source, key: PRNGKeyArray, count: int, *, greedy: bool = False) -> tuple[Source, Slots]:
        """`count` whole episodes, one a lane; stops stepping when the last one ends, slots behind that stay invalid zeros."""
        k_begin, k_noise = jax.random.split(key)
        horizon = self.levels.longest
        source, lanes = self.fresh(agent, source, k_begin, count)
        noise = agent.actor.head.noise(k_noise, (horizon, count))
        if greedy:
            noise = jnp.zeros_like(noise)  # every distribution's draw without noise is its mode
        shape = jax.eval_shape(lambda: self.slot(agent, lanes, noise[0])[1])
        empty = jax.tree.map(lambda x: jnp.zeros((horizon + 1, *x.shape), x.dtype), shape)

        def body(loop: tuple[Array, Lanes, Slots]) -> tuple[Array, Lanes, Slots]:
            t, lanes, records = loop
            lanes, record = self.slot(agent, lanes, jax.lax.dynamic_index_in_dim(noise, t, keepdims=False))
            records = jax.tree.map(lambda all_, one: jax.lax.dynamic_update_index_in_dim(all_, one, t, 0), records, record)
            return t + 1, lanes, records

        def going(loop: tuple[Array, Lanes, Slots]) -> Array:
            return jnp.any(loop[1].valid)

        t, lanes, records = jax.lax.while_loop(going, body, (jnp.zeros((), jnp.int32), lanes, empty))
        seen, signals = self.shown(lanes)

        def last(all_: Any, one: Any) -> Any:
            return jax.tree.map(lambda a, x: jax.lax.dynamic_update_index_in_dim(a, x, t, 0), all_, one)

        if self.recalling:  # the learner looks at what the last episodes ended with, too
            _, _, read = agent.actor.step(lanes.carry, agent.perceived(seen))
            records = records._replace(recalled=last(records.recalled, {name: read[name] for name in records.recalled or {}}))
        cut = jax.tree.map(lambda x: x[:-1], records)
        return source, cut._replace(seen=last(records.seen, seen), signals=last(records.signals, signals))


def _with_last(records: Slots, seen: Seen, signals: dict[str, Array]) -> Slots:
    """T slots, with what the slot after them shows."""

    def append(all_: Any, one: Any) -> Any:
        return jax.tree.map(lambda a, x: jnp.concatenate([a, x[None]]), all_, one)

    return records._replace(seen=append(records.seen, seen), signals=append(records.signals, signals))
