"""The batch loop: what is shown when, and flags that are never merged."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import TINY, Countdown, Cue

from unseen.agents.build import build
from unseen.errors import UserError
from unseen.learning.levels import mixture
from unseen.learning.rollout import BatchLoop
from unseen.learning.source import Generated, Pool


def loop_of(environment, signals=(), discount=0.9):
    params = environment.levels["train"][0][1]
    spaces = environment.observation_space(params), environment.action_space(params), environment.signal_spaces(params)
    return BatchLoop(environment, mixture(environment), signals, discount), build(TINY, *spaces, jax.random.key(0))


def continuous(environment, slots=12, batch=2, signals=()):
    loop, agent = loop_of(environment, signals)
    source, lanes = loop.fresh(agent, Generated(), jax.random.key(1), batch)
    lanes, _, record = loop.continuous(agent, lanes, source, jax.random.key(2), slots)
    return jax.tree.map(np.asarray, record._replace(seen=record.seen._replace(action_mask=None)))


def test_after_a_termination_the_next_slot_starts_anew():
    slots = continuous(Countdown((3,)))
    assert slots.seen.observation[:, 0].tolist() == [3, 2, 1] * 4 + [3]
    assert slots.seen.start[:, 0].tolist() == [True, False, False] * 4 + [True]
    assert slots.terminated[:, 0].tolist() == [False, False, True] * 4
    assert slots.valid.all()
    assert not slots.truncated.any()


def test_after_a_cut_the_final_observation_is_shown_before_the_next_episode():
    slots = continuous(Countdown((9,), time_limit=3))
    assert slots.seen.observation[:, 0].tolist() == [9, 8, 7, 6] * 3 + [9]
    assert slots.valid[:, 0].tolist() == [True, True, True, False] * 3
    assert slots.truncated[:, 0].tolist() == [False, False, True, False] * 3
    assert not slots.terminated.any()
    assert slots.seen.start[:, 0].tolist() == [True, False, False, False] * 3 + [True]


def test_an_end_at_the_time_limit_is_an_end_and_no_cut():
    slots = continuous(Countdown((3,), time_limit=3))
    assert slots.terminated.sum() == 8
    assert not slots.truncated.any()


def test_scores_times_and_discounts():
    slots = continuous(Countdown((3,)), slots=3)
    np.testing.assert_allclose(slots.score[:, 0], [1, 2, 3])
    np.testing.assert_allclose(slots.discounted[:, 0], [1, 1.9, 2.71], rtol=1e-6)
    assert slots.time[:, 0].tolist() == [0, 1, 2]


def test_one_draw_of_a_noisy_signal_per_state_and_new_ones_in_each_episode():
    slots = continuous(Countdown((3,)), signals=("noisy", "left"))
    noise = slots.signals["noisy"] - slots.signals["left"]
    assert len(np.unique(noise)) == noise.size
    # What the slot after the last shows is what the next rollout begins with: the same draw.
    loop, agent = loop_of(Countdown((3,)), ("noisy",))
    source, lanes = loop.fresh(agent, Generated(), jax.random.key(1), 2)
    lanes, source, first = loop.continuous(agent, lanes, source, jax.random.key(2), 4)
    _, _, second = loop.continuous(agent, lanes, source, jax.random.key(3), 4)
    np.testing.assert_array_equal(first.signals["noisy"][-1], second.signals["noisy"][0])


def test_whole_episodes_stop_when_the_last_one_ends():
    loop, agent = loop_of(Countdown((2, 6), time_limit=4))
    _, slots = loop.episodes(agent, Generated(), jax.random.key(0), 40)
    lengths = np.asarray(slots.valid.sum(axis=0))
    assert set(lengths.tolist()) == {2, 4}
    ended, cut = np.asarray(slots.terminated.any(axis=0)), np.asarray(slots.truncated.any(axis=0))
    np.testing.assert_array_equal(ended, lengths == 2)
    np.testing.assert_array_equal(cut, lengths == 4)
    final = np.asarray(slots.seen.observation)[lengths, np.arange(40)]
    np.testing.assert_array_equal(final, np.where(lengths == 2, 0, 2))


def test_masks_are_obeyed():
    loop, agent = loop_of(Cue(masked=True))
    _, slots = loop.episodes(agent, Generated(), jax.random.key(0), 50)
    assert (np.asarray(slots.action)[np.asarray(slots.valid)] == 0).all()
    loop, agent = loop_of(Cue())
    _, slots = loop.episodes(agent, Generated(), jax.random.key(0), 50)
    assert (np.asarray(slots.action)[np.asarray(slots.valid)] == 1).any()


def test_signals_change_no_action():
    """The same seed with and without signals plays the same rollout, bit for bit."""
    with_signals, without = continuous(Countdown((4,)), signals=("noisy",)), continuous(Countdown((4,)))
    for a, b in zip(jax.tree.leaves(with_signals._replace(signals={})), jax.tree.leaves(without._replace(signals={})), strict=True):
        np.testing.assert_array_equal(a, b)


def test_levels_are_drawn_by_weight_and_unknown_ones_refused():
    levels = mixture(Countdown((2, 6)))._replace(weights=(0.9, 0.1))
    drawn = jax.vmap(levels.draw)(jax.random.split(jax.random.key(0), 4000))
    assert np.mean(np.asarray(drawn) == 0) == pytest.approx(0.9, abs=0.02)
    with pytest.raises(UserError, match=r"allowed: train|did you mean 'train'"):
        mixture(Countdown(), "tain")


def test_no_entry_of_a_pool_serves_more_than_nine_times():
    environment, size = Cue(), 64
    levels = mixture(environment)
    pool = Pool.filled(jax.random.key(0), size, environment, levels)
    uses, ages = np.zeros(size, int), []

    @jax.jit
    def turn(pool, key):
        asking = jax.random.bernoulli(key, 0.5, (40,))
        lanes = jax.tree.map(lambda x: x[:40], pool.entries)
        dealt, begun = pool.restarted(key, asking, lanes, environment, levels)
        return dealt, begun, asking, dealt.refreshed(key, environment, levels)

    for k in range(200):
        before = int(pool.dealt)
        _, begun, asking, after = turn(pool, jax.random.key(k))
        count = int(asking.sum())
        position = (before + np.arange(count)) % size
        uses[position] += 1
        np.testing.assert_array_equal(np.asarray(begun[2].noise)[np.asarray(asking)], np.asarray(pool.entries[2].noise)[position])
        redrawn = (int(pool.redrawn) + np.arange(int(after.redrawn) - int(pool.redrawn))) % size
        ages += uses[redrawn].tolist()
        uses[redrawn] = 0
        pool = after
    assert max([*ages, *uses.tolist()]) <= 9
    assert len(ages) > 300
    assert jnp.issubdtype(pool.dealt.dtype, jnp.integer)
