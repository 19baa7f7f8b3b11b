"""Runs of agents that read the previous reward: policies, recordings, logs, external environments."""

from __future__ import annotations

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import outside  # noqa: F401 (registers its environments)
import polars as pl
import pytest
from small import TINY, small, stop_after

import unseen
from unseen.agents.actor import Seen
from unseen.agents.build import build
from unseen.environments import make
from unseen.errors import UserError
from unseen.experiments import host, recording
from unseen.experiments.judged import on_record, remembered
from unseen.experiments.policy import Policy
from unseen.learning.levels import mixture
from unseen.outcomes import Transitions
from unseen.runs import checkpoints

READS = replace(TINY, previous_reward=True, policy_scale=3.0)


def external(**changes):
    return replace(small("ppo", **({"env_steps": 500, "agent": READS} | changes)), environment="gym:outside:Saved-v0")


@pytest.fixture(scope="module")
def played():
    """Episodes of cards by an agent that has learned nothing yet; it pays 1/51 a card, so the reward's weights are made large."""
    environment = make("higher-lower-easy")
    params = mixture(environment, "train").entries[0]
    spaces = environment.observation_space(params), environment.action_space(params), environment.signal_spaces(params)
    agent = build(READS, *spaces, jax.random.key(0))
    agent = eqx.tree_at(lambda a: a.actor.trunk.memory.w_x, agent, agent.actor.trunk.memory.w_x.at[-1].multiply(100.0))
    return Policy(agent), recording.episodes(environment, agent, 40, level="train", key=jax.random.key(1), greedy=False)


def taken(policy, episodes):
    data = Transitions.from_episodes(episodes, actions=range(2))
    return on_record(policy, episodes, data).now[np.arange(len(data)), data.actions]


def test_judged_from_a_log_its_probabilities_are_those_it_acted_with(played):
    policy, episodes = played
    acted = np.exp(episodes.behaviour_log_probability)
    np.testing.assert_allclose(taken(policy, episodes), acted, rtol=5e-4)
    unpaid = replace(episodes, rewards=np.zeros_like(episodes.rewards))
    assert np.abs(taken(policy, unpaid) - acted).max() > 0.01  # the control: it is the rewards that make them so


def test_what_it_remembers_holds_what_it_was_paid(played):
    policy, episodes = played
    memory = remembered(policy, episodes).signals["memory"][episodes.rows_of_steps]
    p = np.exp(policy.agent.actor.head(jnp.asarray(memory, jnp.float32)).log_p)
    np.testing.assert_allclose(p[np.arange(len(p)), episodes.actions], taken(policy, episodes), rtol=1e-4)


def test_a_policy_that_reads_rewards_is_given_them_but_for_starts(played):
    policy, _ = played
    shown, start = np.array([5, 5]), np.array([True, True])
    _, first = policy.act(shown, policy.initial(2), start, greedy=True)
    for observation_of, given in ((np.array([True, False]), None), (~start, None)):
        with pytest.raises(
            UserError, match=r"reward = None; this agent reads .*agent\.previous_reward=True.*give reward=\(B,\)"
        ) as refused:
            policy.act(shown, first, observation_of, reward=given)
        assert "\n" not in str(refused.value)
    with pytest.raises(UserError, match=r"reward has the shape \(\); it must be that of start, \(2,\)"):
        policy.act(shown, first, ~start, reward=1.0)
    _, (carry, _) = policy.act(shown, first, ~start, greedy=True, reward=np.array([0.02, -0.02]))
    assert np.abs(carry[0] - carry[1]).max() > 0.01  # two lanes that differ in what they were paid alone
    _, (paid, _) = policy.act(shown, first, start, greedy=True, reward=np.array([0.02, -0.02]))
    np.testing.assert_array_equal(paid[0], paid[1])  # of no interest at a start


def test_who_does_not_read_rewards_may_be_given_them():
    environment = make("higher-lower-easy")
    params = mixture(environment, "train").entries[0]
    spaces = environment.observation_space(params), environment.action_space(params), environment.signal_spaces(params)
    policy = Policy(build(TINY, *spaces, jax.random.key(0)))
    given = np.array([5, 5]), policy.initial(2), np.array([False, False])
    _, (without, _) = policy.act(*given, greedy=True)
    _, (with_rewards, _) = policy.act(*given, greedy=True, reward=np.array([1.0, -1.0]))
    np.testing.assert_array_equal(without, with_rewards)


@pytest.mark.slow
def test_an_external_environment_shows_the_reward_of_the_step_before():
    batch = host._Batch(external(), 0, 4)
    try:
        slots, _ = batch._play(60)
    finally:
        batch.env.close()
    shown, start = slots.seen.previous_reward, slots.seen.start
    assert shown.dtype == np.float32
    np.testing.assert_array_equal(shown[1:][~start[1:]], slots.reward[~start[1:]])
    assert start[1:].any()
    assert (shown[1:][~start[1:]] < -1.0).any()  # as given: it is clipped where it is read


@pytest.mark.slow
def test_recorded_outside_it_acted_on_its_rewards(tmp_path):
    run = unseen.train(external(env_steps=100), tmp_path / "run")
    agent = run.agent()
    for episode in run.episodes(3):
        previous = np.concatenate([[0], episode.actions[:-1]]).astype(np.int32)
        start, paid = np.arange(len(episode)) == 0, np.concatenate([[9.0], episode.rewards[:-1]]).astype(np.float32)

        def expected(paid, episode=episode, previous=previous, start=start):
            seen = Seen(episode.observation[:-1, None], previous[:, None], start[:, None], None, paid[:, None])
            seen = jax.tree.map(jnp.asarray, seen)
            _, distribution, _ = agent.actor.unroll(agent.actor.initial(1), agent.perceived(seen))
            return np.asarray(distribution.log_probability(jnp.asarray(episode.actions[:, None], jnp.int32))[:, 0])

        np.testing.assert_allclose(episode.behaviour_log_probability, expected(paid), atol=1e-5)
        assert np.abs(expected(paid) - expected(np.zeros_like(paid))).max() > 1e-3


@pytest.mark.slow
def test_pictures_are_drawn_of_one_who_reads_rewards(tmp_path, monkeypatch):
    run = unseen.train(replace(external(env_steps=100), environment="gym:Endless-v0"), tmp_path / "run")
    monkeypatch.setattr(host, "LONGEST", 20)
    captions = [caption for _, caption in run.frames(most=40)]
    assert captions[-1] == "end"
    assert len(captions) == 21


@pytest.mark.slow
def test_an_external_run_is_resumed_bit_for_bit(tmp_path):
    whole = unseen.train(external(), tmp_path / "whole")
    unseen.train(external(), tmp_path / "split", callbacks=[stop_after(2)])
    assert np.abs(checkpoints.load(tmp_path / "split" / "checkpoints").arrays["running/0/lanes/previous_reward"]).max() > 0
    split = unseen.train(external(), tmp_path / "split")
    a, b = (checkpoints.load(r.directory / "checkpoints").arrays for r in (whole, split))
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)
    rows = [r.metrics().filter(pl.col("metric") != "steps_per_s").drop("wall_s") for r in (whole, split)]
    assert rows[0].equals(rows[1], null_equal=True)


@pytest.mark.slow
def test_who_does_not_read_it_saves_what_was_saved_before(tmp_path):
    unseen.train(external(agent=TINY, env_steps=100), tmp_path / "run")
    arrays = checkpoints.load(tmp_path / "run" / "checkpoints").arrays
    assert any(name.startswith("running/0/lanes/") for name in arrays)
    assert not any("reward" in name for name in arrays)
