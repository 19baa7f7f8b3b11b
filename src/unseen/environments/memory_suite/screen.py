"""A PsychLab trial, once for both embodiments: fixate, timed pictures, look at the middle, answer by a button, leave it (§2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, PRNGKeyArray

from unseen.environments.memory_suite import clock
from unseen.environments.memory_suite.canvas import UNIT, Canvas, Layout

LOOK, TIMED, ANSWER, FEEDBACK = range(4)  # what ends a stage: a look at the middle, the clock, a button, leaving that button
HIDDEN, PLAIN, GREEN, RED, DULL_GREEN, DULL_RED = range(6)  # what a button looks like
TINTS = 6
TINT_COLOURS = {GREEN: (100, 255, 100), RED: (255, 100, 100), DULL_GREEN: (100, 200, 100), DULL_RED: (200, 100, 100)}
OFF_SCREEN_FRAMES = 300  # more consecutive frames than this end the episode

# Positions on the screen in 480ths of its side, x to the right and y downwards: all fractions of §2 and §3 are whole numbers.
MIDDLE = UNIT // 2
FIXATION_ZONE = (228, 252)  # the central 0.05
DISC_ZONE = (220, 260)  # 21 of 256 pixels


@dataclass(frozen=True)
class Stage:
    """A part of a trial: its name, what ends it, and what is seen (stages that look alike are one to the agent)."""

    name: str
    kind: int
    shows: str


FIXATION = Stage("fixation", LOOK, "fixation cross")


@dataclass(frozen=True)
class Button:
    """A rectangle to look at.

    Attributes:
        name: what the task calls it.
        left, top, right, bottom: its edges in 480ths of the screen's side.
        look: what looking at it is called for people; "" for the name.
    """

    name: str
    left: int
    top: int
    right: int
    bottom: int
    look: str = ""


# "East" is on the left edge and "west" on the right: the original's names.
COMPASS = (
    Button("north", 216, 0, 264, 48, "look up"),
    Button("south", 216, 432, 264, 480, "look down"),
    Button("east", 0, 216, 48, 264, "look left"),
    Button("west", 432, 216, 480, 264, "look right"),
)


class ScreenParams(NamedTuple):
    """A level of a screen task.

    Attributes:
        holdout: whether the holdout stimuli are shown.
        trials: trials that end the episode.
        time_limit: frames after which it is cut.
        delays: possible delays in frames, padded; `delay_count` of them count.
    """

    holdout: Bool[Array, ""]
    trials: Int[Array, ""]
    time_limit: Int[Array, ""]
    delays: Int[Array, "5"]
    delay_count: Int[Array, ""]


@dataclass(frozen=True)
class Scale:
    """A row of a task's level table."""

    trials: int
    time_limit: int  # frames
    delays: tuple[int, ...] = ()  # frames

    def params(self, holdout: bool) -> ScreenParams:
        padded = (self.delays + (0,) * 5)[:5]
        numbers = (jnp.asarray(x, jnp.int32) for x in (self.trials, self.time_limit, np.asarray(padded), len(self.delays)))
        return ScreenParams(jnp.asarray(holdout), *numbers)


class Trial(NamedTuple):
    """One trial.

    Attributes:
        correct: number of the right button, from 0.
        frames: how long each stage lasts, for those that the clock ends.
        content: what the task shows, as the task keeps it.
    """

    correct: Int[Array, ""]
    frames: Int[Array, "stages"]
    content: Any


@runtime_checkable
class ScreenTask(Protocol):
    """What a PsychLab task decides; clock, gaze and buttons are the embodiments' business.

    Attributes:
        name: as in `memory/NAME`.
        stages: the parts of a trial; the first is `FIXATION`, the last two are of kind `ANSWER` and `FEEDBACK`.
        buttons: where the answers are.
        scales: the level table, by name of scale.
        compact_trials: trials an episode in the compact embodiment, None for the level table's.
        features: sizes of the categories that say what is on the screen; category 0 is "nothing".
        background: colour of the screen, and `button_colour` that of a button without a tint.
    """

    name: str
    stages: tuple[Stage, ...]
    buttons: tuple[Button, ...]
    scales: Mapping[str, Scale]
    compact_trials: int | None
    features: tuple[int, ...]
    feature_names: tuple[str, ...]
    background: tuple[int, int, int]
    button_colour: tuple[int, int, int]

    def draw(self, key: PRNGKeyArray, params: ScreenParams) -> Any:
        """Everything random of an episode."""
        ...

    def begin(self, drawn: Any) -> Any:
        """How far the episode has come: a NamedTuple with the number of answered trials as `.trial`."""
        ...

    def trial(self, drawn: Any, progress: Any) -> Trial:
        """The trial that comes next or is going on."""
        ...

    def answered(self, drawn: Any, progress: Any, right: Bool[Array, ""]) -> Any:
        """Progress after an answer."""
        ...

    def shown(self, trial: Trial, stage: Int[Array, ""]) -> Int[Array, "features"]:
        """What is on the screen besides cross, disc and buttons, in the categories of `features`."""
        ...

    def tints(self, trial: Trial, stage: Int[Array, ""], chosen: Int[Array, ""]) -> Int[Array, "buttons"]:
        """What each button looks like."""
        ...

    def hidden_spaces(self) -> Mapping[str, gymnasium.Space[Any]]:
        """What must be remembered, by name of signal."""
        ...

    def hidden(self, drawn: Any, progress: Any, trial: Trial) -> Mapping[str, Array]: ...

    def paint(self, canvas: Canvas, trial: Trial, stage: Int[Array, ""], layout: Layout) -> Canvas:
        """Paint what `shown` describes on the screen."""
        ...


def looks(task: ScreenTask) -> tuple[str, ...]:
    """What a screen of this task can look like, in the order of the stages: stages that look alike share an entry."""
    return tuple(dict.fromkeys(stage.shows for stage in task.stages))


def look_of(task: ScreenTask) -> np.ndarray:
    """Stage -> index in `looks`."""
    order = looks(task)
    return np.asarray([order.index(stage.shows) for stage in task.stages], np.int32)


def kinds(task: ScreenTask) -> np.ndarray:
    return np.asarray([stage.kind for stage in task.stages], np.int32)


def usual_tints(trial: Trial, answering: Bool[Array, ""], feedback: Bool[Array, ""], chosen: Int[Array, ""], count: int) -> Int[Array, "n"]:
    """Plain buttons while an answer is awaited; then the chosen one green or red."""
    mine = jnp.arange(count, dtype=jnp.int32) == chosen
    coloured = jnp.where(mine, jnp.where(chosen == trial.correct, GREEN, RED), PLAIN)
    return jnp.where(feedback, coloured, jnp.where(answering, PLAIN, HIDDEN)).astype(jnp.int32)


def compact_scale(task: ScreenTask, scale: Scale) -> Scale:
    """The same level on the compact clock: fewer trials where the task says so, and as much less time."""
    trials = task.compact_trials or scale.trials
    return Scale(trials, scale.time_limit * trials // scale.trials, scale.delays)


def horizon(params: ScreenParams, frames_a_step: int) -> int:
    return -(-int(params.time_limit) // frames_a_step)


def steps(trial: Trial) -> Int[Array, "stages"]:
    """How many compact steps each timed stage lasts."""
    return clock.compact_steps(trial.frames)


def either(condition: Bool[Array, ""], new: Any, old: Any) -> Any:
    """`new` where the condition holds, leaf by leaf."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)
