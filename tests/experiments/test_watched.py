"""An episode as people watch it: what is shown is what the agent's own modules say of the same episode."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from watchable import SPACES, Bell, Named

import unseen
from unseen.agents.actor import Seen
from unseen.agents.build import build
from unseen.experiments.watched import Choices, Normals, spread, worth_drawing
from unseen.experiments.watching import watch

TINY = unseen.Agent(memory=unseen.GRU(8), critic=unseen.Critic(signals=("time",)), embedding=8, head=(8,), policy_scale=3.0)
RECALLING = replace(TINY, memory=unseen.MEM(unseen.GRU(8), capacity=4, neighbours=3, key_size=4, every=2))


def played(environment, settings=TINY, seed=0, **options):
    spaces = environment.observation_space(0), environment.action_space(0), dict(environment.signal_spaces(0))
    agent = build(settings, *spaces, jax.random.key(3))
    return agent, watch(environment, agent, jax.random.key(seed), level="train", **options)


def again(agent, watched, drawn, bell):
    """Distribution and values of the whole episode in one unroll, from what this environment is known to show."""
    steps = len(watched)
    observation = jnp.asarray([bell] + [2] * steps, jnp.int32)[:, None]
    previous = jnp.concatenate([jnp.zeros_like(drawn[:1]), drawn])[:, None]
    seen = Seen(observation, previous, (jnp.arange(steps + 1) == 0)[:, None], None)
    signals = {"bell": jnp.full((steps + 1, 1), bell, jnp.int32), "time": jnp.arange(steps + 1, dtype=jnp.int32)[:, None]}
    _, distribution, features = agent.actor.unroll(agent.actor.initial(1), seen)
    _, values = agent.critic.unroll(agent.critic.initial(1), seen, signals, features)
    return jax.tree.map(lambda x: x[:steps, 0], distribution), np.asarray(values)[:, 0]


@pytest.mark.slow
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("settings", [TINY, RECALLING])
def test_probabilities_and_values_are_those_of_the_episode(settings, shared):
    settings = replace(settings, critic=unseen.Critic(signals=("time",), shared_trunk=shared))
    agent, watched = played(Named(), settings)
    assert len(watched) == 9
    assert watched.rewards.tolist() == list(range(9))
    assert isinstance(watched.policy, Choices)
    assert watched.policy.names == ("<left>", "right & up", "stay")
    chosen = watched.policy.chosen[:, 0]
    assert watched.actions == tuple(watched.policy.names[k] for k in chosen)
    found = [again(agent, watched, jnp.asarray(chosen, jnp.int32), bell) for bell in (0, 1)]
    distances = [np.abs(np.exp(distribution.log_p) - watched.policy.probabilities).max() for distribution, _ in found]
    assert min(distances) < 1e-5
    assert max(distances) > 1e-3  # the other bell would have been another episode
    values = found[int(np.argmin(distances))][1]
    np.testing.assert_allclose(watched.values[:-1], values[:-1], atol=1e-5)
    assert np.ptp(values) > 1e-3
    assert watched.terminated
    assert np.isnan(watched.values[-1])  # nothing follows


def test_a_cut_episode_has_a_value_at_its_end():
    agent, watched = played(Bell(ends=99, cut=7))
    assert len(watched) == 7
    assert not watched.terminated
    found = [again(agent, watched, jnp.asarray(watched.policy.chosen[:, 0], jnp.int32), bell)[1] for bell in (0, 1)]
    assert min(np.abs(watched.values - values).max() for values in found) < 1e-5
    _, scaled = played(Bell(ends=99, cut=7), value_scale=3.0)
    np.testing.assert_allclose(scaled.values, 3.0 * watched.values, rtol=1e-6)


def test_actions_without_names_are_called_by_their_number():
    _, watched = played(Bell())
    assert watched.policy.names == ("5", "6", "7")
    assert set(watched.actions) <= {"5", "6", "7"}


def test_an_action_of_several_parts():
    _, watched = played(Bell("multi"))
    assert watched.policy.names == ("part 1: 1", "part 1: 2", "part 2: 0", "part 2: 1", "part 2: 2")
    np.testing.assert_allclose(watched.policy.probabilities[:, :2].sum(axis=1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(watched.policy.probabilities[:, 2:].sum(axis=1), 1.0, rtol=1e-5)
    assert ((watched.policy.chosen[:, 0] < 2) & (watched.policy.chosen[:, 1] >= 2)).all()
    for action, (first, second) in zip(watched.actions, watched.policy.chosen.tolist(), strict=True):
        assert action == f"[{first + 1} {second - 2}]"


def test_a_vector_is_drawn_from_normals():
    agent, watched = played(Bell("box"))
    assert isinstance(watched.policy, Normals)
    distribution, _ = again(agent, watched, jnp.asarray(watched.policy.drawn), 0)
    other, _ = again(agent, watched, jnp.asarray(watched.policy.drawn), 1)
    assert min(np.abs(np.asarray(d.mean) - watched.policy.mean).max() for d in (distribution, other)) < 1e-5
    np.testing.assert_allclose(watched.policy.deviation, 0.6, rtol=1e-5)  # as it begins
    box = SPACES["box"]
    taken = box.low + 0.5 * (np.clip(watched.policy.drawn, -1, 1) + 1) * (box.high - box.low)
    assert watched.actions == tuple(np.array2string(row, precision=2) for row in taken.astype(np.float32))


def test_what_was_recalled_is_there_step_by_step():
    _, watched = played(Bell(ends=14), RECALLING)
    live = (watched.reads["step"] >= 0).sum(axis=1)
    assert live.tolist() == [0, 1, 1, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3]
    assert (watched.reads["step"] % 2 == np.where(watched.reads["step"] < 0, 1, 0)).all()
    assert watched.reads["step"][-1].min() >= 6  # four slots: those of steps 6, 8, 10, 12
    np.testing.assert_allclose(watched.reads["weight"].sum(axis=1), live > 0, atol=1e-5)
    assert played(Bell())[1].reads == {}


def test_every_picture_is_kept_once_and_belongs_to_its_step():
    _, watched = played(Bell(ends=14, colours=3))
    assert len(watched.pictures) == 3
    assert [int(watched.pictures[k][0, 0, 0]) for k in watched.shown] == [t % 3 for t in range(15)]
    assert watched.drawn.tolist() == list(range(15))


def test_long_episodes_are_drawn_now_and_then():
    _, watched = played(Bell(ends=14), most=4)
    assert len(watched.pictures) == 4
    assert watched.drawn.tolist()[0] == 0
    assert watched.drawn.tolist()[-1] == 14
    assert (watched.drawn <= np.arange(15)).all()
    assert [int(watched.pictures[k][0, 0, 0]) for k in watched.shown] == watched.drawn.tolist()
    frames = watched.frames(60)
    assert [caption.partition(":")[0] for _, caption in frames] == [f"step {t}" for t in np.unique(watched.drawn)[:-1]] + ["end"]


def test_what_was_recalled_most_is_drawn():
    step = np.full((100, 2), -1, np.int32)
    step[40:, 0], step[60:, 1] = 33, 47
    weight = np.where(step >= 0, np.float32(0.5), 0).astype(np.float32)
    drawn = worth_drawing(101, {"step": step, "weight": weight}, 10)
    assert {0, 33, 47, 100} <= set(drawn.tolist())
    assert len(drawn) == 7  # five evenly spread, and two that were recalled
    assert worth_drawing(101, {}, 10).tolist() == spread(range(101), 10)
    assert worth_drawing(10, {}, 10).tolist() == list(range(10))


@pytest.mark.slow
def test_a_run_is_watched_in_the_units_of_its_rewards(tmp_path):
    algorithm = unseen.PPO(environments=4, rollout=16, epochs=1, minibatches=1, normalise_returns=True)
    experiment = unseen.Experiment(
        "heavenhell-1",
        agent=replace(RECALLING, memory=replace(RECALLING.memory, capacity=50), critic=unseen.Critic()),
        algorithm=algorithm,
        env_steps=400,
    )
    run = unseen.train(experiment, tmp_path / "run")
    watched = run.watched()
    arrays = run._folder.load().arrays
    deviation = float(np.sqrt(arrays["returns.running.m2"][0] / (arrays["returns.running.count"][0] - 1.0)))
    assert deviation != pytest.approx(1.0, abs=0.01)
    key, level = run.evaluation_key(0), "train"
    plain = watch(run.environment, run.agent(), key, level=level)
    np.testing.assert_allclose(watched.values, plain.values * deviation, rtol=1e-4)
    assert watched.actions == plain.actions
    frames = run.frames(most=5)
    assert len(frames) == min(5, len(watched) + 1)
    assert frames[0][1] == watched.caption(0)
    assert frames[-1][1] == "end"
    episodes = run.episodes(2)
    assert episodes.reads["step"].shape == (episodes.steps, 3)
