"""The previous reward as a part of what an agent reads: where it stands, what it is at a start, and that nobody else has it."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces

import unseen
from unseen.agents.actor import Seen
from unseen.agents.build import build
from unseen.agents.memory.contract import Projecting
from unseen.errors import UserError

T, B = 7, 3
AGENT = unseen.Agent(memory=unseen.GRU(6), embedding=4, head=(5,), policy_scale=1.0, previous_reward=True)
OBSERVATION = spaces.Dict({"a": spaces.Discrete(3), "b": spaces.Box(-1.0, 1.0, (2,))})
MEMORIES = {
    "gru": unseen.GRU(6),
    "lstm": unseen.LSTM(6),
    "lru": unseen.LRU(6),
    "feed-forward": unseen.FeedForward(),
    "mem": unseen.MEM(unseen.LSTM(6), capacity=4, neighbours=2, key_size=5),
}


def built(**changes):
    return build(replace(AGENT, **changes), OBSERVATION, spaces.Discrete(2), {}, jax.random.key(0))


def seen(**changes):
    keys = jax.random.split(jax.random.key(1), 5)
    observation = {"a": jax.random.randint(keys[0], (T, B), 0, 3), "b": jax.random.uniform(keys[1], (T, B, 2))}
    start = jax.random.bernoulli(keys[2], 0.3, (T, B)).at[0, 0].set(True).at[3, 1].set(True).at[3, 0].set(False)
    reward = 2.0 * jax.random.normal(keys[3], (T, B))
    return Seen(observation, jax.random.randint(keys[4], (T, B), 0, 2), start, None, reward)._replace(**changes)


@pytest.mark.parametrize("previous_action", [True, False])
def test_it_is_the_last_number_of_the_embedding_clipped_and_zero_at_a_start(previous_action):
    given = seen()
    trunk = built(previous_action=previous_action).actor.trunk
    without = built(previous_action=previous_action, previous_reward=False).actor.trunk
    embedded = np.asarray(trunk.embed(given))
    np.testing.assert_allclose(embedded[..., :-1], without.embed(given._replace(previous_reward=None)))  # encoders start the same
    expected = np.clip(given.previous_reward, -1.0, 1.0) * ~np.asarray(given.start)
    np.testing.assert_array_equal(embedded[..., -1], expected)
    assert (np.abs(given.previous_reward) > 1.0).any()
    assert np.asarray(given.start).any()


def test_what_is_not_finite_does_not_reach_over_a_start():
    given = seen()
    poisoned = jnp.where(given.start, jnp.nan, given.previous_reward)
    np.testing.assert_array_equal(built().actor.trunk.embed(given._replace(previous_reward=poisoned)), built().actor.trunk.embed(given))


@pytest.mark.parametrize("previous_action", [True, False])
@pytest.mark.parametrize("memory", ["gru", "lstm"])
def test_the_projected_path_is_the_plain_one(memory, previous_action):
    trunk = built(memory=MEMORIES[memory], previous_action=previous_action).actor.trunk
    assert isinstance(trunk.memory, Projecting)
    plain = trunk.embed(seen()) @ trunk.memory.w_x
    np.testing.assert_allclose(trunk.projected(seen(), trunk.memory), plain, rtol=1e-4, atol=1e-5)
    blind = trunk.projected(seen(previous_reward=jnp.zeros((T, B))), trunk.memory)
    assert np.abs(np.asarray(blind) - np.asarray(plain)).max() > 1e-2


@pytest.mark.parametrize("memory", MEMORIES)
def test_an_actor_that_reads_it_is_unrolled_as_stepped(memory):
    actor = built(memory=MEMORIES[memory]).actor
    given = seen()
    carry = actor.initial(B)
    _, distribution, _ = jax.jit(lambda carry, s: actor.unroll(carry, s))(carry, given)
    step = jax.jit(lambda carry, s: actor.step(carry, s)[:2])
    for t in range(T):
        carry, stepped = step(carry, jax.tree.map(lambda x, t=t: x[t], given))
        np.testing.assert_allclose(stepped.log_p, distribution.log_p[t], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shared_trunk", [True, False])
def test_actor_and_critic_read_it(shared_trunk):
    model = built(critic=unseen.Critic(shared_trunk=shared_trunk))

    @jax.jit
    def answers(reward):
        s = seen(previous_reward=reward)
        _, distribution, features = model.actor.unroll(model.actor.initial(B), s)
        return distribution.log_p, model.critic.unroll(model.critic.initial(B), s, {}, features)[1]

    for told, blind in zip(answers(seen().previous_reward), answers(jnp.zeros((T, B))), strict=True):
        assert np.abs(np.asarray(told) - np.asarray(blind)).max() > 1e-4


def test_who_does_not_read_it_is_not_moved_and_who_does_must_be_given_it():
    reads, ignores = built().actor.trunk, built(previous_reward=False).actor.trunk
    np.testing.assert_array_equal(ignores.embed(seen()), ignores.embed(seen(previous_reward=None)))
    for read in (reads.embed, lambda s: reads.projected(s, reads.memory)):
        with pytest.raises(UserError, match=r"agent\.previous_reward=True: .* give Seen\(\.\.\., previous_reward=r\)"):
            read(seen(previous_reward=None))
