"""Runs on external environments: masks, episodes without end, worker processes, records, exact resumption, strangers' modules."""

from __future__ import annotations

import sys
from dataclasses import replace

import gymnasium
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
from unseen.agents.heads import policy_head
from unseen.cli import _parsed_train, main
from unseen.experiments import host, recording
from unseen.experiments.policy import Policy, log_probability_of_taken
from unseen.experiments.toml import to_toml
from unseen.runs import RunDirectory, checkpoints


def external(identifier, algorithm="ppo", **changes):
    return replace(small(algorithm, **({"env_steps": 200} | changes)), environment=f"gym:{identifier}")


@pytest.fixture(scope="module")
def masked(tmp_path_factory):
    agent = replace(TINY, critic=unseen.Critic(signals=("goal",)))
    return unseen.train(external("Masked-v0", agent=agent), tmp_path_factory.mktemp("masked") / "run")


@pytest.mark.slow
def test_evaluation_keeps_to_legal_actions(masked):
    for greedy in (False, True):  # the environment raises at the first illegal one
        assert (masked.episodes(20, greedy=greedy).lengths == 7).all()
    frame = masked.evaluate(episodes=20)
    assert frame["terminated"][0] == 1.0
    assert masked.frames() == []  # it draws nothing


@pytest.mark.slow
def test_what_is_recorded_is_what_the_environment_says_on_the_same_seeds(masked):
    episodes, agent = masked.episodes(18), masked.agent()
    episodes.validate()
    world = gymnasium.make("Masked-v0")
    for e, episode in enumerate(episodes):
        observation, info = world.reset(seed=recording.EVALUATION_SEEDS + e)
        masks = []
        for t in range(len(episode) + 1):
            np.testing.assert_array_equal(episode.observation[t], observation)
            assert episode.signals["goal"][t] == info["signals"]["goal"]
            np.testing.assert_array_equal(episode.signals["time"][t], info["signals"]["time"])
            masks.append(info["action_mask"])
            if t < len(episode):
                observation, reward, terminated, truncated, info = world.step(episode.actions[t])
                assert episode.rewards[t] == reward
                assert (episode.terminated[t], episode.truncated[t]) == (terminated, truncated)
        previous = np.concatenate([[0], episode.actions[:-1]]).astype(np.int32)
        start = np.arange(len(episode)) == 0
        seen = Seen(episode.observation[:-1, None], previous[:, None], start[:, None], np.stack(masks[:-1])[:, None])
        seen = jax.tree.map(jnp.asarray, seen)
        _, distribution, _ = agent.actor.unroll(agent.actor.initial(1), agent.perceived(seen))
        expected = distribution.log_probability(jnp.asarray(episode.actions[:, None]))[:, 0]
        np.testing.assert_allclose(episode.behaviour_log_probability, expected, atol=1e-5)
    assert masked.episodes(2, greedy=True).behaviour_log_probability is None


@pytest.mark.slow
def test_no_level_but_train(masked, tmp_path):
    for call in (masked.evaluate, masked.episodes):
        with pytest.raises(unseen.UserError, match="level = 'holdout'; the external environment 'gym:Masked-v0' has only 'train'"):
            call("holdout") if call == masked.evaluate else call(3, level="holdout")
    with pytest.raises(unseen.UserError, match="has only 'train'"):
        unseen.train(external("Masked-v0", level="holdout"), tmp_path / "run")


def test_whole_episodes_need_a_time_limit(tmp_path):
    with pytest.raises(unseen.UserError, match=r"Endless-v0 states no time limit.*max_episode_steps") as refused:
        unseen.train(external("Endless-v0", "a2c"), tmp_path / "run")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "run" / "experiment.toml").exists()


@pytest.mark.slow
def test_an_option_gives_a_time_limit(tmp_path):
    limited = external("Endless-v0", "a2c", environment_options={"max_episode_steps": 30})
    assert (unseen.train(limited, tmp_path / "run").episodes(3).lengths == 30).all()


@pytest.mark.slow
def test_episodes_without_end_are_cut(tmp_path, monkeypatch):
    run = unseen.train(external("Endless-v0"), tmp_path / "run")
    monkeypatch.setattr(host, "LONGEST", 300)
    episodes = run.episodes(3)
    assert episodes.lengths.tolist() == [300] * 3
    assert not episodes.terminated.any()
    assert episodes.truncated.sum() == 3
    frames = run.frames(most=10)
    assert len(frames) == 10
    assert frames[0][1].startswith("step 0:")
    assert frames[-1][1] == "end"
    assert frames[-1][0].max() == 300 % 256


@pytest.mark.slow
def test_a_run_with_workers_is_evaluated_recorded_and_drawn(tmp_path):
    experiment = external("CartPole-v1", environment_options={"workers": 2})
    run = unseen.train(experiment, tmp_path / "run")
    assert run.evaluate(episodes=3)["episodes"][0] == 3
    assert len(run.episodes(1)) == 1
    alone = replace(experiment, environment_options={})
    same = recording.external_episodes(alone, run.policy(), 3, greedy=True)
    assert run.episodes(3, greedy=True).identical(same)
    frames = run.frames(most=5)
    assert 1 < len(frames) <= 5
    assert frames[0][0].dtype == np.uint8


@pytest.mark.slow
@pytest.mark.parametrize(("algorithm", "options"), [("ppo", {}), ("ppo", {"workers": 2}), ("a2c", {})])
def test_an_environment_that_can_be_saved_resumes_bit_for_bit(algorithm, options, tmp_path):
    agent = replace(TINY, critic=unseen.Critic(signals=("end",)))
    experiment = external("outside:Saved-v0", algorithm, agent=agent, env_steps=500, environment_options=options)
    whole = unseen.train(experiment, tmp_path / "whole")
    unseen.train(experiment, tmp_path / "split", callbacks=[stop_after(2)])
    saved = checkpoints.load(tmp_path / "split" / "checkpoints").arrays
    if algorithm == "ppo":
        assert saved["running/0/environments/ended"].shape == (4,)
    else:
        assert not any(name.startswith("running/") for name in saved)  # whole episodes: they are over
    split = unseen.train(experiment, tmp_path / "split")
    a, b = (checkpoints.load(r.directory / "checkpoints").arrays for r in (whole, split))
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)
    rows = [r.metrics().filter(pl.col("metric") != "steps_per_s").drop("wall_s") for r in (whole, split)]
    assert rows[0].equals(rows[1], null_equal=True)


@pytest.mark.parametrize("shape", [(1,), (2,)])
def test_a_squashed_action_has_the_density_that_is_logged(shape):
    low, high = np.array([-3.0, 0.5][: shape[0]], np.float32), np.array([5.0, 0.75][: shape[0]], np.float32)
    common = {"activation": "tanh", "scale": 1.0, "precision": "float32", "key": jax.random.key(0)}
    head = policy_head(gymnasium.spaces.Box(low, high), 3, (4,), box_policy="tanh", **common)
    x = jnp.asarray([0.3, -1.0, 2.0])
    ends = [np.linspace(a, b, 401) for a, b in zip(low, high)]
    middles = np.stack(np.meshgrid(*[(e[1:] + e[:-1]) / 2 for e in ends], indexing="ij"), -1).reshape(-1, shape[0])
    u = jnp.arctanh(jnp.asarray(2 * (middles - low) / (high - low) - 1, jnp.float32))
    distribution = head(jnp.broadcast_to(x, (len(u), 3)))
    density = np.exp(log_probability_of_taken(head, distribution.log_probability(u), greedy=False))
    cell = np.prod((high - low) / 400)
    assert density.sum() * cell == pytest.approx(1.0, abs=0.01)
    # And it is the law of what the environment is given, not only some density.
    many = head(jnp.broadcast_to(x, (40_000, 3)))
    given = np.asarray(head.to_environment(many.sample(head.noise(jax.random.key(1), (40_000,)))))
    middle = (low + high) / 2
    below = density[(middles < middle).all(-1)].sum() * cell
    assert (given < middle).all(-1).mean() == pytest.approx(below, abs=0.01)


def test_clipped_and_greedy_actions_have_no_density_and_unbounded_ones_keep_theirs():
    common = {"activation": "tanh", "scale": 1.0, "precision": "float32", "key": jax.random.key(0)}
    box, log_p = gymnasium.spaces.Box(-3.0, 5.0, (1,)), jnp.asarray([-1.0])
    clipped, unbounded = (policy_head(box, 3, (4,), box_policy=form, **common) for form in ("clipped", "unbounded"))
    discrete = policy_head(gymnasium.spaces.Discrete(3), 3, (4,), box_policy="tanh", **common)
    assert log_probability_of_taken(clipped, log_p, greedy=False) is None
    for head in (unbounded, discrete):
        assert log_probability_of_taken(head, log_p, greedy=False) is log_p
        assert log_probability_of_taken(head, log_p, greedy=True) is None


@pytest.mark.slow
@pytest.mark.parametrize("form", ["tanh", "clipped"])
def test_both_ways_of_recording_log_the_density_of_the_action(form):
    """A Pendulum inside the compiler and one outside it: u = atanh(a / 2), p(a) = p(tanh u) / 2."""
    agent_settings = replace(TINY, memory=unseen.FeedForward(), previous_action=False, box_policy=form)
    outer = external("Pendulum-v1", agent=agent_settings)
    agent = build(agent_settings, *host.spaces(outer), jax.random.key(0))
    world = unseen.make("gymnax:Pendulum-v1")
    inner = recording.episodes(world, agent, 2, level="train", key=jax.random.key(1), greedy=False)
    for episodes in (inner, recording.external_episodes(outer, Policy(agent), 2, greedy=False)):
        if form == "clipped":
            assert episodes.behaviour_log_probability is None
            continue
        observation = jnp.asarray(np.delete(episodes.observation, episodes.final_rows, axis=0))
        seen = Seen(observation, jnp.zeros((len(observation), 1)), jnp.ones(len(observation), bool), None)
        _, distribution, _ = agent.actor.step(agent.actor.initial(len(observation)), seen)
        mean, deviation = distribution.mean[:, 0], jnp.exp(distribution.log_deviation[:, 0])
        unit = episodes.actions.astype(np.float64)[:, 0] / 2
        inside = np.abs(unit) < 0.999  # atanh loses digits near the ends
        normal = -0.5 * ((np.arctanh(unit[inside]) - mean[inside]) / deviation[inside]) ** 2 - np.log(
            deviation[inside] * np.sqrt(2 * np.pi)
        )
        expected = normal - np.log(1 - unit[inside] ** 2) - np.log(2.0)
        assert inside.sum() > 100
        np.testing.assert_allclose(episodes.behaviour_log_probability[inside], expected, atol=2e-3)


PAYLOAD = """
from pathlib import Path
import gymnasium
Path({mark!r}).touch()
gymnasium.register("Payload-v0", entry_point="outside:Masked", max_episode_steps=20)
"""


@pytest.fixture
def stranger(tmp_path, monkeypatch):
    """A run directory whose environment names a module beside it, and the file that shows whether it has been imported."""
    mark = tmp_path / "imported"
    (tmp_path / "payload_of_a_stranger.py").write_text(PAYLOAD.format(mark=str(mark)))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    yield mark
    sys.modules.pop("payload_of_a_stranger", None)
    gymnasium.registry.pop("Payload-v0", None)


def sent(environment, **options):
    """Such a directory, as far as it goes: what it must not do comes before anything else in it is read."""
    experiment = replace(external("x", environment_options=options), environment=environment)
    RunDirectory.create("sent", to_toml(experiment), {}).close()
    return unseen.load("sent")


NAMES = [
    ("gym:payload_of_a_stranger:Payload-v0", {}),
    ("gym:gym:payload_of_a_stranger:Payload-v0", {}),
    ("gym:payload_of_a_stranger:unseen/heavenhell-3", {}),
    ("gym:payload_of_a_stranger:Payload-v0", {"workers": 1}),
    ("gym:unseen/heavenhell-3", {"name": "gym:payload_of_a_stranger:Payload-v0"}),
    ("gym:unseen/heavenhell-3", {"name": "gym:payload_of_a_stranger:Payload-v0", "workers": 1}),
]


@pytest.mark.parametrize(("environment", "options"), NAMES)
def test_a_strangers_run_cannot_import_a_module(environment, options, stranger):
    run = sent(environment, **options)
    calls = [run.policy, run.evaluate, lambda: run.episodes(1), run.frames, lambda: unseen.report([run], "a.html"), lambda: run.environment]
    for call in calls:
        with pytest.raises((unseen.UserError, TypeError)):
            call()
    assert not stranger.exists()
    assert "payload_of_a_stranger" not in sys.modules


@pytest.mark.parametrize("command", [["evaluate", "sent"], ["report", "sent"], ["train", "sent"], ["train", "sent/experiment.toml"]])
def test_nor_does_the_command_line_import_it(command, stranger, capsys):
    sent("gym:payload_of_a_stranger:Payload-v0")
    with pytest.raises(SystemExit) as stop:
        main(command)
    assert stop.value.code == 2
    assert "import payload_of_a_stranger first, or trust the file: unseen.load(..., trust=True), --trust" in capsys.readouterr().err
    assert not stranger.exists()


def test_a_module_that_is_imported_or_trusted_is_used(stranger):
    run = sent("gym:payload_of_a_stranger:Payload-v0")
    trusted = unseen.load("sent", trust=True)
    with pytest.raises(unseen.UserError, match="checkpoint"):  # it got as far as the agent, of which there is none
        trusted.policy()
    assert stranger.exists()
    with pytest.raises(unseen.UserError, match="checkpoint"):
        run.policy()  # imported by now


def test_trust_is_a_switch_of_train():
    assert _parsed_train(["runs/x", "--trust"]).trust
    assert _parsed_train(["runs/x", "--trust", "--extend", "5"]).extend == 5
    assert not _parsed_train(["runs/x", "--trust", "False"]).trust
    assert not _parsed_train(["runs/x"]).trust


@pytest.mark.slow
def test_what_the_user_types_is_imported(stranger, capsys):
    agent = ["--agent.memory", "gru:8", "--agent.head", "8", "--agent.embedding", "8"]
    words = [*agent, "--env-steps", "100", "--algorithm", "ppo", "--algorithm.environments", "4"]
    for arguments in (["gym:payload_of_a_stranger:Payload-v0", *words], ["typed", "--extend", "200"]):
        with pytest.raises(SystemExit) as stop:
            main(["train", *arguments, *([] if "--extend" in arguments else ["--out", "typed"])])
        assert stop.value.code == 0, capsys.readouterr().err
    assert stranger.exists()
