"""What a run gives: metrics, policies, scores, episodes; seeds that do not know of each other; a guard against NaN."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import gymnasium
import jax.numpy as jnp
import numpy as np
import pytest
from small import TINY, small

import unseen
from unseen.environments import Step
from unseen.environments.navigation.heavenhell import HeavenHell
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
    assert len(returns) == 18
    assert (returns.group_by("seed").agg(unseen_max=returns["env_steps"].max())["unseen_max"] >= 600).all()
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
