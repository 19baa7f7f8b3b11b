"""What a run gives: metrics, policies, scores, episodes; seeds that do not know of each other; a guard against NaN."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, ClassVar

import gymnasium
import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest
from small import TINY, small

import unseen
from unseen.commands.progress import progress
from unseen.environments import Step
from unseen.environments.navigation.heavenhell import HeavenHell
from unseen.experiments import train as training
from unseen.experiments.compiled import refuse_not_finite
from unseen.experiments.train import NotFinite
from unseen.runs import checkpoints


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    experiment = small(seeds=3, agent=replace(TINY, critic=unseen.Critic(signals=("heaven",))))
    return unseen.train(experiment, tmp_path_factory.mktemp("train") / "run")


def test_metrics_hold_every_seed_and_interval(run):
    metrics = run.metrics()
    assert metrics["seed"].unique().sort().to_list() == [0, 1, 2]
    returns = metrics.filter(metric="return")
    for seed in range(3):
        steps = returns.filter(seed=seed)["env_steps"].to_numpy()
        assert steps[0] > 0
        assert steps[-1] >= 600
        assert (np.diff(steps // 100) > 0).all()  # a row for every hundred steps, unless one update took more
    assert (metrics.filter(metric="gradient_norm")["value"] > 0).all()  # no row without an update
    names = set(metrics["metric"].unique())
    assert {
        "return",
        "discounted_return",
        "length",
        "episodes",
        "policy_loss",
        "critic_loss",
        "entropy",
        "gradient_norm",
        "steps_per_s",
    } <= names


def test_episodes_are_whole_and_their_returns_are_what_evaluate_says(run):
    episodes = run.episodes(40)
    episodes.validate()
    assert len(episodes) == 40
    assert set(episodes.signals) == {"heaven", "position", "state"}
    assert (episodes.lengths <= 100).all()
    ended = episodes.terminated[episodes.offsets[1:] - 1] | episodes.truncated[episodes.offsets[1:] - 1]
    assert ended.all()
    # Heaven-hell pays only at its end: plus one or minus one where it terminated, nothing where it was cut.
    assert set(np.unique(episodes.returns())) <= {-1.0, 0.0, 1.0}
    frame = run.evaluate(episodes=40, seed=0)
    assert frame["return"][0] == pytest.approx(episodes.returns().mean())
    assert frame["terminated"][0] == pytest.approx(episodes.terminated.sum() / 40)


def test_recorded_signals_are_those_of_the_states(run):
    episodes = run.episodes(10)
    assert (episodes.signals["state"] == 6 * episodes.signals["heaven"] + episodes.signals["position"]).all()


def test_policy_plays_elsewhere_with_memory_and_start_flags(run):
    policy = run.policy(1)
    carry = policy.initial(2)
    first, after = policy.act(np.array([7, 7]), carry, np.array([True, True]), greedy=True)
    assert first.shape == (2,)
    again, _ = policy.act(np.array([7, 7]), after, np.array([True, True]), greedy=True)
    np.testing.assert_array_equal(first, again)  # a start forgets everything
    with pytest.raises(unseen.UserError, match="seeds 0 to 2"):
        run.policy(3)


@pytest.mark.slow
def test_a_seed_does_not_depend_on_how_many_are_trained_with_it(run, tmp_path):
    alone = unseen.train(replace(run.experiment, seeds=1, first_seed=2), tmp_path / "alone")
    together, single = (checkpoints.load(r.directory / "checkpoints").arrays for r in (run, alone))
    for name, array in single.items():
        np.testing.assert_array_equal(array[0], together[name][2], err_msg=name)
    timing = pl.col("metric") != "steps_per_s"
    rows = (r.metrics().filter(timing, seed=2).drop("wall_s") for r in (run, alone))
    assert next(rows).equals(next(rows), null_equal=True)


@dataclass(frozen=True)
class Poisoned(HeavenHell):
    """Heaven-hell whose rewards stop being numbers in the cell south of the start."""

    def step(self, key: Any, state: Any, action: Any, params: Any = ()) -> Step:
        step = super().step(key, state, action, params)
        return step._replace(reward=jnp.where(state.cell == 3 * self.n + 1, jnp.nan, step.reward))


def test_what_is_not_finite_is_named_and_the_last_checkpoint_kept(tmp_path):
    with pytest.raises(NotFinite, match=r"reward is not finite for seed 0 at \d+ environment steps"):
        unseen.train(small(), tmp_path / "run", environment=Poisoned(1))
    kept = checkpoints.load(tmp_path / "run" / "checkpoints")
    assert all(np.isfinite(a).all() for n, a in kept.arrays.items() if n.startswith("agent.") and a.dtype.kind == "f")


def test_parameters_that_are_not_finite_are_laid_to_their_seed():
    def state(agent, faults):
        return SimpleNamespace(
            agent=agent, fault=np.array(faults), fault_steps=np.array([0, 7, 0, 9]), env_steps=np.array([50, 60, 70, 80])
        )

    good = {"weights": jnp.ones((4, 2, 3)), "scale": jnp.ones(4), "count": jnp.ones(4, jnp.int32)}
    refuse_not_finite(state(good, [0, 0, 0, 0]), 10, 4)
    bad = good | {"weights": good["weights"].at[2, 1, 1].set(jnp.nan), "scale": good["scale"].at[3].set(jnp.inf)}
    with pytest.raises(NotFinite, match="parameters is not finite for seed 12 at 70 environment steps"):
        refuse_not_finite(state(bad, [0, 0, 0, 0]), 10, 4)
    with pytest.raises(NotFinite, match="reward is not finite for seed 11 at 7 environment steps"):
        refuse_not_finite(state(bad, [0, 1, 0, 1]), 10, 4)
    refuse_not_finite(state(bad, [0, 0, 0, 1]), 10, 2)  # beyond the seeds there is only padding


def test_wall_time_holds_compiling_and_callbacks_that_ask_are_told(run, tmp_path, capsys):
    class Told:
        compiled_s, memory, waited = 0.0, 0, False

        def compiled(self, seconds, memory):
            self.compiled_s, self.memory, self.waited = seconds, memory, self.waited or not hasattr(self, "fraction")

        def __call__(self, interval):
            self.fraction = interval.fraction

    told = Told()
    again = unseen.train(run.experiment, tmp_path / "run", callbacks=[told])
    assert told.waited
    assert told.compiled_s > 0.0
    assert told.memory > sum(a.nbytes for a in checkpoints.load(again.directory / "checkpoints").arrays.values())
    assert again.metrics()["wall_s"].min() > told.compiled_s
    with progress(run.experiment) as show:
        unseen.train(run.experiment, again.directory, callbacks=[show])
        show.compiled(12.34, 5_600_000)
    out, err = capsys.readouterr()
    assert out == ""
    assert "heavenhell-1: compiled in 12.3 s, needs 5.6 MB of memory" in err
    assert "nothing left to do" in err


def test_finished_and_foreign_directories_are_answered_before_compiling(run, tmp_path, monkeypatch):
    def fail(*_):
        raise AssertionError("compiled")

    monkeypatch.setattr(training, "_engine", fail)
    before = run.metrics()
    assert unseen.train(run.experiment, run.directory).metrics().equals(before, null_equal=True)
    assert unseen.train(run.experiment, run.directory, extend=600).experiment == run.experiment
    with pytest.raises(unseen.UserError, match="env_steps is 600 there and 700 here"):
        unseen.train(replace(run.experiment, env_steps=700), run.directory)
    with pytest.raises(unseen.UserError, match=r"agent\.memory"):
        unseen.train(replace(run.experiment, agent=replace(TINY, memory=unseen.GRU(9))), run.directory, extend=700)
    with pytest.raises(unseen.UserError, match="no run directory at"):
        unseen.train(run.experiment, tmp_path / "absent", extend=700)
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(unseen.UserError, match=r"thesis\.tex"):
        unseen.train(run.experiment, tmp_path)
    with pytest.raises(AssertionError, match="compiled"):
        unseen.train(run.experiment, run.directory, extend=700)
    with pytest.raises(AssertionError, match="compiled"):
        unseen.train(run.experiment, tmp_path / "new")
    assert not (tmp_path / "new").exists()  # what does not compile leaves nothing behind


def test_unknown_signals_and_biased_critics_are_refused_before_compiling(tmp_path):
    with pytest.raises(unseen.UserError, match="did you mean 'heaven'"):
        unseen.train(small(agent=replace(TINY, critic=unseen.Critic(signals=("heavn",)))), tmp_path / "a")
    with pytest.raises(unseen.UserError, match="biased policy gradient"):
        unseen.train(small(agent=replace(TINY, critic=unseen.Critic(history=False, signals=("state",)))), tmp_path / "b")
    with pytest.raises(unseen.UserError, match="did you mean 'heavenhell-3'"):
        unseen.train(replace(small(), environment="heavnhell-3"), tmp_path / "c")


class Corridor(gymnasium.Env):
    """Somebody else's environment: go right, told where the goal is; the observation does not say."""

    observation_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    signal_spaces: ClassVar = {"goal": gymnasium.spaces.Discrete(2)}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.goal, self.t = int(self.np_random.integers(2)), 0
        return self._seen(), {"signals": {"goal": np.int64(self.goal)}}

    def _seen(self):
        return np.array([self.t / 10, 1.0], np.float32)

    def step(self, action):
        self.t += 1
        return self._seen(), float(action == self.goal), self.t >= 6, False, {"signals": {"goal": np.int64(self.goal)}}


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["a2c", "ppo"])
def test_external_environments_train_with_their_own_signals(algorithm, tmp_path):
    if "Corridor-v0" not in gymnasium.registry:
        gymnasium.register("Corridor-v0", entry_point=Corridor, max_episode_steps=20)
    agent = replace(TINY, critic=unseen.Critic(signals=("goal",)))
    experiment = replace(small(algorithm, agent=agent, env_steps=200), environment="gym:Corridor-v0")
    run = unseen.train(experiment, tmp_path / "run")
    episodes = run.episodes(5)
    assert (episodes.lengths == 6).all()
    assert episodes.terminated.sum() == 5
    returns = run.metrics().filter(metric="return")["value"]
    assert 0.0 <= returns[-1] <= 6.0
    resumed = unseen.train(replace(experiment, env_steps=200), tmp_path / "run")
    assert len(resumed.metrics().filter(metric="return")) == len(returns)
