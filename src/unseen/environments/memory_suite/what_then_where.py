"""What then where: a digit; after a delay the same digit among three others; after another delay, where did it stand?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PRNGKeyArray

from unseen.environments.memory_suite import digits, screen
from unseen.environments.memory_suite.canvas import Canvas, Layout, packed, placed, stamped
from unseen.environments.memory_suite.screen import Button, Scale, ScreenParams, Stage, Trial

SCALES: Mapping[str, Scale] = {
    "train": Scale(trials=50, time_limit=36_000, delays=(4, 8, 32, 128)),  # [LAB]: exact
    "interpolate": Scale(trials=50, time_limit=36_000, delays=(16, 64)),  # [LAB]: exact
    "extrapolate": Scale(trials=50, time_limit=36_000, delays=(130, 150, 200, 250)),  # not released; proposed
}
MOST_TRIALS = 50
STUDY_FRAMES = 25
FIXATION, WHAT, FIRST_DELAY, WHERE, SECOND_DELAY, DISC, ANSWER, FEEDBACK = range(8)  # stages
# Centres of the four digits, north, south, east (left), west (right), in 480ths: in a square of 0.95 of the screen, each 0.25 of it.
PLACES = ((240, 69), (240, 411), (69, 240), (411, 240))
MIDDLE_SIDE, EDGE_SIDE = 120, 114


class Drawn(NamedTuple):
    """Attributes (by trial):

    digit: the digits at the four places.
    side: the place of the one to remember.
    delay: frames of the two blanks.
    holdout: whether the holdout exemplars are shown.
    """

    digit: Int[Array, "50 4"]
    side: Int[Array, "50"]
    delay: Int[Array, "50 2"]
    holdout: Bool[Array, ""]


class Progress(NamedTuple):
    trial: Int[Array, ""]


class Content(NamedTuple):
    digit: Int[Array, "4"]
    target: Int[Array, ""]
    holdout: Bool[Array, ""]


@dataclass(frozen=True)
class WhatThenWhere:
    """A digit for 25 frames, a blank, four digits for 25 frames, a blank, a disc to look at, four buttons.

    In the compact embodiment a digit is its class, its slant and its width of stroke; holdout exemplars are the same classes with
    other slants and widths. Who reads the class alone meets no new stimulus there: the gap between the sets is one of pictures.

    Source: specification §3.4, exact but for the digits' pictures (drawn strokes unless `mnist` names a copy of MNIST); the
    extrapolate scale was not released and is proposed.
    """

    exemplars: digits.Exemplars = digits.DRAWN
    name: ClassVar[str] = "what-then-where"
    stages: ClassVar[tuple[Stage, ...]] = (
        screen.FIXATION,
        Stage("what", screen.TIMED, "one digit"),
        Stage("first delay", screen.TIMED, "blank"),
        Stage("where", screen.TIMED, "four digits"),
        Stage("second delay", screen.TIMED, "blank"),
        Stage("disc", screen.LOOK, "disc"),
        Stage("answer", screen.ANSWER, "buttons"),
        Stage("feedback", screen.FEEDBACK, "buttons"),
    )
    buttons: ClassVar[tuple[Button, ...]] = screen.COMPASS
    scales: ClassVar[Mapping[str, Scale]] = SCALES
    compact_trials: ClassVar[int | None] = 10
    features: ClassVar[tuple[int, ...]] = digits.FEATURES * 5
    feature_names: ClassVar[tuple[str, ...]] = tuple(
        f"{part} {place}" for place in ("middle", "north", "south", "east", "west") for part in digits.FEATURE_NAMES
    )
    background: ClassVar[tuple[int, int, int]] = (0, 0, 0)
    button_colour: ClassVar[tuple[int, int, int]] = (255, 255, 255)

    def draw(self, key: PRNGKeyArray, params: ScreenParams) -> Drawn:
        k_digit, k_side, k_delay = jax.random.split(key, 3)
        # Five digits in random order, four of them shown: the one at a uniform side is a uniform target, the others are distinct.
        digit = jnp.argsort(jax.random.uniform(k_digit, (MOST_TRIALS, digits.CLASSES)), axis=-1)[:, :4].astype(jnp.int32)
        side = jax.random.randint(k_side, (MOST_TRIALS,), 0, 4, jnp.int32)
        index = jax.random.randint(k_delay, (MOST_TRIALS, 2), 0, params.delay_count)
        # Two bytes a number: pools keep thousands of these.
        small = (x.astype(jnp.int16) for x in (digit, side, params.delays[index]))
        digit, side, delay = small
        return Drawn(digit, side, delay, params.holdout)

    def begin(self, drawn: Drawn) -> Progress:
        return Progress(jnp.zeros((), jnp.int32))

    def trial(self, drawn: Drawn, progress: Progress) -> Trial:
        by_trial = (drawn.digit, drawn.side, drawn.delay)
        digit, side, delay = (x.at[progress.trial].get(mode="clip").astype(jnp.int32) for x in by_trial)
        study = jnp.asarray(STUDY_FRAMES, jnp.int32)
        lengths = jnp.stack([study, delay[0], study, delay[1]])
        frames = jnp.zeros((len(self.stages),), jnp.int32).at[jnp.asarray([WHAT, FIRST_DELAY, WHERE, SECOND_DELAY])].set(lengths)
        return Trial(side, frames, Content(digit, digit.at[side].get(mode="clip"), drawn.holdout))

    def answered(self, drawn: Drawn, progress: Progress, right: Bool[Array, ""]) -> Progress:
        return Progress(progress.trial + 1)

    def shown(self, trial: Trial, stage: Int[Array, ""]) -> Int[Array, "15"]:
        content = trial.content
        described = digits.categories(jnp.concatenate([content.target[None], content.digit]), content.holdout)
        middle = jnp.arange(5, dtype=jnp.int32) == 0
        visible = jnp.where(middle, stage == WHAT, stage == WHERE)
        return jnp.where(visible[:, None], described, 0).reshape(-1)

    def tints(self, trial: Trial, stage: Int[Array, ""], chosen: Int[Array, ""]) -> Int[Array, "4"]:
        return screen.usual_tints(trial, stage == ANSWER, stage == FEEDBACK, chosen, 4)

    def hidden_spaces(self) -> Mapping[str, gymnasium.Space[Any]]:
        """ "target": the digit to remember; "digits": what stands where."""
        return {"target": gymnasium.spaces.Discrete(digits.CLASSES), "digits": gymnasium.spaces.MultiDiscrete([digits.CLASSES] * 4)}

    def hidden(self, drawn: Drawn, progress: Progress, trial: Trial) -> Mapping[str, Array]:
        return {"target": trial.content.target, "digits": trial.content.digit}

    def paint(self, canvas: Canvas, trial: Trial, stage: Int[Array, ""], layout: Layout) -> Canvas:
        content = trial.content
        shown = [(content.target, stage == WHAT, (screen.MIDDLE, screen.MIDDLE), MIDDLE_SIDE)]
        shown += [(content.digit[k], stage == WHERE, PLACES[k], EDGE_SIDE) for k in range(4)]
        for digit, visible, place, unit in shown:
            width = round(unit * layout.side / screen.UNIT)
            grey = jnp.where(visible, self.exemplars.picture(digit, content.holdout, width), jnp.uint8(0))
            canvas = stamped(canvas, packed(jnp.repeat(grey[..., None], 3, axis=-1)), *placed(layout, place, width))
        return canvas
