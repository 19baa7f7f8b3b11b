"""Rollouts of agents that read the previous reward, and a task that nothing else tells about."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import TINY, Countdown, CountState, Cue

import unseen
from unseen.agents.build import build
from unseen.environments import Step
from unseen.learning.learner import make_learner, make_train
from unseen.learning.levels import mixture
from unseen.learning.rollout import BatchLoop
from unseen.learning.source import Generated

READS = replace(TINY, previous_reward=True)


@dataclass(frozen=True)
class Counting(Countdown):
    """Pays the steps left, so that every reward is another number."""

    def step(self, key: Any, state: Any, action: Any, params: Any) -> Step:
        return super().step(key, state, action, params)._replace(reward=state.astype(jnp.float32))


@dataclass(frozen=True)
class Paid(Cue):
    """Pays 1 or -1 for anything; then the action must be 1 or 0 for another 1, else -1. What is seen is the same in every episode."""

    name: str = "paid"

    def reset(self, key: Any, params: Any) -> Any:
        cue = jax.random.bernoulli(key).astype(jnp.int32)
        return jnp.int32(0), CountState(jnp.int32(1), cue)

    def step(self, key: Any, state: Any, action: Any, params: Any) -> Step:
        asked = state.left <= 0
        right = jnp.where(asked, action == state.noise, state.noise == 1)
        return Step(jnp.int32(1), CountState(state.left - 1, state.noise), jnp.where(right, 1.0, -1.0).astype(jnp.float32), asked)

    def observation_space(self, params: Any) -> gymnasium.Space:
        return gymnasium.spaces.Discrete(2)


def loop_of(environment, agent):
    params = environment.levels["train"][0][1]
    spaces = environment.observation_space(params), environment.action_space(params), environment.signal_spaces(params)
    return BatchLoop(environment, mixture(environment), (), 0.9), build(agent, *spaces, jax.random.key(0))


def continuous(environment, agent, slots=12):
    loop, agent = loop_of(environment, agent)
    source, lanes = loop.fresh(agent, Generated(), jax.random.key(1), 2)
    lanes, source, first = loop.continuous(agent, lanes, source, jax.random.key(2), slots)
    _, _, second = loop.continuous(agent, lanes, source, jax.random.key(3), slots)
    return first, second


def test_every_slot_shows_the_reward_of_the_one_before():
    for slots in continuous(Counting((5,), time_limit=3), READS, slots=10):  # 5, 4, 3, then a slot that only shows the cut
        shown, start = np.asarray(slots.seen.previous_reward), np.asarray(slots.seen.start)
        np.testing.assert_array_equal(shown[1:][~start[1:]], np.asarray(slots.reward)[~start[1:]])
        cut = np.asarray(slots.truncated)
        assert (shown[1:][cut] == 3.0).all()  # what a truncation bootstraps from
        assert cut.any()


def test_what_the_slot_after_a_rollout_shows_is_what_the_next_rollout_begins_with():
    first, second = continuous(Counting((5,)), READS, slots=7)
    np.testing.assert_array_equal(first.seen.previous_reward[-1], second.seen.previous_reward[0])
    assert first.seen.previous_reward[-1].tolist() == [4.0, 4.0]


def test_whole_episodes_show_it_too():
    loop, agent = loop_of(Counting((5,)), READS)
    _, slots = loop.episodes(agent, Generated(), jax.random.key(0), 3)
    assert np.asarray(slots.seen.previous_reward)[:6, 0].tolist() == [0.0, 5.0, 4.0, 3.0, 2.0, 1.0]


@pytest.mark.parametrize("agent", [TINY, READS], ids=["plain", "reads"])
def test_only_lanes_of_agents_that_read_it_hold_it(agent):
    """Lanes are in checkpoints: what other runs save must not change."""
    state = jax.eval_shape(make_learner(Countdown(), agent, unseen.PPO(environments=2, rollout=4, minibatches=1)).init, jax.random.key(0))
    paths = jax.tree_util.tree_flatten_with_path(state.lanes)[0]
    names = {jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in paths}
    plain = {"episode_key", "level", "state", "observation", "previous_action", "start", "valid", "time", "carry", "score", "discounted"}
    assert names == plain | ({"previous_reward"} if agent is READS else set())


@pytest.mark.slow
@pytest.mark.parametrize("reads", [True, False])
def test_what_only_the_reward_tells_is_learnt_by_who_reads_it(reads):
    """The first reward is 0 on average, whatever is done; the second is 1 for who knows the first, and 0 on average for who does not."""
    agent = unseen.Agent(memory=unseen.FeedForward(), embedding=8, head=(16,), previous_reward=reads)
    algorithm = unseen.PPO(environments=16, rollout=16, minibatches=2, learning_rate=3e-3)
    _, metrics = jax.jit(make_train(Paid(), agent, algorithm, env_steps=30_000, reports=10))(jax.random.key(0))
    found = np.asarray(metrics["return"])[-5:].mean()  # of 5 times 100 episodes, each 1 or -1 off: a standard deviation of 0.05
    assert found > 0.8 if reads else abs(found) < 0.3
