"""Levels by what they test, and scores of a trained agent on them."""

from __future__ import annotations

import numpy as np
import pytest
from small import TINY

import unseen
from unseen.environments.memory_suite.suite import TASKS
from unseen.errors import UserError
from unseen.experiments.generalisation import HEADLINE, ROLES, levels_by_role, scores


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_a_level_for_every_role(task):
    found = levels_by_role(unseen.make(f"memory/{task}"))
    assert tuple(found) == tuple(ROLES)
    assert len(set(found.values())) == len(found)


def test_roles_without_a_level_are_left_out_and_unknown_ones_refused():
    assert levels_by_role(unseen.make("heavenhell-1")) == {"train": ("train",)}
    with pytest.raises(UserError, match="unknown role of a level 'extrapolation'; did you mean 'extrapolate'"):
        levels_by_role(unseen.make("heavenhell-1"), ["extrapolation"])


@pytest.mark.slow
def test_scores_stand_between_the_reference_players(tmp_path):
    algorithm = unseen.PPO(environments=8, rollout=16, minibatches=1, epochs=1)
    run = unseen.train(unseen.Experiment("memory/continuous-recognition", TINY, algorithm, env_steps=200, seeds=2), tmp_path / "run")
    table = scores(run, episodes=30, roles=HEADLINE)
    assert table.select("seed", "role").rows() == [(s, r) for r in HEADLINE for s in (0, 1)]
    # An agent that has learnt nothing answers at random: 0 but for the spread of its episodes, and about as far from memoryless.
    marks = run.environment.references("train")
    distance = marks.perfect_memory.mean - marks.random.mean
    error = 100 * table["standard_error"].max() / distance
    assert np.abs(table["normalised"].to_numpy()).max() < 4 * error
    row = table.row(0, named=True)
    by_hand = 100 * (row["return"] - marks.memoryless.mean) / (marks.perfect_memory.mean - marks.memoryless.mean)
    assert row["beyond_memoryless"] == pytest.approx(by_hand)
    point = 100 / (marks.perfect_memory.mean - marks.memoryless.mean)
    assert row["beyond_error"] == pytest.approx(point * row["standard_error"])
    assert row["mark_error"] == pytest.approx(point * marks.memoryless.standard_error)
    assert row["normalised"] == pytest.approx(100 * (row["return"] - marks.random.mean) / distance)


@pytest.mark.slow
def test_many_levels_at_once_score_what_one_at_a_time_does(tmp_path):
    algorithm = unseen.PPO(environments=8, rollout=16, minibatches=1, epochs=1)
    run = unseen.train(unseen.Experiment("memory/spot-diff", TINY, algorithm, env_steps=200), tmp_path / "run")
    together = scores(run, episodes=60, roles=HEADLINE)
    for row in together.iter_rows(named=True):
        alone = run.evaluate(level=row["level"], episodes=200).row(0, named=True)
        error = (row["standard_error"] ** 2 + alone["standard_error"] ** 2) ** 0.5
        assert abs(row["return"] - alone["return"]) < 4 * error + 1e-6
        assert row["standard_error"] == pytest.approx(alone["standard_error"] * (200 / 60) ** 0.5, rel=0.5)


@pytest.mark.slow
def test_held_out_stimuli_alone_are_an_even_mixture_of_the_trained_scales(tmp_path):
    algorithm = unseen.PPO(environments=8, rollout=16, minibatches=1, epochs=1)
    run = unseen.train(unseen.Experiment("memory/transitive-inference", TINY, algorithm, env_steps=200), tmp_path / "run")
    row = scores(run, episodes=200, roles=("stimulus",)).row(0, named=True)
    assert row["level"] == "holdout_small + holdout_large"
    marks = [run.environment.references(level) for level in ("holdout_small", "holdout_large")]
    random, perfect = (np.mean([getattr(m, player).mean for m in marks]) for player in ("random", "perfect_memory"))
    assert row["normalised"] == pytest.approx(100 * (row["return"] - random) / (perfect - random))
    alone = [run.evaluate(level=level, episodes=200)["return"][0] for level in ("holdout_small", "holdout_large")]
    assert row["return"] == pytest.approx(np.mean(alone), abs=5 * row["standard_error"])
