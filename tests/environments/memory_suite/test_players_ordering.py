"""Players of transitive inference: only chains help; counting lights, one side always, and trying out what wins are worth a guess."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unseen.environments import make
from unseen.environments.memory_suite.players.cast import players
from unseen.environments.memory_suite.players.measure import Played, played
from unseen.environments.memory_suite.transitive_inference import CHALLENGE, CHALLENGES, TransitiveInference, params_of

ENVIRONMENT = make("memory/transitive-inference")
TASK = TransitiveInference()
DEVIATIONS = 4.5  # of a binomial: one run in 150,000 is further off
LEVELS = ("train_small", "train_large", "interpolate", "extrapolate", "holdout_interpolate")


@lru_cache
def of(who: str, level: str, episodes: int) -> Played:
    return played(ENVIRONMENT, level, players(ENVIRONMENT)[who], episodes, jax.random.key(41))


@pytest.mark.parametrize("who", ["perfect_memory", "oracle"])
@pytest.mark.parametrize("level", LEVELS)
def test_who_chains_what_it_saw_is_always_right(level: str, who: str) -> None:
    result = of(who, level, 60)
    assert result.right == 1.0
    assert (result.trials >= 8).all()


@pytest.mark.parametrize("who", ["random", "memoryless", "lit_counter"])
@pytest.mark.parametrize("level", LEVELS)
def test_nothing_less_is_worth_more_than_a_guess(level: str, who: str) -> None:
    result = of(who, level, 120)
    count = result.trials.sum()
    assert count > 900
    assert abs(result.right - 0.5) < DEVIATIONS * np.sqrt(0.25 / count)


@pytest.mark.parametrize("level", LEVELS)
def test_trying_out_which_objects_win_is_worth_nothing(level: str) -> None:
    """Who sees every reward at once and prefers objects that won: were answers paid one by one, it would be right far too often."""
    [(_, params)] = ENVIRONMENT.levels[level]
    chains: Any = jax.vmap(TASK.draw, (0, None))(jax.random.split(jax.random.key(5), 150), params)
    challenge, swapped = np.asarray(chains.challenge).reshape(-1, CHALLENGES, 2), np.asarray(chains.swapped)[:, :, -CHALLENGES:]
    at_once, together = [], []
    for pays_at_once, right in ((True, at_once), (False, together)):
        for pairs, flips in zip(challenge, swapped.reshape(-1, CHALLENGES), strict=True):
            won: dict[int, int] = {}
            for (high, low), flip in zip(pairs.tolist(), flips, strict=True):
                left, other = (low, high) if flip else (high, low)
                chosen = left if won.get(left, 0) >= won.get(other, 0) else other
                right.append(chosen == high)
                if pays_at_once:
                    won |= {high: won.get(high, 0) + 1, low: won.get(low, 0) - 1}
    assert abs(np.mean(together) - 0.5) < DEVIATIONS * np.sqrt(0.25 / len(together))
    assert np.mean(at_once) > 0.6


def test_the_four_answers_of_a_round_are_paid_together() -> None:
    """In both embodiments' one text: three right answers and a wrong one bring nothing, nothing, nothing, three."""
    params = params_of(False, "large")
    chains, progress = TASK.draw(jax.random.key(6), params), TASK.begin()._replace(phase=jnp.int32(CHALLENGE))
    paid = []
    for k in range(CHALLENGES):
        higher = TASK.pair(chains, progress).higher
        chosen = 1 - higher if k == 1 else higher
        progress, reward, answered = TASK.advanced(chains, progress, params, chosen, 1)
        assert bool(answered)
        paid.append(float(reward))
    assert paid == [0.0, 0.0, 0.0, 3.0]
    assert int(progress.earned) == 0


def test_first_person_plays_the_same_game() -> None:
    environment = make("memory-fp/transitive-inference")
    result = played(environment, "train_large", players(environment)["perfect_memory"], 6, jax.random.key(41))
    assert result.right == 1.0
    assert (result.trials >= 8).all()
