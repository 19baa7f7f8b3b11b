"""Arbitrary visuomotor mapping: every image of the episode goes with one of four directions; one pair more after each flawless round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PRNGKeyArray, UInt8

from unseen.environments.memory_suite import images, screen
from unseen.environments.memory_suite.canvas import Canvas, Layout
from unseen.environments.memory_suite.screen import DULL_GREEN, DULL_RED, GREEN, HIDDEN, PLAIN, RED, Scale, ScreenParams, Stage, Trial

SCALES: Mapping[str, Scale] = {  # [LAB]: exact
    "train": Scale(trials=50, time_limit=18_000),
    "interpolate": Scale(trials=40, time_limit=18_000),
    "extrapolate": Scale(trials=75, time_limit=27_000),
}
MOST_TRIALS = 75
MOST_PAIRS = 12  # 1 + 2 + ... + 12 = 78 trials without a fault
ANSWER, FEEDBACK = 1, 2  # stages


class Drawn(NamedTuple):
    """Attributes:

    image: identifier of each pair's image, in the order in which pairs are added.
    direction: its button.
    order: for each round a permutation of all pairs; those not in the round are passed over.
    """

    image: Int[Array, "12"]
    direction: Int[Array, "12"]
    order: UInt8[Array, "75 12"]


class Progress(NamedTuple):
    """Attributes:

    trial: answered trials.
    pairs: how many pairs there are.
    round, place: which round it is, and the place in it.
    flawless: whether all of the round's answers were right so far.
    introduced: whether the youngest pair has been presented.
    """

    trial: Int[Array, ""]
    pairs: Int[Array, ""]
    round: Int[Array, ""]
    place: Int[Array, ""]
    flawless: Bool[Array, ""]
    introduced: Bool[Array, ""]


class Content(NamedTuple):
    pair: Int[Array, ""]
    image: Int[Array, ""]
    first: Bool[Array, ""]  # the pair's first presentation: the answer is shown


@dataclass(frozen=True)
class VisuomotorMapping:
    """An image and four buttons; which button is right must be remembered for every image of the episode.

    The episode starts with one pair. With K pairs a round is K trials in shuffled order; if all were right, a pair is added, otherwise
    the round is repeated in another order. At a pair's first presentation the right button is tinted green; choosing it pays +1 too.

    Source: specification §3.1, exact but for the pictures. The original's trial counter, which is never advanced, is not copied.
    """

    pictures: images.Pictures = images.PROCEDURAL
    name: ClassVar[str] = "arbitrary-visuomotor-mapping"
    stages: ClassVar[tuple[Stage, ...]] = (
        screen.FIXATION,
        Stage("answer", screen.ANSWER, "image"),
        Stage("feedback", screen.FEEDBACK, "image"),
    )
    buttons: ClassVar[tuple[screen.Button, ...]] = screen.COMPASS
    scales: ClassVar[Mapping[str, Scale]] = SCALES
    compact_trials: ClassVar[int | None] = None
    features: ClassVar[tuple[int, ...]] = images.FEATURES
    feature_names: ClassVar[tuple[str, ...]] = images.FEATURE_NAMES
    background: ClassVar[tuple[int, int, int]] = (255, 255, 255)
    button_colour: ClassVar[tuple[int, int, int]] = (0, 0, 0)

    def draw(self, key: PRNGKeyArray, params: ScreenParams) -> Drawn:
        k_image, k_direction, k_order = jax.random.split(key, 3)
        direction = jax.random.randint(k_direction, (MOST_PAIRS,), 0, 4, jnp.int32)
        order = jnp.argsort(jax.random.uniform(k_order, (MOST_TRIALS, MOST_PAIRS)), axis=-1)
        return Drawn(images.different(k_image, MOST_PAIRS, params.holdout), direction, order.astype(jnp.uint8))

    def begin(self, drawn: Drawn) -> Progress:
        zero = jnp.zeros((), jnp.int32)
        return Progress(zero, zero + 1, zero, zero, jnp.asarray(True), jnp.asarray(False))

    def trial(self, drawn: Drawn, progress: Progress) -> Trial:
        order = drawn.order.at[progress.round].get(mode="clip").astype(jnp.int32)
        turn = jnp.cumsum((order < progress.pairs).astype(jnp.int32)) - 1  # of the pairs in this round, in this order
        pair = jnp.sum(jnp.where((turn == progress.place) & (order < progress.pairs), order, 0))
        first = (pair == progress.pairs - 1) & ~progress.introduced
        direction, image = drawn.direction.at[pair].get(mode="clip"), drawn.image.at[pair].get(mode="clip")
        return Trial(direction, jnp.zeros((3,), jnp.int32), Content(pair, image, first))

    def answered(self, drawn: Drawn, progress: Progress, right: Bool[Array, ""]) -> Progress:
        pair = self.trial(drawn, progress).content.pair
        flawless = progress.flawless & right
        over = progress.place + 1 >= progress.pairs
        grows = over & flawless & (progress.pairs < MOST_PAIRS)
        introduced = (progress.introduced | (pair == progress.pairs - 1)) & ~grows
        pairs = progress.pairs + grows.astype(jnp.int32)
        place = jnp.where(over, 0, progress.place + 1)
        return Progress(progress.trial + 1, pairs, progress.round + over.astype(jnp.int32), place, flawless | over, introduced)

    def shown(self, trial: Trial, stage: Int[Array, ""]) -> Int[Array, "4"]:
        return jnp.where(stage >= ANSWER, images.categories(trial.content.image), 0)

    def tints(self, trial: Trial, stage: Int[Array, ""], chosen: Int[Array, ""]) -> Int[Array, "4"]:
        """Feedback colours all four buttons, whichever was chosen."""
        right = jnp.arange(4, dtype=jnp.int32) == trial.correct
        before = jnp.where(trial.content.first, jnp.where(right, DULL_GREEN, DULL_RED), PLAIN)
        tints = jnp.where(stage == FEEDBACK, jnp.where(right, GREEN, RED), before)
        return jnp.where(stage >= ANSWER, tints, HIDDEN).astype(jnp.int32)

    def hidden_spaces(self) -> Mapping[str, gymnasium.Space[Any]]:
        """ "pairs": image and direction (0: not met yet) of every pair."""
        return {"pairs": gymnasium.spaces.MultiDiscrete([*images.FEATURES, 5] * MOST_PAIRS)}

    def hidden(self, drawn: Drawn, progress: Progress, trial: Trial) -> Mapping[str, Array]:
        known = jnp.arange(MOST_PAIRS, dtype=jnp.int32) < progress.pairs - (~progress.introduced).astype(jnp.int32)
        rows = jnp.concatenate([jax.vmap(images.categories)(drawn.image), drawn.direction[:, None] + 1], axis=-1)
        return {"pairs": jnp.where(known[:, None], rows, 0).reshape(-1)}

    def paint(self, canvas: Canvas, trial: Trial, stage: Int[Array, ""], layout: Layout) -> Canvas:
        return self.pictures.paint(canvas, trial.content.image, stage >= ANSWER, layout)
