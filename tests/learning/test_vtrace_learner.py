"""The V-trace learner: targets by explicit sums over each episode, stale actors by name, the published optimiser by hand."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import TINY, Countdown, Cue

import unseen
from unseen.learning import sharing, vtrace
from unseen.learning.learner import make_learner, make_train
from unseen.learning.levels import mixture
from unseen.learning.rollout import BatchLoop
from unseen.learning.sharing import Sharing, shared

SETTINGS = unseen.VTrace(environments=6, rollout=14, optimiser="adam", learning_rate=3e-3, discount=0.9, entropy=0.01)


def explicit(ratio, r, discount, v, last, settings):
    """v_s and the policy advantages of one stretch without a cut inside: remark 1's sum of products, term by term."""
    n = len(r)
    rho, c = np.minimum(ratio, settings.clip_ratio), settings.lambda_ * np.minimum(ratio, settings.clip_trace)
    after = np.append(v[1:], last)
    delta = rho * (r + discount * after - v)
    target = np.array([v[s] + sum(np.prod(discount[s:t] * c[s:t]) * delta[t] for t in range(s, n)) for s in range(n)])
    follows = np.append(target[1:], last)
    return target, np.minimum(ratio, settings.clip_policy) * (r + discount * follows - v)


def played(environment, settings, agent=TINY, updates=3, slots=14):
    """A rollout of an agent a few updates old, and the state that learns from it."""
    learner = make_learner(environment, agent, settings)
    update = jax.jit(learner.update)
    old = state = update(learner.init(jax.random.key(1)))
    for _ in range(updates):
        state = update(state)
    loop = BatchLoop(environment, mixture(environment), agent.critic.signals, settings.discount)
    _, _, rollout = jax.jit(lambda lanes: loop.continuous(old.agent, lanes, state.source, jax.random.key(5), slots))(state.lanes)
    return state, rollout


@pytest.mark.parametrize("shared_trunk", [False, True])
@pytest.mark.parametrize("clips", [{}, {"clip_ratio": 1.02, "clip_trace": 0.9, "clip_policy": 1.05, "lambda_": 0.8}])
def test_targets_and_advantages_are_explicit_sums_over_each_episode(shared_trunk, clips):
    environment = Countdown((3, 30), time_limit=5)  # some episodes end, others are cut
    agent = replace(TINY, critic=unseen.Critic(signals=("noisy",), shared_trunk=shared_trunk))
    settings = replace(SETTINGS, reward_clip=0.5, learning_rate=0.03, **clips)
    state, slots = played(environment, settings, agent)
    _, batch, ratio = vtrace.prepared(settings, state.agent, slots, state.lanes.carry, state.critic_carry)
    assert np.abs(np.asarray(ratio) - 1.0).max() > 0.01  # the rollout is an older policy's
    _, last = vtrace.values_from(
        state.agent, state.agent.actor.unroll(state.lanes.carry, slots.seen)[2], state.critic_carry, slots.seen, slots.signals
    )
    valid, terminated, truncated = (np.asarray(x) for x in (slots.valid, slots.terminated, slots.truncated))
    assert terminated.any()
    assert truncated.any()
    assert (~valid).any()
    ratio, v = np.asarray(ratio), np.asarray(last)
    for lane in range(valid.shape[1]):
        begin = 0
        for t in range(len(valid)):
            if not (terminated[t, lane] or truncated[t, lane] or t == len(valid) - 1):
                continue
            rows = [k for k in range(begin, t + 1) if valid[k, lane]]
            begin = t + 1
            if not rows:
                continue
            discount = settings.discount * (1.0 - terminated[rows, lane])
            target, advantage = explicit(
                ratio[rows, lane], np.full(len(rows), 0.5), discount, v[rows, lane], v[rows[-1] + 1, lane], settings
            )
            np.testing.assert_allclose(batch.target[np.array(rows), lane], target, rtol=2e-5, atol=2e-5)
            np.testing.assert_allclose(batch.advantage[np.array(rows), lane], advantage, rtol=2e-5, atol=2e-5)


def test_the_loss_is_a_sum_over_valid_slots():
    state, slots = played(Countdown((30,), time_limit=5), SETTINGS)
    _, batch, _ = vtrace.prepared(SETTINGS, state.agent, slots, state.lanes.carry, state.critic_carry)
    _, distribution, _ = state.agent.actor.unroll(state.lanes.carry, batch.seen)
    total, terms = vtrace.loss(state.agent.trained, batch, SETTINGS)
    valid = np.asarray(batch.valid)
    log_p, entropy = np.asarray(distribution.log_probability(batch.action)), np.asarray(distribution.entropy())
    policy = -(np.asarray(batch.advantage) * log_p)[valid].sum()
    critic = 0.5 * ((np.asarray(batch.value) - np.asarray(batch.target)) ** 2)[valid].sum()
    assert float(terms["policy_loss"]) == pytest.approx(policy, rel=1e-4)
    assert float(terms["critic_loss"]) == pytest.approx(critic, rel=1e-4)
    assert float(total) == pytest.approx(policy + 0.5 * critic - 0.01 * entropy[valid].sum(), rel=1e-4)


@pytest.mark.parametrize("lag", [0, 1, 3])
def test_the_acting_parameters_are_lag_updates_old(lag):
    learner = make_learner(Cue(), TINY, replace(SETTINGS, lag=lag))
    update, state = jax.jit(learner.update), learner.init(jax.random.key(0))
    learnt = [state.agent.actor]
    for _ in range(5):
        state = update(state)
        learnt.append(state.agent.actor)
    acting = vtrace.acting(state).actor
    for now, then in zip(jax.tree.leaves(acting), jax.tree.leaves(learnt[-1 - lag]), strict=True):
        np.testing.assert_array_equal(now, then)
    if lag:  # the control: they differ from the newest
        assert any((np.asarray(a) != np.asarray(b)).any() for a, b in zip(*map(jax.tree.leaves, (acting, learnt[-1])), strict=True))


MEMORIES = [unseen.GRU(8), unseen.MEM(unseen.LSTM(8), capacity=6, neighbours=2, key_size=4), unseen.GTrXL(8, heads=2, window=4)]


@pytest.mark.parametrize("memory", MEMORIES, ids=lambda m: type(m).__name__)
def test_what_is_played_is_the_old_parameters_choice(memory):
    settings = replace(SETTINGS, lag=2, learning_rate=0.05)
    learner = make_learner(Cue(), replace(TINY, memory=memory), settings)
    state = learner.init(jax.random.key(0))
    for _ in range(4):
        state = jax.jit(learner.update)(state)
    loop = BatchLoop(Cue(), mixture(Cue()), (), settings.discount)
    old = vtrace.acting(state)
    carry = old.actor.refreshed(state.lanes.carry)
    begin = state.lanes._replace(carry=carry)
    _, _, slots = jax.jit(lambda lanes: loop.continuous(old, lanes, state.source, jax.random.key(5), 14))(begin)
    for agent, same in ((old, True), (state.agent, False)):
        _, _, ratio = vtrace.prepared(settings, agent, slots, carry, state.critic_carry)
        gap = np.abs(np.asarray(ratio) - 1.0)[np.asarray(slots.valid)].max()
        assert (gap < 1e-4) == same


def test_rmsprop_takes_the_published_step():
    settings = unseen.VTrace(learning_rate=0.1, max_gradient_norm=None)
    optimiser = vtrace.optimiser(settings)
    parameters, gradients = jnp.asarray([1.0, -2.0]), [np.array([0.5, 3.0]), np.array([-1.0, 0.25])]
    state, square, ours = optimiser.init(parameters), np.ones(2), []
    for g in gradients:
        square = 0.99 * square + 0.01 * g**2
        with jax.numpy_dtype_promotion("standard"):
            step, state = optimiser.update(jnp.asarray(g, jnp.float32), state)
        ours.append(step)
        np.testing.assert_allclose(step, g / np.sqrt(square + 0.1), rtol=1e-5)


@pytest.mark.parametrize("devices", [1, 2])
def test_it_learns_the_same_in_any_parts_on_any_number_of_devices(devices, monkeypatch):
    # RMSProp with the published epsilon: a first step of Adam divides by its own size and blows rounding up.
    settings = unseen.VTrace(environments=8, rollout=12, lag=1, learning_rate=0.01)

    def trained(devices, size):
        monkeypatch.setattr(sharing, "part_size", lambda lanes, time: min(lanes, size))
        learner = make_learner(Cue(), replace(TINY, auxiliary=unseen.CPC(steps=3)), settings, sharing=Sharing(devices))
        state = learner.init(jax.random.key(0))
        update = jax.jit(
            shared(
                lambda share, s: make_learner(Cue(), replace(TINY, auxiliary=unseen.CPC(steps=3)), settings, sharing=share).update(s),
                devices,
            )
        )
        for _ in range(3):
            state = update(state)
        return state

    whole, parts = trained(1, 8), trained(devices, 2)
    for a, b in zip(jax.tree.leaves(whole.agent), jax.tree.leaves(parts.agent), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_with_every_ratio_one_the_update_does_not_depend_on_clips_above_one():
    wide = replace(SETTINGS, clip_ratio=5.0, clip_trace=5.0, clip_policy=5.0)
    agents = []
    for settings in (SETTINGS, wide):
        learner = make_learner(Cue(), TINY, settings)
        agents.append(jax.jit(learner.update)(learner.init(jax.random.key(0))).agent)
    for a, b in zip(*map(jax.tree.leaves, agents), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("lag", [0, 4])
def test_a_cue_is_remembered_by_actors_that_lag(lag):
    """Chance is 0, and so is the best player without a memory; 0.8 is far from both."""
    agent = unseen.Agent(memory=unseen.LSTM(16), embedding=8, head=(16,))
    algorithm = unseen.VTrace(
        environments=32, rollout=16, lag=lag, optimiser="adam", learning_rate=3e-3, entropy=0.3, max_gradient_norm=None
    )
    _, metrics = jax.jit(make_train(Cue(), agent, algorithm, env_steps=200_000, reports=5))(jax.random.key(0))
    assert float(metrics["return"][-1]) > 0.8
