"""Pools that redraw goals at every use and survive being saved; levels with time limits of their own; signals that change no action."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tiny import TINY, Countdown, CountState, Cue

from unseen.agents.build import build
from unseen.learning.learner import make_learner
from unseen.learning.levels import mixture
from unseen.learning.rollout import BatchLoop
from unseen.learning.settings import PPO
from unseen.learning.source import Generated, Pool


@dataclass(frozen=True)
class Respawning(Cue):
    """A level whose goal is redrawn at every use: `left` is the level's own, `noise` the goal."""

    def reset(self, key: Any, params: Any) -> Any:
        left = jax.random.randint(key, (), 0, 1_000_000, jnp.int32)
        return jnp.int32(0), CountState(left, jnp.int32(-1))

    def respawn(self, key: Any, state: CountState, params: Any) -> Any:
        goal = jax.random.randint(key, (), 0, 1_000_000, jnp.int32)
        return jnp.int32(1), CountState(state.left, goal)


@dataclass(frozen=True)
class OwnLimits(Countdown):
    """The entry of length n is cut after n - 1 steps."""

    def horizon(self, params: Any) -> int:
        return int(params) - 1


@dataclass(frozen=True)
class Garbled(Countdown):
    """The same environment told as noise that has nothing to do with it."""

    def signals(self, key: Any, state: Any, params: Any) -> Any:
        return {"noisy": 1e6 * jax.random.normal(jax.random.fold_in(key, 99)), "left": 0 * state}


def test_goals_are_redrawn_at_every_use_and_levels_are_kept():
    environment = Respawning()
    levels = mixture(environment)
    pool = Pool.filled(jax.random.key(0), 64, environment, levels)
    moved, lanes = pool.begin(jax.random.key(1), 64, environment, levels)
    _, observation, first = lanes
    _, (_, shown, second) = moved.restarted(jax.random.key(2), jnp.ones((64,), bool), lanes, environment, levels)
    assert (np.asarray(shown) == 1).all()
    np.testing.assert_array_equal(first.left, pool.entries[2].left)
    np.testing.assert_array_equal(second.left, first.left)
    assert (np.asarray(observation) == 1).all()
    assert (np.asarray(first.noise) >= 0).all()
    assert (np.asarray(first.noise) != np.asarray(second.noise)).mean() > 0.9


def test_only_the_lanes_that_ask_begin_anew_in_the_order_of_the_deck():
    environment = Respawning()
    levels = mixture(environment)
    pool, lanes = Pool.filled(jax.random.key(0), 64, environment, levels).begin(jax.random.key(1), 6, environment, levels)
    asking = np.asarray([False, True, False, False, True, True])
    after, (_, _, state) = jax.jit(lambda key: pool.restarted(key, jnp.asarray(asking), lanes, environment, levels))(jax.random.key(2))
    np.testing.assert_array_equal(np.asarray(state.left)[asking], np.asarray(pool.entries[2].left)[6:9])
    np.testing.assert_array_equal(np.asarray(state.left)[~asking], np.asarray(lanes[2].left)[~asking])
    np.testing.assert_array_equal(np.asarray(state.noise)[~asking], np.asarray(lanes[2].noise)[~asking])
    assert (np.asarray(state.noise)[asking] != np.asarray(lanes[2].noise)[asking]).all()
    assert int(after.dealt) == 9


def test_no_level_serves_more_than_eight_times():
    environment = Respawning()
    levels = mixture(environment)
    pool = Pool.filled(jax.random.key(0), 64, environment, levels)

    @jax.jit
    def dealt(pool, key):
        k_begin, k_refresh = jax.random.split(key)
        pool, (_, _, state) = pool.begin(k_begin, 5, environment, levels)
        return pool.refreshed(k_refresh, environment, levels), state.left

    served: dict[int, int] = {}
    for k in range(600):
        pool, lefts = dealt(pool, jax.random.key(k))
        for left in np.asarray(lefts).tolist():
            served[left] = served.get(left, 0) + 1
    assert max(served.values()) == 8
    assert len(served) > 3000 / 8


def test_a_pool_put_away_and_taken_up_again_deals_the_same():
    environment = Cue()
    learner = make_learner(environment, TINY, PPO(environments=4, rollout=6, epochs=1, minibatches=1), reset_pool=64)
    update = jax.jit(learner.update)
    state = update(learner.init(jax.random.key(0)))
    assert 0 < int(state.source.dealt) <= 4 * 6 + 4
    leaves, tree = jax.tree.flatten(state)
    again = jax.tree.unflatten(tree, [x if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else jnp.asarray(np.array(x)) for x in leaves])
    for a, b in zip(jax.tree.leaves(update(state).source), jax.tree.leaves(update(again).source), strict=True):
        np.testing.assert_array_equal(a, b)


def played(environment, signals=(), slots=14, batch=24):
    params = environment.levels["train"][0][1]
    spaces = environment.observation_space(params), environment.action_space(params), environment.signal_spaces(params)
    loop, agent = BatchLoop(environment, mixture(environment), signals, 0.9), build(TINY, *spaces, jax.random.key(0))

    @jax.jit
    def play():
        source, lanes = loop.fresh(agent, Generated(), jax.random.key(1), batch)
        return loop.continuous(agent, lanes, source, jax.random.key(2), slots)[2]

    return jax.tree.map(np.asarray, play())


def test_every_level_is_cut_at_its_own_limit():
    slots = played(OwnLimits((3, 6)))
    assert not slots.terminated.any()
    t, lane = np.nonzero(slots.truncated)
    lengths = slots.time[t, lane] + 1
    assert set(lengths.tolist()) == {2, 5}
    # The final observation follows in a slot of its own: one is left of either countdown.
    assert (slots.seen.observation[t + 1, lane] == 1).all()
    inside = t + 1 < len(slots.valid)
    assert not slots.valid[t[inside] + 1, lane[inside]].any()
    np.testing.assert_array_equal(slots.score[t, lane], lengths)


def test_signals_replaced_by_noise_leave_the_rollout_as_it_was():
    told, garbled = played(Countdown((4,)), ("noisy", "left")), played(Garbled((4,)), ("noisy", "left"))
    assert np.abs(told.signals["noisy"] - garbled.signals["noisy"]).min() > 1.0  # the control: they were told other things
    for a, b in zip(jax.tree.leaves(told._replace(signals={})), jax.tree.leaves(garbled._replace(signals={})), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_run_that_has_reached_its_budget_stays_as_it_is():
    learner = make_learner(Cue(), TINY, PPO(environments=4, rollout=6, epochs=1, minibatches=1))
    advance = jax.jit(jax.vmap(learner.advance, in_axes=(0, 0)))
    state = jax.vmap(learner.init)(jax.random.split(jax.random.key(0), 2))
    some = advance(state, jnp.array([20, 20], jnp.int32))
    more = advance(some, jnp.array([20, 60], jnp.int32))
    key_data = jax.random.key_data
    for a, b in zip(jax.tree.leaves(some), jax.tree.leaves(more), strict=True):
        a, b = (key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x for x in (a, b))
        np.testing.assert_array_equal(a[0], b[0])
    assert more.env_steps.tolist()[0] == some.env_steps.tolist()[0] >= 20
    assert more.env_steps.tolist()[1] >= 60
