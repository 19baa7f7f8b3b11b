"""Learners whose first pass is made with the parameters that acted take what was recalled from the actor: same update, no second search."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import TINY, Cue

import unseen
from unseen.agents.memory.episodic import Episodic
from unseen.learning import learner as learners
from unseen.learning.learner import learn, make_learner, replays
from unseen.learning.levels import mixture
from unseen.learning.rollout import BatchLoop

MEMORY = unseen.MEM(unseen.LSTM(8), capacity=5, neighbours=2, key_size=4)
AGENT = replace(TINY, memory=MEMORY)
SHARED = replace(AGENT, critic=unseen.Critic(shared_trunk=True))
PREDICTIVE = replace(AGENT, auxiliary=unseen.CPC(steps=2))
ROLLOUT = {"environments": 4, "rollout": 12, "discount": 0.9}
VTRACE, ONE_PASS = unseen.VTrace(**ROLLOUT), unseen.PPO(**ROLLOUT, epochs=1, minibatches=1)
REPLAYING = [
    (AGENT, VTRACE),
    (SHARED, VTRACE),
    (PREDICTIVE, VTRACE),
    (AGENT, ONE_PASS),
    (SHARED, unseen.PPO(**ROLLOUT, epochs=2, minibatches=2)),
    (AGENT, unseen.A2C(episodes_per_update=4, discount=0.9)),
    (SHARED, unseen.A2C(episodes_per_update=4, discount=0.9)),
    (replace(AGENT, auxiliary=unseen.Reconstruction(source="both")), unseen.A2C(episodes_per_update=4, discount=0.9)),
]


def collected(agent, algorithm):
    """A state some updates old, and what its own policy plays now, with what it recalled."""
    environment = Cue()
    made = make_learner(environment, agent, algorithm)
    state = jax.jit(made.update)(jax.jit(made.init)(jax.random.key(0)))
    loop = BatchLoop(environment, mixture(environment), (), 0.9, recalling=True)
    if isinstance(algorithm, unseen.A2C):
        return state, (), loop.episodes(state.agent, state.source, jax.random.key(1), 4)[1]
    carry = state.agent.actor.refreshed(state.lanes.carry)
    played = jax.jit(lambda lanes: loop.continuous(state.agent, lanes, state.source, jax.random.key(1), 12))
    return state, carry, played(state.lanes._replace(carry=carry))[2]


@pytest.mark.parametrize(("agent", "algorithm"), REPLAYING)
def test_an_update_from_what_was_recalled_is_the_update(agent, algorithm):
    assert replays(agent, algorithm)
    state, carry, slots = collected(agent, algorithm)

    def update(slots):
        learnt = jax.jit(lambda slots: learn(algorithm, state, carry, slots))(slots)
        return learnt.agent.trained, learnt.sums

    with_it, without = update(slots), update(slots._replace(recalled=None))
    for a, b in zip(jax.tree.leaves(with_it), jax.tree.leaves(without), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    nothing = slots._replace(recalled={**slots.recalled, "live": jnp.zeros_like(slots.recalled["live"])})
    moved = [np.abs(np.asarray(a) - np.asarray(b)).max() for a, b in zip(*map(jax.tree.leaves, (update(nothing), without)), strict=True)]
    assert max(moved) > 1e-5  # what was recalled is what is used


@pytest.mark.parametrize(
    ("agent", "algorithm"),
    [
        (TINY, VTRACE),
        (AGENT, replace(VTRACE, lag=1)),
        (AGENT, replace(ONE_PASS, epochs=2)),
        (AGENT, replace(ONE_PASS, minibatches=2)),
        (AGENT, replace(ONE_PASS, carries="recomputed")),
    ],
)
def test_with_other_parameters_or_another_memory_nothing_is_replayed(agent, algorithm):
    assert not replays(agent, algorithm)


def test_training_replays_and_searches_only_while_it_acts(monkeypatch):
    searches = []
    search = Episodic.search
    monkeypatch.setattr(Episodic, "search", lambda self, *arguments: (searches.append(1), search(self, *arguments))[1])
    counts = []
    for used in (True, False):
        monkeypatch.setattr(learners, "replays", lambda *_, used=used: used)
        made = make_learner(Cue(), SHARED, VTRACE)
        state = jax.eval_shape(made.init, jax.random.key(0))
        searches.clear()
        jax.eval_shape(made.update, state)
        counts.append(len(searches))
    assert counts[0] < counts[1]
