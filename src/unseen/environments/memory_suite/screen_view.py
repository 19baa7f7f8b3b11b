"""The first-person embodiment of a screen task: a picture of the screen with the gaze on it, sixty frames a second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, PRNGKeyArray, UInt8

from unseen.environments import options
from unseen.environments.contract import Params, References, Step
from unseen.environments.memory_suite import clock, levels, painting, scores, screen
from unseen.environments.memory_suite.canvas import Layout, unpacked
from unseen.environments.memory_suite.compact_screen import observation_sizes, screen_signal_spaces, screen_signals
from unseen.environments.memory_suite.screen import ANSWER, FEEDBACK, LOOK, TIMED, UNIT, ScreenParams, ScreenTask, Trial

SPEED = 6  # 480ths of the screen's side the gaze moves in a frame: 0.75 screens a second
SMALLEST = 64  # pixels of a side; the digits of what-then-where need that many
GAZE = 1  # folded into the key of an episode for where the gaze starts
BEYOND = 80  # how far off the screen the gaze can go, in 480ths
LEFT, RIGHT, UP, DOWN, STAY = range(5)
MOVES = np.asarray([(-1, 0), (1, 0), (0, -1), (0, 1), (0, 0)], np.int32)


class GazeState(NamedTuple):
    """Attributes:

    drawn: everything random of the episode.
    progress: how far it has come, as the task keeps it.
    stage: index of the part of the trial; one behind the last is the blank frame between trials.
    timer: frames left of it, where the clock ends it.
    chosen: the button being looked at while feedback is shown.
    x, y: the gaze, in 480ths of the screen's side, y downwards.
    off_screen: consecutive frames with the gaze beside the screen.
    """

    drawn: Any
    progress: Any
    stage: Int[Array, ""]
    timer: Int[Array, ""]
    chosen: Int[Array, ""]
    x: Int[Array, ""]
    y: Int[Array, ""]
    off_screen: Int[Array, ""]


class Frame(NamedTuple):
    state: GazeState
    reward: Array
    ended: Bool[Array, ""]


@dataclass(frozen=True)
class FirstPersonScreen:
    """A PsychLab task as it is played: a screen to look at, buttons that answer when looked at, 60 frames a second.

    Actions, each for 4 frames: 0 look left, 1 right, 2 up, 3 down, 4 keep still; the gaze moves 0.75 of the screen's side a second.
    The fixation cross starts a trial once the gaze is in its middle for a frame; the first button the gaze enters is the answer,
    and its reward is paid when the gaze leaves it; more than 300 consecutive frames off the screen end the episode.

    Observation: RGB bytes, the whole screen with the gaze drawn on it as a small cross.

    Signals: as in the compact embodiment, and "gaze" (x and y in 20ths of the screen's side, from a sixth beside it).

    Args:
        task: what is asked.
        width, height: of the picture in pixels; 96 by 72, or 64 by 64.

    Source: specification of the memory suite, §2 (exact but for the gaze: the five actions, their speed and the view of the
    whole screen are proposed).
    """

    task: ScreenTask
    width: int = 96
    height: int = 72
    frames_per_second = clock.FRAMES_PER_SECOND // clock.ACTION_REPEAT
    reset_pool = levels.RESET_POOL
    idle_action = STAY

    def __post_init__(self) -> None:
        options.require_integer(self.name, "width", self.width, SMALLEST, 512)
        options.require_integer(self.name, "height", self.height, SMALLEST, 512)

    @property
    def name(self) -> str:
        return f"memory-fp/{self.task.name}"

    @property
    def action_names(self) -> tuple[str, ...]:
        return "look left", "look right", "look up", "look down", "keep still"

    @cached_property
    def levels(self) -> Mapping[str, tuple[tuple[float, Params], ...]]:
        return levels.mixtures(levels.ONE_SCALE, lambda holdout, scale: self.task.scales[scale].params(holdout))

    def observation_space(self, params: Params = ()) -> gymnasium.spaces.Box:
        return gymnasium.spaces.Box(0, 255, (self.height, self.width, 3), np.uint8)

    def action_space(self, params: Params = ()) -> gymnasium.spaces.Discrete[Any]:
        return gymnasium.spaces.Discrete(len(MOVES))

    def signal_spaces(self, params: Params = ()) -> Mapping[str, gymnasium.Space[Any]]:
        places = (UNIT + 2 * BEYOND) // (4 * SPEED) + 1
        return {**screen_signal_spaces(self.task, observation_sizes(self.task)), "gaze": gymnasium.spaces.MultiDiscrete([places] * 2)}

    def horizon(self, params: ScreenParams) -> int:
        return screen.horizon(params, clock.ACTION_REPEAT)

    def reset(self, key: PRNGKeyArray, params: ScreenParams) -> tuple[UInt8[Array, "h w 3"], GazeState]:
        """The gaze starts at mid height, anywhere from side to side."""
        drawn, zero = self.task.draw(key, params), jnp.zeros((), jnp.int32)  # from the key itself, as in the compact embodiment
        x = jax.random.randint(jax.random.fold_in(key, GAZE), (), -BEYOND, UNIT + BEYOND + 1, jnp.int32)
        state = GazeState(drawn, self.task.begin(drawn), zero, zero, zero, x, zero + screen.MIDDLE, zero)
        return self.observe(state), state

    def respawn(self, key: PRNGKeyArray, state: GazeState, params: Params = ()) -> tuple[UInt8[Array, "h w 3"], GazeState]:
        """The picture of a state from a pool, which keeps no pictures."""
        return self.observe(state), state

    def step(self, key: PRNGKeyArray, state: GazeState, action: Int[Array, ""], params: ScreenParams) -> Step:
        # A trial that ends within these frames is not followed by the content of the next: its fixation takes longer than that.
        trial = self.task.trial(state.drawn, state.progress)
        move = jnp.asarray(MOVES).at[action].get(mode="clip")
        frame = Frame(state, jnp.zeros((), jnp.float32), jnp.asarray(False))
        for _ in range(clock.ACTION_REPEAT):
            frame = self._next(frame, trial, move, params)
        return Step(self.observe(frame.state), frame.state, frame.reward, frame.ended)

    def action_mask(self, state: GazeState, params: Params = ()) -> None:
        return None

    def signals(self, key: PRNGKeyArray, state: GazeState, params: Params = ()) -> Mapping[str, Array]:
        gaze = (jnp.stack([state.x, state.y]) + BEYOND) // (4 * SPEED)
        return {**screen_signals(self.task, state, self.described(state)), "gaze": gaze}

    def references(self, level: str) -> References:
        """Measured random, memoryless, perfect-memory and oracle players."""
        levels.require_level(self.name, self.levels, level)
        return scores.references(self.name, level)

    def draw(self, state: GazeState, params: Params = ()) -> np.ndarray:
        state = jax.tree.map(jnp.asarray, state)  # a recorded one is of NumPy arrays
        return np.asarray(self.observe(state)).repeat(4, axis=0).repeat(4, axis=1)

    def observe(self, state: GazeState) -> UInt8[Array, "h w 3"]:
        """The picture of a state."""
        layout, task = Layout.of(self.width, self.height), self.task
        trial, stage = task.trial(state.drawn, state.progress), self._visible(state.stage)
        canvas = painting.blank(layout, task.background)
        canvas = task.paint(canvas, trial, stage, layout)
        canvas = painting.cross(canvas, layout, state.stage == 0)
        if any(part.kind == LOOK for part in task.stages[1:]):
            canvas = painting.disc(canvas, layout, task.button_colour, (self._kind(stage) == LOOK) & (stage > 0))
        canvas = painting.buttons(canvas, layout, task, task.tints(trial, stage, state.chosen))
        return unpacked(painting.cursor(canvas, layout, state.x, state.y))

    def described(self, state: GazeState) -> Int[Array, "features"]:
        """What is on the screen in the compact embodiment's categories."""
        trial, stage = self.task.trial(state.drawn, state.progress), self._visible(state.stage)
        look = jnp.asarray(screen.look_of(self.task)).at[stage].get(mode="clip")
        return jnp.concatenate([look[None], self.task.tints(trial, stage, state.chosen), self.task.shown(trial, stage)])

    def _next(self, frame: Frame, trial: Trial, move: Int[Array, "2"], params: ScreenParams) -> Frame:
        """One frame: the gaze moves, timers run, then the gaze takes effect."""
        state, last = frame.state, len(self.task.stages)
        frames = jnp.concatenate([trial.frames, jnp.ones((1,), jnp.int32)])
        x, y = (jnp.clip(at + SPEED * by, -BEYOND, UNIT + BEYOND) for at, by in ((state.x, move[0]), (state.y, move[1])))
        off = (x < 0) | (x >= UNIT) | (y < 0) | (y >= UNIT)
        off_screen = jnp.where(off, state.off_screen + 1, 0)

        timed = self._kind(state.stage) == TIMED
        rings = timed & (state.timer <= 1)
        stage = jnp.where(rings, jnp.where(state.stage == last, 0, state.stage + 1), state.stage)
        timer = jnp.where(rings, frames.at[stage].get(mode="clip"), jnp.where(timed, state.timer - 1, state.timer))

        kind, over = self._kind(stage), self._button_at(x, y)
        low, high = (jnp.where(stage == 0, a, b) for a, b in zip(screen.FIXATION_ZONE, screen.DISC_ZONE, strict=True))
        looked = (kind == LOOK) & (x >= low) & (x < high) & (y >= low) & (y < high)
        answers, leaves = (kind == ANSWER) & (over >= 0), (kind == FEEDBACK) & (over != state.chosen)
        right = state.chosen == trial.correct
        progress = screen.either(leaves, self.task.answered(state.drawn, state.progress, right), state.progress)
        entered = jnp.where(leaves, last, stage + (looked | answers).astype(jnp.int32))
        timer = jnp.where(looked | answers | leaves, frames.at[entered].get(mode="clip"), timer)
        chosen = jnp.where(answers, over, state.chosen)
        after = GazeState(state.drawn, progress, entered, timer, chosen, x, y, off_screen)
        ended = (progress.trial >= params.trials) | (off_screen > screen.OFF_SCREEN_FRAMES)
        # What happens in the frames after the last one does not count.
        paid = frame.reward + (leaves & right & ~frame.ended).astype(jnp.float32)
        return Frame(screen.either(frame.ended, state, after), paid, frame.ended | ended)

    def _kind(self, stage: Int[Array, ""]) -> Int[Array, ""]:
        return jnp.asarray(np.append(screen.kinds(self.task), TIMED), jnp.int32).at[stage].get(mode="clip")

    def _visible(self, stage: Int[Array, ""]) -> Int[Array, ""]:
        """The stage to ask the task about: in the blank frame it shows what it shows at fixation, nothing."""
        return jnp.where(stage == len(self.task.stages), 0, stage)

    def _button_at(self, x: Int[Array, ""], y: Int[Array, ""]) -> Int[Array, ""]:
        """Number of the button at a place, -1 for none."""
        at = jnp.asarray(-1, jnp.int32)
        for k, button in enumerate(self.task.buttons):
            inside = (x >= button.left) & (x < button.right) & (y >= button.top) & (y < button.bottom)
            at = jnp.where(inside, jnp.asarray(k, jnp.int32), at)
        return at
