"""Playing one episode of a trained agent while looking at its policy, its critic and its memory."""

from __future__ import annotations

from typing import Any, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from unseen.agents.build import ActorCritic
from unseen.agents.distributions import Categorical, Distribution, MultiCategorical
from unseen.agents.heads import CategoricalHead
from unseen.agents.memory.contract import Records
from unseen.experiments.recalled import reads
from unseen.experiments.watched import MOST_PICTURES, Choices, Normals, Picture, Watched, worth_drawing
from unseen.learning.levels import mixture
from unseen.learning.rollout import BatchLoop, Lanes
from unseen.learning.source import Generated


class Moment(NamedTuple):
    """One step: what was done, what it was drawn from, what the memory read (None: it does not say) and what the critic expected."""

    action: Array
    reward: Array
    terminated: Array
    recalled: Records | None
    distribution: Distribution
    value: Array


def watch(environment: Any, agent: ActorCritic, key: Any, *, level: str, value_scale: float = 1.0, most: int = MOST_PICTURES) -> Watched:
    """One episode, its actions drawn from the policy.

    Args:
        environment: one of this package's, compiled.
        agent: trained.
        key: of the level and of everything drawn in it.
        level: mixture of levels.
        value_scale: what rewards were divided by before the critic learned from them.
        most: pictures to draw.
    """
    levels = mixture(environment, level)
    loop = BatchLoop(environment, levels, tuple(agent.critic.signals), 1.0, recalling=True)
    k_play, k_begin = jax.random.split(key)
    _, lanes = jax.jit(lambda *given: loop.fresh(given[0], Generated(), given[1], 1))(agent, k_begin)
    params = levels.entries[int(lanes.level[0])]
    slot = jax.jit(lambda *given: _slot(loop, *given))
    critic, states, moments = agent.critic.initial(1), [], []
    while True:
        states.append(jax.device_get(lanes.state))
        over = not bool(lanes.valid[0])
        lanes, critic, moment = slot(agent, lanes, critic, jax.random.fold_in(k_play, len(moments)))
        moments.append(jax.device_get(moment))
        if over:  # the last slot only shows the final observation, for its value; nothing is done there
            break
    every = jax.tree.map(lambda *each: np.stack(each)[:, 0], *moments)
    done = jax.tree.map(lambda x: x[:-1], every)
    read = reads(agent.actor.trunk.memory, done.recalled, np.arange(len(done.reward)))
    actions = np.asarray(agent.actor.head.to_environment(jnp.asarray(done.action)))
    space = environment.action_space(params)
    terminated = bool(done.terminated[-1])
    values = every.value.astype(np.float32) * np.float32(value_scale)
    chosen = worth_drawing(len(states), read, most)
    pictures, of = _distinct([environment.draw(jax.tree.map(lambda x: x[0], states[t]), params) for t in chosen])
    last = np.searchsorted(chosen, np.arange(len(states)), side="right") - 1  # the last one drawn up to each step
    return Watched(
        environment=str(environment.name),
        actions=tuple(action_name(environment, space, action) for action in actions),
        policy=_policy(environment, space, agent.actor.head, done.distribution, done.action),
        rewards=done.reward.astype(np.float32),
        values=np.where(terminated & (np.arange(len(values)) == len(values) - 1), np.float32(np.nan), values),
        terminated=terminated,
        pictures=pictures,
        shown=of[last],
        drawn=chosen[last],
        reads=read,
    )


def action_name(environment: Any, space: gymnasium.Space, action: np.ndarray | np.generic) -> str:
    """The action's own name, where the environment names its actions."""
    names = getattr(environment, "action_names", None)
    if names is not None and isinstance(space, gymnasium.spaces.Discrete):
        return str(names[int(action) - int(space.start)])
    return np.array2string(np.asarray(action), precision=2)


def _slot(loop: BatchLoop, agent: ActorCritic, lanes: Lanes, critic: Any, key: Any) -> tuple[Lanes, Any, Moment]:
    """A slot of the loop, with the distribution that its action was drawn from and the critic's value; what both compute is done once."""
    seen, signals = loop.shown(lanes)
    seen = agent.perceived(seen)
    _, features, _ = agent.actor.trunk.step(lanes.carry, seen)
    distribution = agent.actor.head(features, seen.action_mask)
    critic, value = agent.critic.unroll(critic, *jax.tree.map(lambda x: x[None], (seen, signals, features)))
    lanes, slot = loop.slot(agent, lanes, agent.actor.head.noise(key, (1,)))
    return lanes, critic, Moment(slot.action, slot.reward, slot.terminated, slot.recalled, distribution, value[0])


def _policy(environment: Any, space: gymnasium.Space, head: Any, distribution: Distribution, drawn: np.ndarray) -> Choices | Normals:
    if not isinstance(head, CategoricalHead):
        assert not isinstance(distribution, Categorical | MultiCategorical)
        return Normals(np.asarray(distribution.mean), np.exp(distribution.log_deviation), np.asarray(drawn))
    parts = distribution.parts if isinstance(distribution, MultiCategorical) else (distribution,)
    p = np.exp(np.concatenate([part.log_p for part in parts], axis=-1))  # type: ignore[union-attr]
    if not head.multiple:
        names = tuple(action_name(environment, space, np.asarray(head.first[0] + k)) for k in range(head.sizes[0]))
        return Choices(names, p, np.asarray(drawn)[:, None])
    names = tuple(f"part {k + 1}: {first + j}" for k, (first, n) in enumerate(zip(head.first, head.sizes, strict=True)) for j in range(n))
    below = np.cumsum([0, *head.sizes[:-1]]).astype(np.int32)
    return Choices(names, p, np.asarray(drawn) + below[None])


def _distinct(pictures: list[Picture]) -> tuple[tuple[Picture, ...], np.ndarray]:
    """Each picture once, and which of them each one is."""
    index: dict[tuple[Any, bytes], int] = {}
    kept: list[Picture] = []
    of = []
    for picture in pictures:
        known = (picture.shape, picture.tobytes())
        if known not in index:
            index[known] = len(kept)
            kept.append(picture)
        of.append(index[known])
    return tuple(kept), np.asarray(of)
