"""Players of transitive inference: only chains help; counting lights, one side always, and repeating what paid are worth a guess."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import numpy as np
import pytest

from unseen.environments import make
from unseen.environments.memory_suite.players.cast import players
from unseen.environments.memory_suite.players.measure import Played, played
from unseen.environments.memory_suite.transitive_inference import MOST_CHALLENGES, TransitiveInference, challenges, params_of

ENVIRONMENT = make("memory/transitive-inference")
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


@pytest.mark.parametrize("scale", ["small", "large", "interpolate", "extrapolate"])
def test_repeating_what_paid_in_the_same_round_never_applies(scale: str) -> None:
    """Answers pay at once, so a pair that came twice could be guessed once and known then."""
    params = params_of(False, scale)
    chains: Any = jax.vmap(TransitiveInference().draw, (0, None))(jax.random.split(jax.random.key(5), 200), params)
    asked = np.asarray(chains.challenge).reshape(-1, MOST_CHALLENGES, 2)[:, : int(challenges(params.length))]
    assert all(len({tuple(pair) for pair in one}) == len(one) for one in asked.tolist())


def test_first_person_plays_the_same_game() -> None:
    environment = make("memory-fp/transitive-inference")
    result = played(environment, "train_large", players(environment)["perfect_memory"], 6, jax.random.key(41))
    assert result.right == 1.0
    assert (result.trials >= 8).all()
