"""The compact embodiment of a screen task: an action says where to look next, the observation says what is on the screen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray

from unseen.environments.contract import Params, References, Step
from unseen.environments.memory_suite import clock, levels, scores, screen
from unseen.environments.memory_suite.screen import ANSWER, FEEDBACK, LOOK, TIMED, ScreenParams, ScreenTask

CENTRE = 0  # the action that looks at the middle; action k looks at button k - 1


class CompactState(NamedTuple):
    """Attributes:

    drawn: everything random of the episode.
    progress: how far it has come, as the task keeps it.
    stage: index of the part of the trial.
    elapsed: steps spent in it.
    chosen: the button being looked at while feedback is shown.
    """

    drawn: Any
    progress: Any
    stage: Int[Array, ""]
    elapsed: Int[Array, ""]
    chosen: Int[Array, ""]


@dataclass(frozen=True)
class CompactScreen:
    """A PsychLab task in turns: one step is 8 frames, delays keep their length on that clock, rounded up.

    Actions: 0 looks at the middle, k at button k. The fixation cross and the disc wait for a look at the middle; the first button
    looked at is the answer, and its reward is paid when the gaze leaves it. The blank frame between trials falls into that step.

    Observation: `MultiDiscrete`: what kind of screen it is, the look of each button (0 hidden, 1 plain, 2 green, 3 red, 4 dull green,
    5 dull red), and the task's categories of what is shown (0: nothing).

    Signals: the task's own, "answer" (the right button, counted from 0: action answer + 1 looks at it) and "state" (all of them, the
    observation and the number of answered trials).

    Source: specification of the memory suite, §1.3, §2 and §3; the compact embodiment itself is proposed there.
    """

    task: ScreenTask
    reset_pool = levels.RESET_POOL

    @property
    def name(self) -> str:
        return f"memory/{self.task.name}"

    @property
    def action_names(self) -> tuple[str, ...]:
        return ("centre", *(button.look or button.name for button in self.task.buttons))

    @cached_property
    def levels(self) -> Mapping[str, tuple[tuple[float, Params], ...]]:
        return levels.mixtures(
            levels.ONE_SCALE, lambda holdout, scale: screen.compact_scale(self.task, self.task.scales[scale]).params(holdout)
        )

    def observation_space(self, params: Params = ()) -> gymnasium.spaces.MultiDiscrete:
        return gymnasium.spaces.MultiDiscrete(self._sizes)

    def action_space(self, params: Params = ()) -> gymnasium.spaces.Discrete[Any]:
        return gymnasium.spaces.Discrete(len(self.action_names))

    def signal_spaces(self, params: Params = ()) -> Mapping[str, gymnasium.Space[Any]]:
        return screen_signal_spaces(self.task, self._sizes)

    def horizon(self, params: ScreenParams) -> int:
        return screen.horizon(params, clock.COMPACT_FRAMES)

    def reset(self, key: PRNGKeyArray, params: ScreenParams) -> tuple[Int[Array, "features"], CompactState]:
        drawn, zero = self.task.draw(key, params), jnp.zeros((), jnp.int32)
        state = CompactState(drawn, self.task.begin(drawn), zero, zero, zero)
        return self.observe(state), state

    def step(self, key: PRNGKeyArray, state: CompactState, action: Int[Array, ""], params: ScreenParams) -> Step:
        trial = self.task.trial(state.drawn, state.progress)
        kind = jnp.asarray(screen.kinds(self.task)).at[state.stage].get(mode="clip")
        time_is_up = state.elapsed + 1 >= screen.steps(trial).at[state.stage].get(mode="clip")
        answers, leaves = (kind == ANSWER) & (action > CENTRE), (kind == FEEDBACK) & (action != state.chosen + 1)
        onward = ((kind == LOOK) & (action == CENTRE)) | ((kind == TIMED) & time_is_up) | answers

        right = state.chosen == trial.correct
        progress = screen.either(leaves, self.task.answered(state.drawn, state.progress, right), state.progress)
        stage = jnp.where(leaves, 0, state.stage + onward.astype(jnp.int32))
        elapsed = jnp.where(onward | leaves, 0, state.elapsed + 1)
        after = CompactState(state.drawn, progress, stage, elapsed, jnp.where(answers, action - 1, state.chosen))
        reward = (leaves & right).astype(jnp.float32)
        return Step(self.observe(after), after, reward, progress.trial >= params.trials)

    def action_mask(self, state: CompactState, params: Params = ()) -> None:
        return None

    def signals(self, key: PRNGKeyArray, state: CompactState, params: Params = ()) -> Mapping[str, Array]:
        return screen_signals(self.task, state, self.observe(state))

    def references(self, level: str) -> References:
        """Measured random, memoryless, perfect-memory and oracle players."""
        levels.require_level(self.name, self.levels, level)
        return scores.references(self.name, level)

    def draw(self, state: CompactState, params: Params = ()) -> np.ndarray:
        state = jax.tree.map(jnp.asarray, state)  # a recorded one is of NumPy arrays
        return self.picture(self.observe(state), params)

    def picture(self, observation: Int[Array | np.ndarray, "features"], params: Params = ()) -> np.ndarray:
        """The observation for people: screen, buttons, and the categories in words."""
        from unseen.environments.memory_suite import cards

        return cards.screen_card(self.task, np.asarray(observation))

    def observe(self, state: CompactState) -> Int[Array, "features"]:
        trial = self.task.trial(state.drawn, state.progress)
        look = jnp.asarray(screen.look_of(self.task)).at[state.stage].get(mode="clip")
        tints = self.task.tints(trial, state.stage, state.chosen)
        return jnp.concatenate([look[None], tints, self.task.shown(trial, state.stage)])

    @property
    def _sizes(self) -> list[int]:
        return observation_sizes(self.task)


def observation_sizes(task: ScreenTask) -> list[int]:
    """How many values each entry of the description of a screen can take."""
    return [len(screen.looks(task)), *(screen.TINTS for _ in task.buttons), *task.features]


def screen_signal_spaces(task: ScreenTask, sizes: list[int]) -> Mapping[str, gymnasium.Space[Any]]:
    """The task's own signals, "answer" and "state"."""
    own = dict(task.hidden_spaces())
    answer = gymnasium.spaces.Discrete(len(task.buttons))
    counts = [int(n) for space in own.values() for n in ([space.n] if isinstance(space, gymnasium.spaces.Discrete) else space.nvec)]  # pyright: ignore[reportAttributeAccessIssue]
    return {**own, "answer": answer, "state": gymnasium.spaces.MultiDiscrete([*sizes, *counts, len(task.buttons), most_trials(task) + 1])}


def screen_signals(task: ScreenTask, state: Any, observation: Int[Array, "features"]) -> Mapping[str, Array]:
    """What `screen_signal_spaces` names, of a state with `drawn` and `progress`."""
    trial = task.trial(state.drawn, state.progress)
    own = dict(task.hidden(state.drawn, state.progress, trial))
    parts = [observation, *(jnp.atleast_1d(value) for value in own.values()), trial.correct[None], state.progress.trial[None]]
    return {**own, "answer": trial.correct, "state": jnp.concatenate([part.astype(jnp.int32) for part in parts])}


def most_trials(task: ScreenTask) -> int:
    return max(scale.trials for scale in task.scales.values())
