"""The two algorithms: targets by hand, buckets, equal agents, closed forms, guards, and a memory task that must be learnt."""

from __future__ import annotations

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import TINY, Countdown, Cue

import unseen
from unseen.errors import UserError
from unseen.learning import a2c, ppo
from unseen.learning.guard import refuse_biased, refuse_impossible
from unseen.learning.learner import make_learner, make_train
from unseen.learning.levels import mixture
from unseen.learning.rollout import BatchLoop
from unseen.learning.state import GUARDED

INFORMED = replace(TINY, critic=unseen.Critic(signals=("cue",)))


def slots_of(environment, agent, algorithm, key=0):
    learner = make_learner(environment, agent, algorithm)
    state = learner.init(jax.random.key(key))
    return learner, state


@pytest.mark.parametrize("estimator", ["td", "n-step", "td-lambda", "monte-carlo"])
@pytest.mark.parametrize("time_limit", ["bootstrap", "terminate"])
def test_targets_by_hand(estimator, time_limit):
    """Three lanes of rewards 1, 2, 3: one ends, one is cut, one runs on; values are 10, 20, 30, 40."""
    settings = unseen.A2C(estimator=estimator, time_limit=time_limit, discount=0.5, n=2, lambda_=0.5)
    r, v = np.array([1.0, 2.0, 3.0]), np.array([10.0, 20.0, 30.0, 40.0])
    lane = jnp.zeros((3, 3), bool)
    slots = type("S", (), {})()
    slots.reward = jnp.asarray(np.tile(r[:, None], 3), jnp.float32)
    slots.terminated, slots.truncated = lane.at[2, 0].set(True), lane.at[2, 1].set(True)
    ours = np.asarray(a2c.targets.__wrapped__(settings, slots, jnp.asarray(np.tile(v[:, None], 3), jnp.float32)))
    for k in range(3):
        last = 0.0 if k == 0 or (k == 1 and time_limit == "terminate") else 40.0
        after = [20.0, 30.0, last]
        expected = {
            "td": [r[t] + 0.5 * after[t] for t in range(3)],
            "n-step": [1 + 0.5 * (2 + 0.5 * 30), 2 + 0.5 * (3 + 0.5 * last), 3 + 0.5 * last],
            "monte-carlo": [1 + 0.5 * (2 + 0.5 * (3 + 0.5 * last)), 2 + 0.5 * (3 + 0.5 * last), 3 + 0.5 * last],
        }
        g2 = 3 + 0.5 * last
        g1 = 2 + 0.5 * (0.5 * 30 + 0.5 * g2)
        expected["td-lambda"] = [1 + 0.5 * (0.5 * 20 + 0.5 * g1), g1, g2]
        np.testing.assert_allclose(ours[:, k], expected[estimator], rtol=1e-6)


def test_a_short_bucket_learns_what_the_full_length_does():
    settings = unseen.A2C(episodes_per_update=3)
    learner, state = slots_of(Countdown((5,), time_limit=40), replace(TINY, critic=unseen.Critic(signals=("left",))), settings)
    full = make_learner(Countdown((5,), time_limit=40), replace(TINY, critic=unseen.Critic(signals=("left",))), settings, buckets=False)
    a, b = jax.jit(learner.update)(state), jax.jit(full.update)(state)
    for x, y in zip(jax.tree.leaves(a.agent), jax.tree.leaves(b.agent), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6)
    assert any(
        np.abs(np.asarray(x) - np.asarray(y)).max() > 1e-5
        for x, y in zip(jax.tree.leaves(a.agent), jax.tree.leaves(state.agent), strict=True)
    )


@pytest.mark.parametrize("shared_trunk", [False, True])
def test_the_signal_moves_the_critic_and_never_the_policy(shared_trunk):
    environment = Countdown((5,))
    agent = replace(TINY, critic=unseen.Critic(signals=("noisy",), shared_trunk=shared_trunk))
    _, state = slots_of(environment, agent, unseen.A2C())
    loop = BatchLoop(environment, mixture(environment), ("noisy",), 0.99)
    _, slots = loop.episodes(state.agent, state.source, jax.random.key(3), 3)
    modules = (state.agent.actor, state.agent.critic)

    def told(signal, quantity):
        _, losses = a2c.loss(modules, state.target, slots._replace(signals={"noisy": signal}), unseen.A2C(), jnp.float32(0.1))
        return losses[quantity]

    signal = slots.signals["noisy"]
    assert not np.asarray(jax.grad(told)(signal, "entropy")).any()
    assert np.abs(jax.grad(told)(signal, "critic_loss")).max() > 1e-4


def test_the_target_is_the_critic_of_before_the_step_in_which_it_is_due():
    """Five steps an update, a copy every ten: in the second and the fourth update, of the critic that has not yet moved."""
    learner, state = slots_of(Countdown((5,)), TINY, unseen.A2C(episodes_per_update=1, target_period=10))
    update = jax.jit(learner.update)
    critics, targets = [state.agent.critic], [state.target]
    for _ in range(5):
        state = update(state)
        critics.append(state.agent.critic)
        targets.append(state.target)

    def same(a, b):
        return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))

    for after, copied_from in ((1, 0), (2, 1), (3, 1), (4, 3), (5, 3)):
        assert [k for k in range(6) if same(targets[after], critics[k])] == [copied_from], after


def test_the_entropy_weight_falls_on_a_straight_line_and_stays(monkeypatch):
    settings = unseen.A2C(episodes_per_update=1, entropy=1.0, entropy_end=0.2, entropy_steps=20)
    plain = a2c.loss

    def told(parameters, target, slots, settings, entropy_weight):
        total, losses = plain(parameters, target, slots, settings, entropy_weight)
        return total, losses | {"entropy": entropy_weight}

    monkeypatch.setattr(a2c, "loss", told)
    learner, state = slots_of(Countdown((5,)), TINY, settings)
    update, weights = jax.jit(learner.update), []
    for _ in range(6):
        before = float(state.sums["entropy"])
        state = update(state)
        weights.append(float(state.sums["entropy"]) - before)
    np.testing.assert_allclose(weights, [0.8, 0.6, 0.4, 0.2, 0.2, 0.2], atol=1e-5)


@pytest.mark.optimised
@pytest.mark.parametrize("algorithm", [unseen.A2C(), unseen.PPO(environments=4, rollout=8, minibatches=2)])
def test_a_constant_signal_with_frozen_zero_weights_is_the_symmetric_agent(algorithm):
    class Constant(Cue):
        def signals(self, key, state, params):
            return {"cue": jnp.zeros_like(state.noise)}

    informed = make_learner(Constant(), INFORMED, algorithm)
    symmetric = make_learner(Constant(), TINY, algorithm)
    state, plain = informed.init(jax.random.key(0)), symmetric.init(jax.random.key(0))

    def frozen(state):
        """The weights through which the signal would act, set back to zero."""
        zero = jax.tree.map(jnp.zeros_like, state.agent.critic.join)
        state = state._replace(agent=eqx.tree_at(lambda m: m.critic.join, state.agent, zero))
        return state._replace(target=eqx.tree_at(lambda m: m.join, state.target, zero)) if state.target != () else state

    step, plain_step = jax.jit(lambda s: informed.update(frozen(s))), jax.jit(symmetric.update)
    if isinstance(algorithm, unseen.PPO):  # within an update its minibatches would thaw the weights: one minibatch, one epoch
        one = replace(algorithm, epochs=1, minibatches=1, max_gradient_norm=None)
        informed, symmetric = make_learner(Constant(), INFORMED, one), make_learner(Constant(), TINY, one)
        step, plain_step = jax.jit(lambda s: informed.update(frozen(s))), jax.jit(symmetric.update)
        state, plain = informed.init(jax.random.key(0)), symmetric.init(jax.random.key(0))
    for _ in range(4):
        state, plain = step(state), plain_step(plain)
    for x, y in zip(jax.tree.leaves(state.agent.actor), jax.tree.leaves(plain.agent.actor), strict=True):
        np.testing.assert_array_equal(x, y)
    for x, y in zip(jax.tree.leaves(state.agent.critic.trunk), jax.tree.leaves(plain.agent.critic.trunk), strict=True):
        np.testing.assert_array_equal(x, y)


def values_of_countless(algorithm, updates):
    """Train the critic where every step pays 1 for ever and a limit cuts at 10; the values it ends with, over time."""
    environment = Countdown((1_000,), time_limit=10)

    class Blind(Countdown):  # nothing tells the steps apart
        def observation_space(self, params):
            return Countdown((1,)).observation_space(params)

        def reset(self, key, params):
            return jnp.int32(0), params

        def step(self, key, state, action, params):
            return super().step(key, state, action, params)._replace(observation=jnp.int32(0))

    agent = unseen.Agent(memory=unseen.FeedForward(), embedding=8, head=(16,), previous_action=False)
    learner = make_learner(Blind(environment.lengths, time_limit=10), agent, algorithm)
    state = jax.jit(lambda s: jax.lax.fori_loop(0, updates, lambda _, s: learner.update(s), s))(learner.init(jax.random.key(0)))
    trunk = state.agent.critic.trunk
    features = trunk.observation(jnp.zeros((1,), jnp.int32))
    return float(state.agent.critic.head(features)[0, 0])


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ["td", "td-lambda"])
def test_a2c_values_an_endless_stream_of_ones_at_its_closed_form(estimator):
    settings = unseen.A2C(discount=0.9, estimator=estimator, target_period=20, learning_rate=3e-3, entropy=0.0, entropy_end=0.0)
    assert values_of_countless(settings, 3000) == pytest.approx(10.0, rel=0.05)
    # The control: a time limit taken for an end is worth less, whatever the estimator.
    assert values_of_countless(replace(settings, time_limit="terminate"), 3000) < 8.5


@pytest.mark.slow
def test_ppo_values_an_endless_stream_of_ones_at_its_closed_form():
    settings = unseen.PPO(environments=8, rollout=22, discount=0.9, learning_rate=3e-3, epochs=4, minibatches=1)
    assert values_of_countless(settings, 500) == pytest.approx(10.0, rel=0.05)


def test_what_is_not_finite_is_named_and_stops_the_run():
    learner, state = slots_of(Countdown((5,), poisoned_at=2), TINY, unseen.A2C())
    state = jax.jit(learner.advance)(state, jnp.int32(1000))
    assert GUARDED[int(state.fault)] == "reward"
    assert int(state.updates) == 1
    assert int(state.fault_steps) == int(state.env_steps) == 10
    learner, state = slots_of(Countdown((5,)), TINY, unseen.A2C())
    state = jax.jit(learner.advance)(state, jnp.int32(100))
    assert int(state.fault) == 0
    assert int(state.env_steps) == 100


def test_the_first_epoch_starts_from_the_probabilities_of_the_rollout():
    algorithm = unseen.PPO(environments=4, rollout=12, minibatches=1)
    learner, state = slots_of(Cue(), INFORMED, algorithm)
    state = jax.jit(learner.update)(state)
    source, lanes = state.source, state.lanes
    loop = BatchLoop(Cue(), mixture(Cue()), ("cue",), 0.99)
    _, _, slots = jax.jit(lambda lanes: loop.continuous(state.agent, lanes, source, jax.random.key(5), 12))(lanes)
    _, batch = ppo.prepared(algorithm, state.agent, slots, lanes.carry, state.critic_carry, jnp.ones(()))
    _, distribution, _ = state.agent.actor.unroll(lanes.carry, batch.seen)
    recomputed = np.asarray(distribution.log_probability(slots.action))
    valid = np.asarray(slots.valid)
    np.testing.assert_allclose(recomputed[valid], np.asarray(slots.log_probability)[valid], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("carries", ["stored", "recomputed"])
def test_sequences_keep_their_carries_when_dealt(carries):
    algorithm = unseen.PPO(environments=6, rollout=8, minibatches=3, carries=carries)
    learner, state = slots_of(Cue(), TINY, algorithm)
    for _ in range(2):
        state = jax.jit(learner.update)(state)
    assert int(state.fault) == 0
    fields = dict.fromkeys(("signals", "log_probability", "value", "advantage", "target", "valid", "seen"), ())
    batch = ppo.Sequences(action=jnp.arange(6.0)[None] * jnp.ones((8, 1)), actor_carry=jnp.arange(6.0), critic_carry=(), **fields)
    dealt = batch.of(jnp.asarray([4, 1]))
    np.testing.assert_array_equal(dealt.action, np.tile([4.0, 1.0], (8, 1)))
    np.testing.assert_array_equal(dealt.actor_carry, [4.0, 1.0])


def test_biased_and_impossible_constructions_are_refused():
    state_only = replace(TINY, critic=unseen.Critic(history=False, signals=("cue",)))
    for algorithm in (unseen.A2C(), unseen.PPO(), unseen.A2C(estimator="monte-carlo")):
        with pytest.raises(UserError, match="biased policy gradient"):
            refuse_biased(state_only, algorithm)
    refuse_biased(state_only, unseen.A2C(estimator="monte-carlo", time_limit="terminate"))
    refuse_biased(replace(state_only, critic=replace(state_only.critic, allow_biased=True)), unseen.PPO())
    reactive = replace(TINY, memory=unseen.FeedForward(), critic=unseen.Critic(signals=("cue",)))
    with pytest.raises(UserError, match="give the agent a memory"):
        refuse_biased(reactive, unseen.PPO())
    for sound in (unseen.Critic(), unseen.Critic(signals=("state",)), unseen.Critic(signals=("cue",), allow_biased=True)):
        refuse_biased(replace(reactive, critic=sound), unseen.PPO())
    wrong = [
        (unseen.A2C(discount=1.5), "discount = 1.5"),
        (unseen.A2C(episodes_per_update=0), "episodes_per_update = 0"),
        (unseen.A2C(max_gradient_norm=0.0), "max_gradient_norm = 0.0"),
        (unseen.A2C(n=0), "n = 0"),
        (unseen.PPO(minibatches=7), "minibatches = 7"),
        (unseen.PPO(learning_rate=0.0), "learning_rate = 0.0"),
        (unseen.PPO(clip=-1.0), "clip = -1.0"),
        (unseen.PPO(lambda_=2.0), "lambda_ = 2.0"),
    ]
    for algorithm, message in wrong:
        with pytest.raises(UserError, match=message):
            refuse_impossible(algorithm)


def test_make_train_is_pure_and_maps_over_seeds():
    train = make_train(Cue(), TINY, unseen.A2C(), env_steps=200, reports=4)
    both, metrics = jax.jit(jax.vmap(train))(jax.random.split(jax.random.key(0), 2))
    assert metrics["return"].shape == (2, 4)
    assert (np.asarray(metrics["env_steps"])[:, -1] >= 200).all()
    assert not np.array_equal(both.agent.actor.trunk.memory.w_h[0], both.agent.actor.trunk.memory.w_h[1])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("memory", "algorithm"),
    [
        (unseen.GRU(16), unseen.A2C(learning_rate=3e-3, estimator="td-lambda", entropy=0.02, entropy_end=0.02, target_period=500)),
        (unseen.LSTM(16), unseen.PPO(environments=16, rollout=16, minibatches=2, learning_rate=3e-3)),
        (unseen.LRU(16), unseen.PPO(environments=16, rollout=16, minibatches=2, learning_rate=3e-3)),
    ],
)
def test_a_cue_is_remembered(memory, algorithm):
    """Chance is 0, and so is the best player without a memory; 0.9 is far from both."""
    agent = unseen.Agent(memory=memory, embedding=8, head=(16,), critic=unseen.Critic(signals=("cue",)))
    _, metrics = jax.jit(make_train(Cue(), agent, algorithm, env_steps=60_000, reports=5))(jax.random.key(0))
    assert float(metrics["return"][-1]) > 0.9


@pytest.mark.slow
def test_without_a_memory_the_cue_is_lost():
    agent = unseen.Agent(memory=unseen.FeedForward(), embedding=8, head=(16,), previous_action=False)
    algorithm = unseen.PPO(environments=16, rollout=16, minibatches=2, learning_rate=3e-3)
    _, metrics = jax.jit(make_train(Cue(), agent, algorithm, env_steps=30_000, reports=5))(jax.random.key(0))
    assert abs(float(metrics["return"][-1])) < 0.5
