"""Change detection: 100,000 drawn trials counted in NumPy against the rules of the specification (§3.3), and symbols drawn by hand."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quickly import jit
from scipy import stats

from unseen.environments.memory_suite import colours
from unseen.environments.memory_suite.change_detection import CELLS, DIFFERENT, SAME, SCALES, ChangeDetection, symbol_masks
from unseen.environments.memory_suite.screen import GREEN, HIDDEN, PLAIN, RED

TASK = ChangeDetection()
EPISODES = 2_000
SQUARE = 0
draw = jit(jax.vmap(TASK.draw, (0, None)))


@lru_cache
def trials(scale: str = "train", holdout: bool = False) -> Any:
    """All trials of 2,000 episodes in a row; `holdout` by trial too."""
    episodes = draw(jax.random.split(jax.random.key(7), EPISODES), SCALES[scale].params(holdout))
    by_trial = episodes._replace(holdout=jnp.broadcast_to(episodes.holdout[:, None], episodes.count.shape))
    return jax.tree.map(lambda x: np.asarray(x).reshape(-1, *x.shape[2:]), by_trial)


def shown(drawn: Any) -> np.ndarray:
    """(trials, 4): which objects are there."""
    return np.arange(4) < drawn.count[:, None]


def differences(drawn: Any) -> np.ndarray:
    """(trials, 3): which of the changed object's symbol, colour and cell differ."""
    at = np.maximum(drawn.changed, 0)[:, None]
    pairs = zip(drawn.study, drawn.test, strict=True)
    return np.concatenate([np.take_along_axis(a != b, at, axis=1) for a, b in pairs], axis=1)


# ---- the arrays --------------------------------------------------------------------------------------------------------


def test_exactly_the_nine_cells_of_a_centred_plus_are_in_use() -> None:
    drawn = trials()
    for array in (drawn.study, drawn.test):
        assert set(np.unique(array.cell[shown(drawn)])) == set(range(9))
    middle = 2
    assert {(c, r) for c, r in CELLS} == {(c, r) for c in range(5) for r in range(5) if middle in (c, r)}
    assert len(CELLS) == 9
    first = np.bincount(drawn.study.cell[:, 0], minlength=9)
    assert stats.chisquare(first).pvalue > 1e-4


def test_cells_of_an_array_are_distinct() -> None:
    drawn = trials()
    for array in (drawn.study, drawn.test):
        cells = np.where(shown(drawn), array.cell.astype(int), -1 - np.arange(4))
        assert (np.diff(np.sort(cells, axis=1), axis=1) > 0).all()


def test_set_sizes_and_changes_are_uniform() -> None:
    drawn = trials()
    assert stats.chisquare(np.bincount(drawn.count, minlength=5)[1:]).pvalue > 1e-4
    assert set(np.unique(drawn.count)) == {1, 2, 3, 4}
    total, changed = len(drawn.count), drawn.changed >= 0
    assert abs(int(changed.sum()) - total / 2) < 5 * np.sqrt(total) / 2
    for count in (2, 3, 4):
        which = drawn.changed[changed & (drawn.count == count)]
        assert stats.chisquare(np.bincount(which, minlength=count)).pvalue > 1e-4
        assert which.max() == count - 1


def test_objects_of_a_trial_share_their_domain_and_domains_are_uniform() -> None:
    """Of trials of four: no square and one orientation and so on; how often each is seen says how often each domain was drawn."""
    drawn = trials()
    four = drawn.count == 4
    symbol, colour = drawn.study.symbol[four], drawn.study.colour[four]
    total = len(symbol)
    squares = (symbol == SQUARE).sum(axis=1)
    one_colour, one_symbol = (np.ptp(x, axis=1) == 0 for x in (colour, symbol))
    # Of five domains each 1/5: squares only; E's of one colour; E's of one orientation; E's of any; any of all.
    expected = {
        "all squares": 1 / 5 + 1 / 5 / 16,
        "no square": 3 / 5 + 1 / 5 / 16,
        "both": 1 / 5 * 14 / 16,
        "one colour": 1 / 5 + 4 / 5 / 125,
        "one orientation, no square": 1 / 5 + 2 / 5 / 64 + 1 / 5 / 16 / 64,
    }
    found = {
        "all squares": squares == 4,
        "no square": squares == 0,
        "both": (squares > 0) & (squares < 4),
        "one colour": one_colour,
        "one orientation, no square": one_symbol & (squares == 0),
    }
    for name, probability in expected.items():
        assert stats.binomtest(int(found[name].sum()), total, probability).pvalue > 1e-4, name
    assert set(np.unique(drawn.study.symbol)) == set(range(5))
    assert stats.chisquare(np.bincount(drawn.study.colour[:, 0], minlength=5)).pvalue > 1e-4


# ---- the change --------------------------------------------------------------------------------------------------------


def test_unchanged_arrays_are_the_same() -> None:
    drawn = trials()
    same = drawn.changed < 0
    for study, test in zip(drawn.study, drawn.test, strict=True):
        np.testing.assert_array_equal(study[same], test[same])


def test_exactly_one_object_differs_in_exactly_one_property() -> None:
    drawn = trials()
    changed = drawn.changed >= 0
    differing = np.stack([study != test for study, test in zip(drawn.study, drawn.test, strict=True)], axis=-1)
    differing &= shown(drawn)[:, :, None]
    assert (differing.sum(axis=(1, 2))[changed] == 1).all()
    assert (np.argmax(differing.any(axis=2), axis=1)[changed] == drawn.changed[changed]).all()


def test_a_translation_goes_to_a_cell_not_used_in_the_study_array() -> None:
    drawn = trials()
    moved = (drawn.changed >= 0) & differences(drawn)[:, 2]
    assert moved.sum() > 10_000
    new = np.take_along_axis(drawn.test.cell, np.maximum(drawn.changed, 0)[:, None], axis=1)
    used = (drawn.study.cell == new) & shown(drawn)
    assert not used[moved].any()
    assert stats.chisquare(np.bincount(new[moved, 0], minlength=9)).pvalue > 1e-4


def test_changes_are_the_legal_ones_of_the_domain_each_as_often_as_another() -> None:
    """Single objects betray no domain, so count over trials of four whose domain can be told from the study array."""
    drawn = trials()
    four = (drawn.count == 4) & (drawn.changed >= 0)
    symbol, colour = drawn.study.symbol, drawn.study.colour
    squares = ((symbol == SQUARE) & shown(drawn)).sum(axis=1)
    one_colour, one_symbol = (np.ptp(x, axis=1) == 0 for x in (colour, symbol))
    differs, at = differences(drawn), np.maximum(drawn.changed, 0)
    was, now = (array.symbol[np.arange(len(at)), at] for array in (drawn.study, drawn.test))
    kind = np.select([differs[:, 2], differs[:, 1], (was == SQUARE) != (now == SQUARE)], [3, 0, 2], default=1)  # 1: orientation
    share = lambda where: np.bincount(kind[four & where], minlength=4) / (four & where).sum()  # noqa: E731
    close = lambda found, expected: np.testing.assert_allclose(found, expected, atol=0.035)  # noqa: E731
    mixed = (squares > 0) & (squares < 4)
    # Of these, some are of domain "any of all", where changes are four; their part is computed, not measured.
    rest = 1 / 16
    close(share(mixed & (was != SQUARE)), [1 / 4, 1 / 4, 1 / 4, 1 / 4])
    close(share(mixed & (was == SQUARE)), [1 / 3, 0, 1 / 3, 1 / 3])
    assert share(mixed & (was == SQUARE))[1] == 0.0
    all_of_all = rest / (1 + rest)
    close(share(squares == 4), (1 - all_of_all) * np.array([1 / 2, 0, 0, 1 / 2]) + all_of_all * np.array([1 / 3, 0, 1 / 3, 1 / 3]))
    assert share(squares == 4)[1] == 0.0
    only_e = squares == 0
    close(share(only_e & one_colour & ~one_symbol), [0, 1 / 2, 0, 1 / 2])
    close(share(only_e & one_symbol & ~one_colour), [1 / 2, 0, 0, 1 / 2])
    neither = only_e & ~one_colour & ~one_symbol
    close(share(neither), (1 - all_of_all) * np.array([1 / 3, 1 / 3, 0, 1 / 3]) + all_of_all * np.full(4, 1 / 4))


def test_new_colours_and_orientations_are_uniform_over_the_others() -> None:
    drawn = trials()
    differs, changed = differences(drawn), drawn.changed >= 0
    at = np.maximum(drawn.changed, 0)
    rows = np.arange(len(at))
    for part, kinds in (("colour", 5), ("symbol", 4)):
        was, now = (getattr(array, part)[rows, at].astype(int) for array in (drawn.study, drawn.test))
        which = changed & differs[:, 1 if part == "colour" else 0]
        if part == "symbol":
            turned = which & (was != SQUARE) & (now != SQUARE)
            drawn_as = which & (was == SQUARE) & (now != SQUARE)
            assert stats.chisquare(np.bincount(now[drawn_as] - 1, minlength=4)).pvalue > 1e-4
            which = turned
        shift = (now - was)[which] % kinds
        assert set(np.unique(shift)) == set(range(1, kinds))
        assert stats.chisquare(np.bincount(shift, minlength=kinds)[1:]).pvalue > 1e-4


@pytest.mark.parametrize(
    ("scale", "delays"), [("train", (2, 4, 8, 64, 128)), ("interpolate", (16, 32)), ("extrapolate", (130, 150, 200, 250))]
)
def test_delays_are_uniform_over_the_list(scale: str, delays: tuple[int, ...]) -> None:
    found, counts = np.unique(trials(scale, True).delay, return_counts=True)
    assert tuple(found) == delays
    assert stats.chisquare(counts).pvalue > 1e-4


# ---- what is shown -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("holdout", [False, True])
def test_the_categories_say_what_stands_where(holdout: bool) -> None:
    """Study array, then nothing, then the test array; written in a dictionary here."""
    drawn = draw(jax.random.split(jax.random.key(3), EPISODES), SCALES["train"].params(holdout))
    for e in range(3):
        episode = jax.tree.map(lambda x, e=e: x[e], drawn)
        for t in (0, 1, 49):
            trial = TASK.trial(episode, TASK.begin(episode)._replace(trial=jnp.int32(t)))
            assert int(trial.correct) == (DIFFERENT if int(episode.changed[t]) >= 0 else SAME)
            assert trial.frames.tolist() == [0, 25, int(episode.delay[t]), 0, 8, 0, 0]
            for stage, name in ((0, None), (1, "study"), (2, None), (3, None), (4, "test"), (5, "test"), (6, "test")):
                shown = np.asarray(TASK.shown(trial, jnp.int32(stage))).reshape(9, 4)
                expected = np.zeros((9, 4), int)
                if name is not None:
                    array = getattr(episode, name)
                    for k in range(int(episode.count[t])):
                        rgb = colours.AMOUNTS[int(array.colour[t, k]) + 5 * holdout]
                        expected[int(array.cell[t, k])] = [int(array.symbol[t, k]) + 1, *(rgb + 1)]
                np.testing.assert_array_equal(shown, expected)
            told = TASK.hidden(episode, TASK.begin(episode), trial)
            np.testing.assert_array_equal(told["study"], TASK.shown(trial, jnp.int32(1)))
            k = int(episode.changed[t])
            assert int(told["changed_cell"]) == (0 if k < 0 else int(episode.study.cell[t, k]) + 1)


def test_colours_held_out_are_other_colours_made_of_familiar_amounts() -> None:
    amounts = [tuple(row) for row in colours.AMOUNTS.tolist()]
    assert len(set(amounts)) == 10
    for channel in range(3):
        assert {row[channel] for row in amounts[5:]} <= {row[channel] for row in amounts[:5]}


def test_buttons() -> None:
    different, same = TASK.buttons
    assert (different.name, same.name) == ("different", "same")
    assert (different.left, different.right, same.left, same.right) == (168, 216, 264, 312)  # x 0.35-0.45 and 0.55-0.65 of 480
    assert {(b.top, b.bottom) for b in TASK.buttons} == {(432, 480)}
    drawn = draw(jax.random.split(jax.random.key(3), EPISODES), SCALES["train"].params(False))
    episode = jax.tree.map(lambda x: x[0], drawn)
    trial = TASK.trial(episode, TASK.begin(episode))
    right = int(trial.correct)
    for chosen in (0, 1):
        looks = [TASK.tints(trial, jnp.int32(stage), jnp.int32(chosen)).tolist() for stage in range(7)]
        assert looks[:5] == [[HIDDEN] * 2] * 5
        assert looks[5] == [PLAIN] * 2
        assert looks[6][chosen] == (GREEN if chosen == right else RED)
        assert looks[6][1 - chosen] == PLAIN


HANDS = {  # 5 by 5 parts of a side: a square, then an E that opens to the left, right, up and down
    0: ("#####", "#####", "#####", "#####", "#####"),
    1: ("#####", "...##", "#####", "...##", "#####"),
    2: ("#####", "##...", "#####", "##...", "#####"),
    3: ("#.#.#", "#.#.#", "#.#.#", "#####", "#####"),
    4: ("#####", "#####", "#.#.#", "#.#.#", "#.#.#"),
}


def test_symbols_are_those_drawn_by_hand() -> None:
    """On a screen of 160 pixels a cell is 20 wide, its fifths 4; the array's first column begins 30 pixels from the left."""
    masks = symbol_masks(160)
    for cell, (column, row) in enumerate(CELLS):
        for symbol, hand in HANDS.items():
            expected = np.zeros((160, 160), bool)
            drawn = np.array([[part == "#" for part in line] for line in hand]).repeat(4, axis=0).repeat(4, axis=1)
            expected[30 + 20 * row : 50 + 20 * row, 30 + 20 * column : 50 + 20 * column] = drawn
            np.testing.assert_array_equal(masks[cell, symbol], expected)


def test_on_the_original_screen_a_symbol_has_32_pixels_and_the_array_starts_at_48() -> None:
    masks = symbol_masks(256)
    for cell, (column, row) in enumerate(CELLS):
        rows, columns = (np.flatnonzero(masks[cell, SQUARE].any(axis=axis)) for axis in (1, 0))
        assert (rows[0], rows[-1], columns[0], columns[-1]) == (48 + 32 * row, 79 + 32 * row, 48 + 32 * column, 79 + 32 * column)
    # An E to the right: notches of a fifth (6 and 7 pixels), from 40 % (13 pixels) to the open edge.
    cell = masks[CELLS.index((2, 0)), 2][48:80, 112:144]
    assert [int(n) for n in (~cell).sum(axis=0)] == [0] * 13 + [14] * 19
