"""Change detection: a few coloured symbols, a blank, the symbols again: are they the same?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, PRNGKeyArray

from unseen.environments.memory_suite import colours, screen
from unseen.environments.memory_suite.canvas import Canvas, Layout, packed, patch, stamped
from unseen.environments.memory_suite.screen import Button, Scale, ScreenParams, Stage, Trial

SCALES: Mapping[str, Scale] = {  # [LAB]: exact
    "train": Scale(trials=50, time_limit=18_000, delays=(2, 4, 8, 64, 128)),
    "interpolate": Scale(trials=50, time_limit=18_000, delays=(16, 32)),
    "extrapolate": Scale(trials=50, time_limit=18_000, delays=(130, 150, 200, 250)),
}
MOST_TRIALS, MOST_OBJECTS = 50, 4
STUDY_FRAMES, BEFORE_BUTTONS_FRAMES = 25, 8
DIFFERENT, SAME = 0, 1  # buttons
FIXATION, STUDY, BLANK, DISC, TEST, ANSWER, FEEDBACK = range(7)  # stages

# Of the five by five candidate cells only a centred plus sign is ever used. Cells: (column, row), both from 0 to 4.
CELLS = ((2, 0), (2, 1), (0, 2), (1, 2), (2, 2), (3, 2), (4, 2), (2, 3), (2, 4))
CELL_SIDE = 60  # 32 of 256 pixels, in 480ths
FIRST_CELL = 90  # 0.1875 of the screen

# Symbols: 0 a filled square, 1 to 4 an E that opens to the left, to the right, upwards, downwards.
SYMBOLS = 5
SQUARE = 0
# Which change is legal in which domain: colour, orientation, kind of symbol (E to square and back); translation always.
E_ALL, E_COLOUR, E_ORIENTATION, SQUARE_COLOUR, ALL = range(5)
COLOUR, ORIENTATION, KIND, TRANSLATION = range(4)
LEGAL = np.asarray(
    [
        [True, True, False, True],
        [True, False, False, True],
        [False, True, False, True],
        [True, False, False, True],
        [True, True, True, True],  # no orientation of a square
    ]
)


class Symbols(NamedTuple):
    """Symbols by object: `colour` is an index in the level's set."""

    symbol: Int[Array, "... 4"]
    colour: Int[Array, "... 4"]
    cell: Int[Array, "... 4"]


class Drawn(NamedTuple):
    """Attributes (by trial):

    count: number of objects; the others are not shown.
    study: the array to remember.
    test: the array shown after the delay.
    changed: which object differs, -1 for none.
    delay: frames of blank screen.
    holdout: whether the colours are the holdout set.
    """

    count: Int[Array, "50"]  # pyright: ignore[reportIncompatibleMethodOverride]
    study: Symbols
    test: Symbols
    changed: Int[Array, "50"]
    delay: Int[Array, "50"]
    holdout: Bool[Array, ""]


class Progress(NamedTuple):
    trial: Int[Array, ""]


class Content(NamedTuple):
    count: Int[Array, ""]  # pyright: ignore[reportIncompatibleMethodOverride]
    study: Symbols
    test: Symbols
    changed: Int[Array, ""]
    holdout: Bool[Array, ""]


@dataclass(frozen=True)
class ChangeDetection:
    """Study array of one to four symbols for 25 frames, a blank, a disc to look at, the test array; 8 frames later two buttons.

    With probability 1/2 one object has changed: its colour, its orientation, its kind or its cell.

    The compact embodiment's clock does not tell delays of 2, 4 and 8 frames apart: all are one step.

    In the compact embodiment a symbol's colour is given as amounts of red, green and blue in three steps, so that colours never
    trained on are made of familiar amounts.

    Source: specification §3.3, exact.
    """

    name: ClassVar[str] = "change-detection"
    stages: ClassVar[tuple[Stage, ...]] = (
        screen.FIXATION,
        Stage("study", screen.TIMED, "symbols"),
        Stage("delay", screen.TIMED, "blank"),
        Stage("disc", screen.LOOK, "disc"),
        Stage("test", screen.TIMED, "symbols"),
        Stage("answer", screen.ANSWER, "symbols"),
        Stage("feedback", screen.FEEDBACK, "symbols"),
    )
    buttons: ClassVar[tuple[Button, ...]] = (Button("different", 168, 432, 216, 480), Button("same", 264, 432, 312, 480))
    scales: ClassVar[Mapping[str, Scale]] = SCALES
    compact_trials: ClassVar[int | None] = 10
    features: ClassVar[tuple[int, ...]] = (SYMBOLS + 1, *(colours.STEPS + 1,) * 3) * len(CELLS)
    feature_names: ClassVar[tuple[str, ...]] = tuple(
        f"{part} {column},{row}" for column, row in CELLS for part in ("symbol", "red", "green", "blue")
    )
    background: ClassVar[tuple[int, int, int]] = (255, 255, 255)
    button_colour: ClassVar[tuple[int, int, int]] = (0, 0, 0)

    def draw(self, key: PRNGKeyArray, params: ScreenParams) -> Drawn:
        k_trials, k_delay = jax.random.split(key)
        count, study, test, changed = jax.vmap(_drawn_trial)(jax.random.split(k_trials, MOST_TRIALS))
        index = jax.random.randint(k_delay, (MOST_TRIALS,), 0, params.delay_count)
        # Two bytes a number: pools keep thousands of these.
        small = jax.tree.map(lambda x: x.astype(jnp.int16), (count, study, test, changed, params.delays[index]))
        count, study, test, changed, delay = small
        return Drawn(count, study, test, changed, delay, params.holdout)

    def begin(self, drawn: Drawn) -> Progress:
        return Progress(jnp.zeros((), jnp.int32))

    def trial(self, drawn: Drawn, progress: Progress) -> Trial:
        one = jax.tree.map(lambda x: x.at[progress.trial].get(mode="clip").astype(jnp.int32), drawn._replace(holdout=drawn.count))
        content = Content(one.count, one.study, one.test, one.changed, drawn.holdout)
        frames = jnp.zeros((len(self.stages),), jnp.int32).at[jnp.asarray([STUDY, BLANK, TEST])]
        lengths = jnp.stack([jnp.int32(STUDY_FRAMES), one.delay, jnp.int32(BEFORE_BUTTONS_FRAMES)])
        return Trial(jnp.where(one.changed >= 0, DIFFERENT, SAME).astype(jnp.int32), frames.set(lengths), content)

    def answered(self, drawn: Drawn, progress: Progress, right: Bool[Array, ""]) -> Progress:
        return Progress(progress.trial + 1)

    def shown(self, trial: Trial, stage: Int[Array, ""]) -> Int[Array, "36"]:
        visible = (stage == STUDY) | (stage >= TEST)
        return jnp.where(visible, _categories(_array_at(trial, stage), trial.content), 0)

    def tints(self, trial: Trial, stage: Int[Array, ""], chosen: Int[Array, ""]) -> Int[Array, "2"]:
        return screen.usual_tints(trial, stage == ANSWER, stage == FEEDBACK, chosen, 2)

    def hidden_spaces(self) -> Mapping[str, gymnasium.Space[Any]]:
        """ "study": the array to remember; "changed_cell": 1 + the cell of the object that will differ, 0 for none."""
        return {"study": gymnasium.spaces.MultiDiscrete(list(self.features)), "changed_cell": gymnasium.spaces.Discrete(len(CELLS) + 1)}

    def hidden(self, drawn: Drawn, progress: Progress, trial: Trial) -> Mapping[str, Array]:
        content = trial.content
        cell = content.study.cell.at[jnp.maximum(content.changed, 0)].get(mode="clip") + 1
        return {"study": _categories(content.study, content), "changed_cell": jnp.where(content.changed >= 0, cell, 0)}

    def paint(self, canvas: Canvas, trial: Trial, stage: Int[Array, ""], layout: Layout) -> Canvas:
        """Cell by cell, since the cells are where they are."""
        array, content = _array_at(trial, stage), trial.content
        present = (jnp.arange(MOST_OBJECTS, dtype=jnp.int32) < content.count) & ((stage == STUDY) | (stage >= TEST))
        rgb = packed(colours.rgb(array.colour, content.holdout))
        for cell, masks in enumerate(symbol_masks(layout.side)):
            rows, columns = np.flatnonzero(masks[SQUARE].any(axis=1)), np.flatnonzero(masks[SQUARE].any(axis=0))
            box = np.ix_(np.arange(SYMBOLS), rows, columns)
            mine = present & (array.cell == cell)
            symbol, colour = jnp.sum(jnp.where(mine, array.symbol, 0)), jnp.sum(jnp.where(mine, rgb, 0))
            covered = jnp.zeros(masks[box].shape[1:], bool)
            for kind, mask in enumerate(masks[box]):
                covered = covered | (jnp.asarray(mask) & (symbol == kind))
            x, y = layout.left + int(columns[0]), layout.top + int(rows[0])
            before = patch(canvas, x, y, len(columns), len(rows))
            canvas = stamped(canvas, jnp.where(covered & jnp.any(mine), colour, before), x, y)
        return canvas


def _drawn_trial(key: PRNGKeyArray) -> tuple[Array, Symbols, Symbols, Array]:
    """Number of objects, study array, test array, and which object differs."""
    keys = jax.random.split(key, 12)
    draw = lambda k, high, shape=(): jax.random.randint(keys[k], shape, 0, high, jnp.int32)  # noqa: E731
    count, domain = draw(0, MOST_OBJECTS) + 1, draw(1, 5)
    many = (MOST_OBJECTS,)
    cells = jax.random.permutation(keys[2], jnp.arange(len(CELLS), dtype=jnp.int32))
    colour = jnp.where(domain == E_ORIENTATION, draw(3, colours.SET), draw(4, colours.SET, many))
    facing = jnp.where(domain == E_COLOUR, draw(5, 4), draw(6, 4, many))
    square = (domain == SQUARE_COLOUR) | ((domain == ALL) & (draw(7, 2, many) == 0))
    study = Symbols(jnp.where(square, SQUARE, facing + 1), colour, cells[:MOST_OBJECTS])

    which = jnp.where(draw(8, 2) == 0, -1, jax.random.randint(keys[9], (), 0, count, jnp.int32))
    at = jnp.maximum(which, 0)
    legal = jnp.asarray(LEGAL)[domain] & ~((jnp.arange(4) == ORIENTATION) & square[at])
    change = jax.random.categorical(keys[10], jnp.where(legal, 0.0, -jnp.inf))
    other_colour, other_facing = jax.random.randint(keys[11], (2,), 1, jnp.asarray([colours.SET, 4], jnp.int32), jnp.int32)
    symbols = jnp.stack([study.symbol[at], (facing[at] + other_facing) % 4 + 1, jnp.where(square[at], facing[at] + 1, SQUARE)])
    symbol = symbols[jnp.asarray([0, 1, 2, 0])[change]]
    new_colour = jnp.where(change == COLOUR, (colour[at] + other_colour) % colours.SET, colour[at])
    new_cell = jnp.where(change == TRANSLATION, cells[count], cells[at])  # cells are in random order: the first not in use
    mine = jnp.arange(MOST_OBJECTS, dtype=jnp.int32) == which
    test = Symbols(*(jnp.where(mine, new, old) for new, old in zip((symbol, new_colour, new_cell), study, strict=True)))
    return count, study, test, which


def _array_at(trial: Trial, stage: Int[Array, ""]) -> Symbols:
    return jax.tree.map(lambda study, test: jnp.where(stage == STUDY, study, test), trial.content.study, trial.content.test)


def _categories(array: Symbols, content: Content) -> Int[Array, "36"]:
    """Symbol and amounts of red, green and blue in each of the nine cells, 0 where there is nothing."""
    amounts = colours.amounts(array.colour, content.holdout)
    rows = jnp.concatenate([array.symbol[:, None], amounts], axis=-1) + 1
    within = jnp.arange(MOST_OBJECTS, dtype=jnp.int32) < content.count
    here = (array.cell[:, None] == jnp.arange(len(CELLS), dtype=jnp.int32)[None, :]) & within[:, None]
    return jnp.sum(jnp.where(here[..., None], rows[:, None, :], 0), axis=0).reshape(-1)


def symbol_masks(side: int) -> np.ndarray:
    """bool (cells, symbols, side, side): where each symbol in each cell covers a screen of `side` pixels."""
    masks = np.zeros((len(CELLS), SYMBOLS, side, side), bool)
    edges = lambda start, parts: [round((start + CELL_SIDE * p) * side / screen.UNIT) for p in parts]  # noqa: E731
    fifths = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    for cell, (column, row) in enumerate(CELLS):
        x, y = edges(FIRST_CELL + CELL_SIDE * column, fifths), edges(FIRST_CELL + CELL_SIDE * row, fifths)
        masks[cell, :, y[0] : y[5], x[0] : x[5]] = True
        for a, b in ((1, 2), (3, 4)):  # two notches, from 40 % of the side to the open edge
            masks[cell, 1, y[a] : y[b], x[0] : x[3]] = False
            masks[cell, 2, y[a] : y[b], x[2] : x[5]] = False
            masks[cell, 3, y[0] : y[3], x[a] : x[b]] = False
            masks[cell, 4, y[2] : y[5], x[a] : x[b]] = False
    return masks
