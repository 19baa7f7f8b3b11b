"""Spot the difference: what is drawn for the rooms, and where moving blocks are, against counts and formulas written here (§3.5-3.8)."""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quickly import jit
from scipy import stats

from unseen.environments.memory_suite import chambers
from unseen.environments.memory_suite.chambers import Progress
from unseen.environments.memory_suite.spot_diff import SpotDiff
from unseen.environments.memory_suite.spot_diff_motion import SpotDiffMotion
from unseen.environments.memory_suite.spot_diff_multi import SpotDiffMulti
from unseen.environments.memory_suite.spot_diff_passive import SpotDiffPassive

TASKS = (SpotDiff(), SpotDiffPassive(), SpotDiffMulti(), SpotDiffMotion())
SCALES = ("small", "large", "interpolate", "extrapolate")
COUNTS = {"small": {2}, "large": {5}, "interpolate": {3, 4}, "extrapolate": {6, 7, 8}}  # of the multi-object task
each_task = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)


@lru_cache
def drawn(task: Any, scale: str, holdout: bool = False) -> Any:
    """The trials of 400 episodes in a row."""
    blocks = _program(task)(jax.random.split(jax.random.key(12), 400), task.difficulties[scale].params(holdout))
    trials = jax.tree.map(lambda x: np.asarray(x).reshape(-1, *x.shape[2:]), blocks._replace(holdout=blocks.count))
    return trials._replace(holdout=np.asarray(blocks.holdout))


@lru_cache
def _program(task: Any) -> Any:
    return jit(jax.vmap(lambda key, params: chambers.draw(task, key, params), (0, None)))


@each_task
@pytest.mark.parametrize("scale", SCALES)
def test_how_many_blocks_where(task: Any, scale: str) -> None:
    trials = drawn(task, scale)
    expected = COUNTS[scale] if task.name == "spot-diff-multi" else {2}
    numbers, counts = np.unique(trials.count, return_counts=True)
    assert set(numbers.tolist()) == expected
    assert len(expected) == 1 or stats.chisquare(counts).pvalue > 1e-4
    for k in range(0, len(trials.count), 25):
        places = list(zip(trials.row[k].tolist(), trials.column[k].tolist(), strict=True))
        assert len(set(places)) == len(places)
        assert set(places) <= set(task.spots)
        assert all(not chambers.WALLS[place] for place in places)
    first = np.bincount([task.spots.index(place) for place in zip(trials.row[:, 0].tolist(), trials.column[:, 0].tolist(), strict=True)])
    assert len(first) == len(task.spots)
    assert stats.chisquare(first).pvalue > 1e-4


@each_task
@pytest.mark.parametrize("scale", SCALES)
def test_which_block_differs_is_uniform(task: Any, scale: str) -> None:
    trials = drawn(task, scale)
    for count in np.unique(trials.count):
        altered = np.bincount(trials.altered[trials.count == count], minlength=count)
        assert len(altered) == count
        assert stats.chisquare(altered).pvalue > 1e-4


@each_task
def test_the_new_colour_or_motion_is_another_and_none_betrays_which(task: Any) -> None:
    """Two blocks and the new one are three different kinds; among more blocks only old and new must differ."""
    trials = drawn(task, "small")
    rows = np.arange(len(trials.count))
    kinds, new = (trials.motion, trials.new_motion) if task.moving else (trials.colour, trials.new_colour)
    number = 4 if task.moving else 5
    old = kinds[rows, trials.altered]
    assert (new != old).all()
    assert set(np.unique(kinds)) == set(np.unique(new)) == set(range(number))
    if task.most == 2:
        other = kinds[rows, 1 - trials.altered]
        assert (kinds[:, 0] != kinds[:, 1]).all()
        assert (new != other).all()
    pairs = np.bincount(number * old + new, minlength=number**2).reshape(number, number)
    assert stats.chisquare(pairs[~np.eye(number, dtype=bool)]).pvalue > 1e-4
    # What stands in room 2 is distributed alike at the altered block and at the others: one look at room 2 tells nothing.
    second = np.where(np.arange(task.most) == trials.altered[:, None], new[:, None], kinds)[:, :2]
    table = np.zeros((2, number**2), int)
    np.add.at(table, (trials.altered.astype(int), number * second[:, 0] + second[:, 1]), 1)
    contingency: Any = stats.chi2_contingency(table[:, table.sum(axis=0) > 0])
    assert contingency.pvalue > 1e-4


@each_task
@pytest.mark.parametrize("holdout", [False, True])
def test_rooms_are_mirrored_and_exactly_one_block_differs_in_the_right_property(task: Any, holdout: bool) -> None:
    scale = "large"
    blocks = _program(task)(jax.random.split(jax.random.key(13), 400), task.difficulties[scale].params(holdout))
    zero = jnp.int32(0)

    @jit
    @jax.vmap
    def both(blocks: Any, trial: Any, ticks: Any) -> Any:
        progress = Progress(trial, zero + chambers.OPEN, zero, ticks)
        return [chambers.seen(task, blocks, progress, jnp.asarray(second), 1.0) for second in (False, True)]

    trial, ticks = jnp.arange(400, dtype=jnp.int32) % 32, jnp.arange(400, dtype=jnp.int32) * 7
    first, second = jax.tree.map(np.asarray, both(blocks, trial, ticks))
    number = np.asarray(blocks.count)[np.arange(400), np.asarray(trial)]
    altered = np.asarray(blocks.altered)[np.arange(400), np.asarray(trial)]
    for k in range(400):
        here = np.arange(task.most) < number[k]
        np.testing.assert_array_equal(first.present[k], here)
        np.testing.assert_array_equal(second.present[k], here)
        spot = [np.asarray(part)[k, int(trial[k])].astype(float) for part in (blocks.row, blocks.column)]
        shift = [(seen.row[k] - spot[0], seen.column[k] - column) for seen, column in ((first, spot[1]), (second, 20 - spot[1]))]
        differs_in_colour = (first.colour[k] != second.colour[k]) & here
        still: Any = np.isclose(shift[0], shift[1], atol=1e-5).all(axis=0)
        if task.moving:
            assert not differs_in_colour.any()
            assert still[np.arange(task.most) != altered[k]].all()
            motion = [int(x) for x in (blocks.motion[k, int(trial[k]), altered[k]], blocks.new_motion[k, int(trial[k])])]
            for room, which in enumerate(motion):
                expected = offsets(which + 4 * holdout, int(ticks[k]))
                np.testing.assert_allclose([shift[room][1][altered[k]], shift[room][0][altered[k]]], expected, atol=1e-5)
        else:
            assert np.flatnonzero(differs_in_colour).tolist() == [altered[k]]
            assert np.allclose(shift, 0.0)


def test_no_block_is_there_in_the_pause() -> None:
    task: Any = TASKS[2]
    blocks = jax.tree.map(
        lambda x: x[0], _program(task)(jax.random.split(jax.random.key(14), 400), task.difficulties["large"].params(False))
    )
    zero = jnp.int32(0)
    for second in (False, True):
        seen = chambers.seen(task, blocks, Progress(zero, zero + chambers.PAUSE, zero, zero), jnp.asarray(second), 1.0)
        assert not bool(seen.present.any())


# ---- motion ------------------------------------------------------------------------------------------------------------


def offsets(motion: int, ticks: int) -> tuple[float, float]:
    """East and south, from -1 to 1, of a block with a period of 2 s: four ways to train on, four held out."""
    turn = ticks % 120 / 120
    s, c = np.sin(2 * np.pi * turn), np.cos(2 * np.pi * turn)
    side = lambda t: float(np.clip(8 * abs(t % 1 - 0.5) - 2, -1, 1))  # noqa: E731
    radius = 2 * min(turn, 1 - turn)
    return [
        (0.0, s),  # to the south and back
        (s, 0.0),
        (c, s),  # a circle
        (s, np.sin(4 * np.pi * turn)),  # an eight
        (s, -s),  # diagonals
        (s, s),
        (side(turn), side(turn + 0.25)),  # a square
        (radius * np.cos(4 * np.pi * turn), radius * np.sin(4 * np.pi * turn)),  # a spiral, two turns out and in
    ][motion]


def test_trajectories_are_these_formulas_and_stay_within_a_cell() -> None:
    motion = jnp.arange(8, dtype=jnp.int32)
    east, south = jit(jax.vmap(chambers.offset, (None, 0)))(motion, jnp.arange(240, dtype=jnp.int32))
    path = np.stack([east, south], axis=-1)
    np.testing.assert_allclose(path, [[offsets(k, t) for k in range(8)] for t in range(240)], atol=2e-5)
    assert np.abs(path).max() <= 1.0 + 1e-6
    np.testing.assert_allclose(path[:120], path[120:], atol=1e-6)
    assert np.abs(path).max(axis=(0, 2)).min() > 0.85  # each uses its cell's room
    # None jumps: at most 0.15 cells in a sixtieth of a second.
    assert np.abs(np.diff(path, axis=0)).max() < 0.15


def test_trajectories_differ_also_on_the_grid_of_the_compact_embodiment() -> None:
    """Rounded to cells every 8 frames, any two kinds are apart in at least 4 of the 15 turns of a period, the sets share none."""
    paths = [[tuple(np.rint(offsets(k, 8 * t))) for t in range(15)] for k in range(8)]
    for a, b in combinations(range(8), 2):
        assert sum(x != y for x, y in zip(paths[a], paths[b], strict=True)) >= 4


def test_moving_blocks_never_meet_each_other_or_a_wall() -> None:
    """Spots of the motion task have a free cell all around, which no other spot's block enters."""
    reached = [{(r + i, c + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} for r, c in chambers.WIDE_SPOTS]
    for cells in reached:
        assert not any(chambers.WALLS[cell] for cell in cells)
    for a, b in combinations(reached, 2):
        assert not a & b
