"""A trained agent judged from a log: its probabilities are those it acted with, and its value is what it earned."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import TINY, small

import unseen
from unseen.agents.build import build
from unseen.environments import make
from unseen.errors import UserError
from unseen.experiments import recording
from unseen.experiments.judged import on_record, remembered
from unseen.experiments.policy import Policy
from unseen.learning.levels import mixture
from unseen.outcomes import DRQLearner, ImportanceSampling, Transitions


@pytest.fixture(scope="module")
def played():
    """400 episodes of an agent that has learned nothing yet, with a policy far from uniform."""
    environment = make("heavenhell-1")
    params = mixture(environment, "train").entries[0]
    spaces = environment.observation_space(params), environment.action_space(params), environment.signal_spaces(params)
    agent = build(replace(TINY, policy_scale=3.0, critic=unseen.Critic()), *spaces, jax.random.key(0))
    episodes = recording.episodes(environment, agent, 400, level="train", key=jax.random.key(1), greedy=False)
    return Policy(agent), episodes


def test_its_probabilities_are_those_it_acted_with(played):
    policy, episodes = played
    data = Transitions.from_episodes(episodes, actions=range(4))
    columns = on_record(policy, episodes, data)
    taken = columns.now[np.arange(len(data)), data.actions]
    np.testing.assert_allclose(taken, np.exp(episodes.behaviour_log_probability), rtol=2e-4)
    np.testing.assert_allclose(columns.now.sum(axis=1), 1.0)
    assert columns.now.std(axis=0).max() > 0.01  # it depends on the history


def test_following_steps_are_the_next_rows(played):
    policy, episodes = played
    data = Transitions.from_episodes(episodes, actions=range(4))
    columns = on_record(policy, episodes, data)
    same = data.trajectory[1:] == data.trajectory[:-1]
    np.testing.assert_array_equal(columns.following[:-1][same], columns.now[1:][same])
    first = np.r_[True, ~same]
    np.testing.assert_array_equal(columns.starts, columns.now[first])


def test_judged_by_its_own_log_it_is_worth_what_it_earned(played):
    policy, episodes = played
    data = Transitions.from_episodes(episodes, state={"signal.state": "categorical"}, actions=range(4))
    columns = on_record(policy, episodes, data)
    discounts = 0.95**episodes.time_of_step
    earned = np.bincount(episodes.episode_of_step, discounts * episodes.rewards)
    weighted = ImportanceSampling(0.95, behaviour="logged").fit(data, columns).value()
    assert weighted.estimate == pytest.approx(earned.mean(), abs=1e-3)
    low, high = DRQLearner(0.95, final="linear").fit(data, columns).value().interval(0.999)
    assert low < earned.mean() < high
    with pytest.raises(UserError, match="differ within one state"):  # no table: the agent sees more than the state
        DRQLearner(0.95).fit(data, columns)


def test_state_and_memory_leave_nothing_out(played):
    """The agent's head on the memory gives the probabilities that the replay gives, so that they are a function of the state."""
    policy, episodes = played
    log = remembered(policy, episodes)
    columns = on_record(policy, episodes, Transitions.from_episodes(episodes, actions=range(4)))
    memory = log.signals["memory"]
    assert memory.shape == (len(episodes.rewards) + len(episodes), 8)
    p = np.exp(policy.agent.actor.head(jnp.asarray(memory[log.rows_of_steps], jnp.float32)).log_p)
    np.testing.assert_allclose(p, columns.now, rtol=1e-4, atol=1e-6)
    with pytest.raises(UserError, match="a signal called 'memory' already"):
        remembered(policy, log)


def test_a_memory_that_shows_a_part_is_refused(played):
    _, episodes = played
    environment = make("heavenhell-1")
    params = mixture(environment, "train").entries[0]
    spaces = environment.observation_space(params), environment.action_space(params), environment.signal_spaces(params)
    agent = build(replace(TINY, memory=unseen.LSTM(8)), *spaces, jax.random.key(0))
    with pytest.raises(UserError, match="what a LSTM puts out is a part of what it remembers"):
        remembered(Policy(agent), episodes)


def test_what_is_refused(played):
    policy, episodes = played
    never_south = np.flatnonzero(np.bincount(episodes.episode_of_step, episodes.actions == 1) == 0)
    some = episodes.select(never_south[:1])
    data = Transitions.from_episodes(some)
    with pytest.raises(UserError, match=r"the agent may take action \d, which the data do not know; read them with actions=\[0, 1, 2, 3\]"):
        on_record(policy, some, data)
    data = Transitions.from_episodes(episodes, actions=range(4))
    with pytest.raises(UserError, match=r"the \d+ transitions of 400 trajectories are not .*make the one from the other"):
        on_record(policy, episodes.select([0, 1]), data)
    with pytest.raises(UserError, match="row by row"):
        on_record(policy, episodes, data.select(np.arange(400)[::-1]))
    foreign = replace(episodes, actions=episodes.actions + 7)
    with pytest.raises(UserError, match=r"action \d+ in the log is none of this agent's 4"):
        on_record(policy, foreign, Transitions.from_episodes(foreign, actions=range(12)))
    wide = replace(episodes, observations={"other": np.zeros((len(episodes.rewards) + 400, 3))})
    data = Transitions.from_episodes(wide, state="observation.other", actions=range(4))
    with pytest.raises(UserError, match="the agent was made for other observations than the log's"):
        on_record(policy, wide, data)


@pytest.mark.slow
def test_from_a_run(tmp_path):
    unseen.train(small("ppo", env_steps=400), tmp_path / "run")
    run = unseen.load(tmp_path / "run")
    episodes = run.episodes(20)
    data = Transitions.from_episodes(episodes, actions=range(4))
    assert on_record(run.policy(), episodes, data).now.shape == (len(data), 4)
