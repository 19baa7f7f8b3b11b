"""Every environment of the suite can be drawn for people, its state and, in the compact embodiment, what the agent is told."""

import jax
import numpy as np
import pytest

import unseen
from unseen.environments.memory_suite.suite import TASKS


@pytest.mark.parametrize("name", TASKS)
def test_cards_and_maps_are_pictures_that_follow_what_they_show(name: str):
    environment = unseen.make(f"memory/{name}")
    params = environment.levels["train"][0][1]
    reset, step = jax.jit(environment.reset), jax.jit(environment.step)
    observation, state = reset(jax.random.key(0), params)
    cards, seen = [], set()
    for k in range(40):
        card, drawing = environment.picture(np.asarray(observation), params), environment.draw(state, params)
        for picture in (card, drawing):
            assert picture.dtype == np.uint8
            assert picture.ndim == 3
            assert picture.shape[2] == 3
        cards.append((np.asarray(observation).tobytes(), card.tobytes()))
        seen.add(card.shape)
        action = jax.numpy.int32((0, 1, 4)[k % 3] % environment.action_space().n)
        after = step(jax.random.key(k), state, action, params)
        observation, state = after.observation, after.state
    assert len(seen) == 1
    assert len(set(cards)) > 1
    assert len(dict(cards)) == len(set(cards))  # the same observation, the same card
