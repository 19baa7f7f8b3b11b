"""PsychLab's rules (§2) frame by frame: the first-person screen against a plain Python player of those rules, and each rule alone."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quickly import jit

from unseen.environments.memory_suite import colours, painting, screen
from unseen.environments.memory_suite.change_detection import CELLS, ChangeDetection
from unseen.environments.memory_suite.recognition import ContinuousRecognition
from unseen.environments.memory_suite.screen import ANSWER, FEEDBACK, LOOK, TIMED
from unseen.environments.memory_suite.screen_view import DOWN, LEFT, RIGHT, STAY, UP, FirstPersonScreen, Frame
from unseen.environments.memory_suite.visuomotor import VisuomotorMapping
from unseen.environments.memory_suite.what_then_where import WhatThenWhere
from unseen.errors import UserError

TASKS: tuple[Any, ...] = (VisuomotorMapping(), ContinuousRecognition(), ChangeDetection(), WhatThenWhere())
MOVES = {LEFT: (-6, 0), RIGHT: (6, 0), UP: (0, -6), DOWN: (0, 6), STAY: (0, 0)}
COPIES, STEPS = 8, 1_500


class Blind(FirstPersonScreen):
    """Paints nothing: what is seen is not at issue where thousands of frames are played."""

    def observe(self, state: Any) -> Any:
        return jnp.zeros((self.height, self.width, 3), jnp.uint8)


@lru_cache
def states(task: Any, level: str = "train") -> Any:
    """8 first states; one compiled program for all levels of a task."""
    environment = Blind(task)
    return _reset(environment)(jax.random.split(jax.random.key(0), COPIES), environment.levels[level][0][1])


@lru_cache
def _reset(environment: Any) -> Any:
    return jit(jax.vmap(lambda key, params: environment.reset(key, params)[1], (0, None)))


@lru_cache
def _step(environment: Any) -> Any:
    return jit(environment.step)


def walk(environment: Any, params: Any) -> Any:
    """(before, action, reward, terminated, trial) of 1,500 actions of 8 copies that mostly do what they should."""
    task, kinds = environment.task, np.append(screen.kinds(environment.task), TIMED)

    def wanted(state: Any, key: Any) -> Any:
        """An action towards the middle, or towards a button that changes now and then."""
        k_any, k_whether, k_button = jax.random.split(key, 3)
        kind = jnp.asarray(kinds).at[state.stage].get(mode="clip")
        button = (state.progress.trial + jax.random.bernoulli(k_button, 0.02).astype(jnp.int32)) % len(task.buttons)
        centre = jnp.asarray([((b.left + b.right) // 2, (b.top + b.bottom) // 2) for b in task.buttons], jnp.int32)
        target = jnp.where(kind == ANSWER, centre.at[button].get(mode="clip"), 240)
        dx, dy = target[0] - state.x, target[1] - state.y
        across = jnp.where(dx > 12, RIGHT, jnp.where(dx < -12, LEFT, STAY))
        down = jnp.where(dy > 12, DOWN, jnp.where(dy < -12, UP, STAY))
        usual = jnp.where(across == STAY, down, across)
        return jnp.where(jax.random.bernoulli(k_whether, 0.15), jax.random.randint(k_any, (), 0, 5, jnp.int32), usual)

    @jit
    @jax.vmap
    def run(state: Any, key: Any) -> Any:
        def advance(state: Any, key: Any) -> Any:
            k_act, k_step = jax.random.split(key)
            action = wanted(state, k_act)
            step = environment.step(k_step, state, action, params)
            trial = task.trial(state.drawn, state.progress)
            return step.state, (state._replace(drawn=()), action, step.reward, step.terminated, trial._replace(content=()))

        return jax.lax.scan(advance, state, jax.random.split(key, STEPS))[1]

    return jax.tree.map(np.asarray, run(states(environment.task), jax.random.split(jax.random.key(3), COPIES)))


class Rules:
    """§2 in Python, a frame at a time. `phase` is a stage, or None in the blank between trials."""

    def __init__(self, task: Any, x: int, y: int) -> None:
        self.task, self.x, self.y = task, x, y
        self.phase: int | None = 0
        self.timer = self.off_screen = self.answered = 0
        self.chosen = -1

    def frame(self, move: tuple[int, int], correct: int, frames: list[int]) -> float:
        self.x, self.y = (min(max(at + by, -80), 560) for at, by in zip((self.x, self.y), move, strict=True))
        on_screen = 0 <= self.x < 480 and 0 <= self.y < 480
        self.off_screen = 0 if on_screen else self.off_screen + 1
        if self.phase is None or self.task.stages[self.phase].kind == TIMED:  # timers before gaze
            self.timer -= 1
            if self.timer == 0:
                self.enter(0 if self.phase is None else self.phase + 1, frames)
        if self.phase is None:
            return 0.0
        kind = self.task.stages[self.phase].kind
        over = [k for k, b in enumerate(self.task.buttons) if b.left <= self.x < b.right and b.top <= self.y < b.bottom]
        half = 12 if self.phase == 0 else 20  # the central 0.05; a disc of 21 of 256 pixels
        if kind == LOOK and all(240 - half <= at < 240 + half for at in (self.x, self.y)):
            self.enter(self.phase + 1, frames)
        elif kind == ANSWER and over:
            self.chosen = over[0]
            self.enter(self.phase + 1, frames)
        elif kind == FEEDBACK and self.chosen not in over:
            self.phase, self.timer, self.answered = None, 1, self.answered + 1
            return float(self.chosen == correct)
        return 0.0

    def enter(self, phase: int, frames: list[int]) -> None:
        self.phase, self.timer = phase, frames[phase]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_every_frame_is_that_of_the_rules_in_python(task: Any) -> None:
    environment = Blind(task)
    params = task.scales["train"].params(False)._replace(trials=jnp.int32(12))
    before, action, reward, terminated, trial = walk(environment, params)
    finished, paid, phases = 0, 0.0, set()
    for copy in range(COPIES):
        rules = Rules(task, int(before.x[copy, 0]), int(before.y[copy, 0]))
        for t in range(STEPS):
            stage = int(before.stage[copy, t])
            assert (rules.x, rules.y, rules.off_screen) == tuple(int(n[copy, t]) for n in (before.x, before.y, before.off_screen))
            assert (None if stage == len(task.stages) else stage, int(before.progress.trial[copy, t])) == (rules.phase, rules.answered)
            if rules.phase is not None and task.stages[rules.phase].kind == TIMED:
                assert int(before.timer[copy, t]) == rules.timer
            phases.add(rules.phase)
            expected = 0.0
            for _ in range(4):
                expected += rules.frame(MOVES[int(action[copy, t])], int(trial.correct[copy, t]), trial.frames[copy, t].tolist())
                if over := (rules.answered >= 12 or rules.off_screen > 300):
                    break
            assert float(reward[copy, t]) == expected
            assert bool(terminated[copy, t]) == over
            paid += expected
            if over:
                finished += 1
                break
    assert finished == COPIES
    assert paid > 10
    assert phases >= set(range(len(task.stages)))


# ---- each rule alone ---------------------------------------------------------------------------------------------------


def begun(task: Any, level: str = "train", **changes: int) -> Any:
    environment = Blind(task)
    params, step = environment.levels[level][0][1], _step(environment)
    state = jax.tree.map(lambda leaf: leaf[0], states(task, level))
    state = state._replace(**{name: jnp.int32(value) for name, value in changes.items()})

    def go(state: Any, *actions: int) -> tuple[Any, float, bool]:
        total, ended = 0.0, False
        for action in actions:
            after = step(jax.random.key(0), state, jnp.int32(action), params)
            state, total, ended = after.state, total + float(after.reward), bool(after.terminated)
        return state, total, ended

    return environment, state, go


def test_reward_is_paid_on_leaving_the_button_not_on_entering() -> None:
    _, state, go = begun(ContinuousRecognition(), stage=1, x=60, y=240)  # the first image is new: left
    state, paid, _ = go(state, LEFT)
    assert (int(state.stage), int(state.chosen), paid) == (2, 0, 0.0)
    state, paid, _ = go(state, *[STAY] * 50)
    assert (int(state.stage), int(state.progress.trial), paid) == (2, 0, 0.0)
    state, paid, _ = go(state, RIGHT)
    assert (int(state.progress.trial), paid) == (1, 1.0)
    assert go(state, *[RIGHT] * 3)[1] == 0.0  # once


@pytest.mark.parametrize(("way_out", "pays"), [(UP, 1.0), (DOWN, 1.0), (LEFT, 1.0)])
def test_the_gaze_may_leave_a_button_any_way(way_out: int, pays: float) -> None:
    """Also over the edge of the screen."""
    _, state, go = begun(ContinuousRecognition(), stage=1, x=20, y=240)
    state, paid, _ = go(state, STAY)
    assert (int(state.stage), paid) == (2, 0.0)
    assert go(state, *[way_out] * 12)[1] == pays


def test_the_first_button_touched_decides() -> None:
    """Wrong, then the right one: nothing."""
    _, state, go = begun(ContinuousRecognition(), stage=1, x=420, y=220)  # a row in which no fixation zone lies on the way
    state, paid, _ = go(state, RIGHT)
    assert (int(state.stage), int(state.chosen), paid) == (2, 1, 0.0)
    state, paid, _ = go(state, *[LEFT] * 20)
    assert int(state.x) <= 0
    assert (paid, int(state.progress.trial)) == (0.0, 1)


@pytest.mark.parametrize("at", [228, 240, 251])
def test_one_frame_in_the_central_zone_starts_a_trial(at: int) -> None:
    """The gaze passes through with the first of four frames inside."""
    _, state, go = begun(ContinuousRecognition(), x=at, y=222)
    assert int(go(state, DOWN)[0].stage) == 1
    assert int(go(state._replace(y=jnp.int32(260)), UP)[0].stage) == 1


@pytest.mark.parametrize(("x", "y"), [(227, 240), (252, 240), (240, 227), (240, 252)])
def test_beside_the_central_zone_nothing_starts(x: int, y: int) -> None:
    _, state, go = begun(ContinuousRecognition(), x=x, y=y)
    assert int(go(state, *[STAY] * 5)[0].stage) == 0


def test_the_disc_is_as_large_as_it_looks() -> None:
    """21 of 256 pixels: 20 of 480ths to each side, where the fixation's zone has 12."""
    task = ChangeDetection()
    for x, stage in ((220, 4), (259, 4), (219, 3), (260, 3)):
        _, state, go = begun(task, stage=3, x=x, y=240)
        assert int(go(state, STAY)[0].stage) == stage


def test_timers_come_before_gaze() -> None:
    """Buttons that appear under the gaze are answered in that very frame; a frame earlier there is nothing to touch."""
    task = ChangeDetection()
    for timer, stage in ((4, 6), (5, 4)):
        _, state, go = begun(task, stage=4, x=180, y=440, timer=timer, chosen=7)
        state = go(state, STAY)[0]
        assert (int(state.stage), int(state.chosen)) == (stage, 0 if stage == 6 else 7)


@pytest.mark.parametrize("level", ["train", "holdout_interpolate", "extrapolate"])
@pytest.mark.parametrize("task", [ChangeDetection(), WhatThenWhere()], ids=lambda task: task.name)
def test_timed_stages_last_exactly_their_frames(task: Any, level: str) -> None:
    """Frame by frame from fixation on: study 25, then the delay, and so on, each stage as long as the trial says."""
    environment, state, _ = begun(task, level, x=240, y=240)
    params = environment.levels[level][0][1]
    trial = task.trial(state.drawn, state.progress)
    move, zero = jnp.zeros((2,), jnp.int32), jnp.zeros((), jnp.float32)

    def advance(state: Any, _: Any) -> Any:
        after = environment._next(Frame(state, zero, jnp.asarray(False)), trial, move, params).state
        return after, after.stage

    stages = np.asarray(jit(lambda state: jax.lax.scan(advance, state, length=700)[1])(state))
    lasted = np.bincount(stages, minlength=len(task.stages))
    for k, stage in enumerate(task.stages):
        if stage.kind == TIMED:
            assert lasted[k] == int(trial.frames[k])
    assert (np.diff(stages) >= 0).all()
    assert lasted[0] == 0  # the gaze is there: fixated in the first frame
    assert task.stages[stages[-1]].kind == ANSWER


def test_the_blank_between_trials_lasts_one_frame() -> None:
    _, state, go = begun(ContinuousRecognition(), stage=2, x=47, y=240, chosen=0)
    # Leaves the button in frame 1, blank then; frame 2 brings the cross back.
    state, paid, _ = go(state, RIGHT)
    assert (int(state.stage), paid) == (0, 1.0)
    _, state, go = begun(ContinuousRecognition(), stage=2, x=29, y=240, chosen=0)
    state, paid, _ = go(state, RIGHT)  # leaves in frame 4
    assert (int(state.stage), paid) == (3, 1.0)
    assert int(go(state, STAY)[0].stage) == 0


@pytest.mark.parametrize(("actions", "ended"), [([STAY] * 75, False), ([*[STAY] * 75, RIGHT], False), ([STAY] * 76, True)])
def test_301_frames_off_the_screen_end_the_episode_and_300_do_not(actions: list[int], ended: bool) -> None:
    """75 actions are 300 frames; in frame 301 the gaze is back, or is not."""
    _, state, go = begun(ContinuousRecognition(), x=-6, y=240)
    state, _, over = go(state, *actions)
    assert over is ended
    assert int(state.off_screen) == {75: 300, 76: 301 if ended else 0}[len(actions)]


@pytest.mark.parametrize(
    ("x", "y", "off"), [(-1, 9, True), (0, 0, False), (479, 479, False), (480, 9, True), (9, -1, True), (9, 480, True)]
)
def test_where_the_screen_ends(x: int, y: int, off: bool) -> None:
    _, state, go = begun(VisuomotorMapping(), x=x, y=y)
    assert (int(go(state, STAY)[0].off_screen) > 0) is off


def test_the_last_trial_ends_the_episode() -> None:
    task = ContinuousRecognition()
    _, state, go = begun(task, stage=2, x=40, y=240, chosen=0)
    for answered, ended in ((48, False), (49, True)):
        there = state._replace(progress=state.progress._replace(trial=jnp.int32(answered)))
        after, _, over = go(there, RIGHT, RIGHT)
        assert over is ended
        assert int(after.progress.trial) == answered + 1


def test_an_episode_starts_at_mid_height_anywhere_from_side_to_side() -> None:
    environment = Blind(TASKS[1])
    params = environment.levels["train"][0][1]
    states = jit(jax.vmap(lambda key: environment.reset(key, params)[1]))(jax.random.split(jax.random.key(1), 2_000))
    assert set(np.asarray(states.y).tolist()) == {240}
    x = np.asarray(states.x)
    assert (x.min(), x.max()) == (-80, 560) or (x.min() < -70 and x.max() > 550)
    assert abs(x.mean() - 240) < 5 * 640 / np.sqrt(12 * 2_000)


# ---- the picture -------------------------------------------------------------------------------------------------------

WIDTH, HEIGHT = 320, 240


@lru_cache
def _observe(task: Any) -> Any:
    return jit(FirstPersonScreen(task, width=WIDTH, height=HEIGHT).observe)


def picture(task: Any, **changes: int) -> tuple[Any, np.ndarray, Any]:
    state = jax.tree.map(lambda leaf: leaf[0], states(task))
    state = state._replace(**{name: jnp.int32(value) for name, value in changes.items()})
    canvas = np.asarray(_observe(task)(state))
    layout = painting.Layout.of(WIDTH, HEIGHT)

    def at(x: float, y: float) -> tuple[int, ...]:
        """The colour at a place in 480ths of the screen's side."""
        return tuple(canvas[round(layout.top + y * layout.side / 480), round(layout.left + x * layout.side / 480)].tolist())

    return state, canvas, at


FAR_AWAY = {"x": 560, "y": 0}


def test_feedback_colours() -> None:
    """Right button (100, 255, 100), wrong (255, 100, 100); in visuomotor mapping all four are coloured (§2, §3.1)."""
    task = ContinuousRecognition()  # the first image is new
    _, _, at = picture(task, stage=2, chosen=0, **FAR_AWAY)
    assert (at(24, 240), at(456, 240)) == ((100, 255, 100), (0, 0, 0))
    _, _, at = picture(task, stage=2, chosen=1, **FAR_AWAY)
    assert (at(24, 240), at(456, 240)) == ((0, 0, 0), (255, 100, 100))
    task = VisuomotorMapping()
    places = [((b.left + b.right) / 2, (b.top + b.bottom) / 2) for b in task.buttons]
    for stage, right, wrong in ((1, (100, 200, 100), (200, 100, 100)), (2, (100, 255, 100), (255, 100, 100))):
        state, _, at = picture(task, stage=stage, **FAR_AWAY)
        correct = int(task.trial(state.drawn, state.progress).correct)
        assert [at(*place) for place in places] == [right if k == correct else wrong for k in range(4)]


def test_cross_disc_background_and_nothing_between_trials() -> None:
    _, _, at = picture(VisuomotorMapping(), stage=0, **FAR_AWAY)
    assert at(240, 240) == at(220, 240) == at(240, 260) == (255, 0, 0)  # the cross is 0.1 of the screen: 216 to 264
    assert at(210, 240) == at(270, 240) == at(225, 225) == (255, 255, 255)
    _, canvas, at = picture(VisuomotorMapping(), stage=3, **FAR_AWAY)  # behind the last stage: the blank frame
    layout = painting.Layout.of(WIDTH, HEIGHT)
    assert (canvas[10:, layout.left : layout.left + layout.side - 10] == 255).all()
    for task, background, ink in ((ChangeDetection(), 255, 0), (WhatThenWhere(), 0, 255)):
        disc = next(k for k, stage in enumerate(task.stages) if stage.shows == "disc")
        _, _, at = picture(task, stage=disc, **FAR_AWAY)
        assert at(240, 240) == at(225, 240) == (ink,) * 3
        assert at(215, 240) == at(240, 100) == (background,) * 3


def test_the_gaze_is_drawn_where_it_is_also_beside_the_screen() -> None:
    for x, y in ((100, 100), (-80, 240), (560, 240), (300, -80)):
        _, gazed, _ = picture(ContinuousRecognition(), x=x, y=y)
        _, away, _ = picture(ContinuousRecognition(), **FAR_AWAY)
        layout = painting.Layout.of(WIDTH, HEIGHT)
        row, column = (
            min(max(o + n * layout.side // 480, 0), top) for o, n, top in ((layout.top, y, HEIGHT - 1), (layout.left, x, WIDTH - 1))
        )
        assert gazed[row, column].tolist() == list(painting.CURSOR)
        differs = np.argwhere((gazed != away).any(axis=-1))
        assert len(differs) > 0


def test_symbols_and_digits_stand_where_the_categories_say() -> None:
    """In the study array every cell with a symbol has its colour in the cell's left part or right part, and no other cell has."""
    task = ChangeDetection()
    state, _, at = picture(task, stage=1, **FAR_AWAY)
    drawn = state.drawn
    here = {int(drawn.study.cell[0, k]): k for k in range(int(drawn.count[0]))}
    for cell, (column, row) in enumerate(CELLS):
        rgb = (255, 255, 255) if cell not in here else tuple(colours.RGB[int(drawn.study.colour[0, here[cell]])].tolist())
        # An E's two bars between its notches: the middle of a cell is full in every symbol.
        assert at(90 + 60 * column + 30, 90 + 60 * row + 30) == rgb
    for stage in (0, 2, 3):
        assert picture(task, stage=stage, **FAR_AWAY)[2](120, 240) == (255, 255, 255)
    task = WhatThenWhere()
    lit = lambda canvas, x, y: bool((canvas[..., 0] > 0)[_box(x, y)].any())  # noqa: E731
    _, what, _ = picture(task, stage=1, **FAR_AWAY)
    _, where, _ = picture(task, stage=3, **FAR_AWAY)
    assert [lit(what, *place) for place in ((240, 240), (240, 69), (240, 411), (69, 240), (411, 240))] == [True, False, False, False, False]
    assert [lit(where, *place) for place in ((240, 240), (240, 69), (240, 411), (69, 240), (411, 240))] == [False, True, True, True, True]


def _box(x: int, y: int) -> tuple[slice, slice]:
    layout = painting.Layout.of(WIDTH, HEIGHT)
    half = 40 * layout.side // 480
    row, column = layout.top + y * layout.side // 480, layout.left + x * layout.side // 480
    return slice(row - half, row + half), slice(column - half, column + half)


@pytest.mark.parametrize(("option", "value"), [("width", 47), ("width", 513), ("height", 0), ("height", 1_000)])
def test_pictures_of_other_sizes_are_refused(option: str, value: int) -> None:
    with pytest.raises(UserError, match=f"memory-fp/change-detection: {option}={value} is not allowed; give a whole number from 64 to 512"):
        FirstPersonScreen(TASKS[2], **{option: value})
