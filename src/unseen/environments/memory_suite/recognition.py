"""Continuous recognition: has this image been shown before in the episode? Left button: new; right button: old."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PRNGKeyArray

from unseen.environments.memory_suite import images, screen
from unseen.environments.memory_suite.canvas import Canvas, Layout
from unseen.environments.memory_suite.screen import Button, Scale, ScreenParams, Stage, Trial

SCALES: Mapping[str, Scale] = {  # [LAB]: exact
    "train": Scale(trials=50, time_limit=18_000),
    "interpolate": Scale(trials=40, time_limit=18_000),
    "extrapolate": Scale(trials=75, time_limit=27_000),
}
MOST_TRIALS = 75
NEW, OLD = 0, 1  # buttons
ANSWER, FEEDBACK = 1, 2  # stages


class Drawn(NamedTuple):
    """Attributes:

    image: identifier of the image of each trial.
    old: whether it has been shown before.
    """

    image: Int[Array, "75"]
    old: Bool[Array, "75"]


class Progress(NamedTuple):
    trial: Int[Array, ""]


class Content(NamedTuple):
    image: Int[Array, ""]


@dataclass(frozen=True)
class ContinuousRecognition:
    """One image a trial and two buttons. The first is new; later ones with probability 1/2, else uniform over all shown so far.

    Source: specification §3.2, exact but for the pictures.
    """

    pictures: images.Pictures = images.PROCEDURAL
    name: ClassVar[str] = "continuous-recognition"
    stages: ClassVar[tuple[Stage, ...]] = (
        screen.FIXATION,
        Stage("answer", screen.ANSWER, "image"),
        Stage("feedback", screen.FEEDBACK, "image"),
    )
    buttons: ClassVar[tuple[Button, ...]] = (Button("new", 0, 216, 48, 264), Button("old", 432, 216, 480, 264))
    scales: ClassVar[Mapping[str, Scale]] = SCALES
    compact_trials: ClassVar[int | None] = None
    features: ClassVar[tuple[int, ...]] = images.FEATURES
    feature_names: ClassVar[tuple[str, ...]] = images.FEATURE_NAMES
    background: ClassVar[tuple[int, int, int]] = (255, 255, 255)
    button_colour: ClassVar[tuple[int, int, int]] = (0, 0, 0)

    def draw(self, key: PRNGKeyArray, params: ScreenParams) -> Drawn:
        k_image, k_new, k_old = jax.random.split(key, 3)
        new = jax.random.bernoulli(k_new, 0.5, (MOST_TRIALS,)).at[0].set(True)
        met = jnp.cumsum(new.astype(jnp.int32))  # distinct images shown up to and including each trial
        again = jnp.floor(jax.random.uniform(k_old, (MOST_TRIALS,)) * met.astype(jnp.float32)).astype(jnp.int32)
        which = jnp.where(new, met - 1, jnp.minimum(again, met - 1))
        return Drawn(images.different(k_image, MOST_TRIALS, params.holdout)[which], ~new)

    def begin(self, drawn: Drawn) -> Progress:
        return Progress(jnp.zeros((), jnp.int32))

    def trial(self, drawn: Drawn, progress: Progress) -> Trial:
        old, image = drawn.old.at[progress.trial].get(mode="clip"), drawn.image.at[progress.trial].get(mode="clip")
        return Trial(jnp.where(old, OLD, NEW).astype(jnp.int32), jnp.zeros((3,), jnp.int32), Content(image))

    def answered(self, drawn: Drawn, progress: Progress, right: Bool[Array, ""]) -> Progress:
        return Progress(progress.trial + 1)

    def shown(self, trial: Trial, stage: Int[Array, ""]) -> Int[Array, "4"]:
        return jnp.where(stage >= ANSWER, images.categories(trial.content.image), 0)

    def tints(self, trial: Trial, stage: Int[Array, ""], chosen: Int[Array, ""]) -> Int[Array, "2"]:
        return screen.usual_tints(trial, stage == ANSWER, stage == FEEDBACK, chosen, 2)

    def hidden_spaces(self) -> Mapping[str, gymnasium.Space[Any]]:
        """ "old": whether the trial's image has been shown before in the episode."""
        return {"old": gymnasium.spaces.Discrete(2)}

    def hidden(self, drawn: Drawn, progress: Progress, trial: Trial) -> Mapping[str, Array]:
        return {"old": trial.correct}

    def paint(self, canvas: Canvas, trial: Trial, stage: Int[Array, ""], layout: Layout) -> Canvas:
        return self.pictures.paint(canvas, trial.content.image, stage >= ANSWER, layout)
