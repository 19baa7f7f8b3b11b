"""The compact screen against turns played in plain Python: what ends a stage, what an answer is, when its reward is paid."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quickly import jit

from unseen.environments import make
from unseen.environments.memory_suite import clock, screen
from unseen.environments.memory_suite.screen import ANSWER, FEEDBACK, LOOK, TIMED

TASKS = ("arbitrary-visuomotor-mapping", "continuous-recognition", "change-detection", "what-then-where")
EACH = 4  # copies of each level


@lru_cache
def player(task: str) -> Any:
    """A compiled player: looks at the middle and answers right; with `whim` it answers at random, and one action in so many is any."""
    environment = make(f"memory/{task}")
    logic, kinds = environment.task, jnp.asarray(screen.kinds(environment.task))
    buttons, steps = len(logic.buttons), max(environment.horizon(params) for params in places(environment))

    def run(key: Any, params: Any, whim: Any) -> Any:
        k_reset, k_steps = jax.random.split(key)

        def advance(state: Any, key: Any) -> Any:
            k_any, k_whether, k_button = jax.random.split(key, 3)
            trial = logic.trial(state.drawn, state.progress)
            button = jnp.where(whim > 0, jax.random.randint(k_button, (), 0, buttons, jnp.int32), trial.correct)
            usual = jnp.where(kinds.at[state.stage].get(mode="clip") == ANSWER, 1 + button, 0)
            any_ = jax.random.randint(k_any, (), 0, buttons + 1, jnp.int32)
            action = jnp.where(jax.random.uniform(k_whether) < whim, any_, usual)
            step = environment.step(key, state, action, params)
            shown = logic.shown(trial, state.stage)
            kept = state._replace(drawn=environment.observe(state)), shown, action, step._replace(state=()), trial._replace(content=())
            return step.state, kept

        return jax.lax.scan(advance, environment.reset(k_reset, params)[1], jax.random.split(k_steps, steps))[1]

    return jit(jax.vmap(run, (0, 0, None)))


def places(environment: Any) -> list[Any]:
    return [params for mixture in environment.levels.values() for _, params in mixture]


@lru_cache
def record(task: str, whim: float) -> Any:
    """(params, before, shown, action, step, trial) of copies of every level until the longest time limit."""
    at = places(make(f"memory/{task}"))
    params = jax.tree.map(lambda *leaves: jnp.repeat(jnp.stack(leaves), EACH, axis=0), *at)
    keys = jax.random.split(jax.random.key(0), EACH * len(at))
    return jax.tree.map(np.asarray, (params, *player(task)(keys, params, jnp.float32(whim))))


@pytest.mark.parametrize("task", TASKS)
def test_every_step_is_that_of_the_rules_in_python(task: str) -> None:
    params, before, _, action, step, trial = record(task, 0.25)
    stages = make(f"memory/{task}").task.stages
    seen = set()
    for copy in range(len(action)):
        stage, elapsed, chosen, answered, over, t = 0, 0, 0, 0, False, 0
        while not over and t < 500:
            assert (int(before.stage[copy, t]), int(before.progress.trial[copy, t])) == (stage, answered)
            kind, act = stages[stage].kind, int(action[copy, t])
            elapsed, reward = elapsed + 1, 0.0
            if (kind == LOOK and act == 0) or (kind == TIMED and elapsed == math.ceil(int(trial.frames[copy, t, stage]) / 8)):
                stage, elapsed = stage + 1, 0
            elif kind == ANSWER and act > 0:
                chosen, stage, elapsed = act - 1, stage + 1, 0
            elif kind == FEEDBACK and act != chosen + 1:
                reward = float(chosen == int(trial.correct[copy, t]))
                stage, elapsed, answered = 0, 0, answered + 1
            over = answered >= int(params.trials[copy])
            assert float(step.reward[copy, t]) == reward
            assert bool(step.terminated[copy, t]) == over
            seen.add((stages[stage].name, reward))
            t += 1
    assert {name for name, _ in seen} == {stage.name for stage in stages}
    assert (stages[0].name, 1.0) in seen


@pytest.mark.parametrize("task", TASKS)
def test_the_observation_says_what_the_task_shows(task: str) -> None:
    """Kind of screen, looks of the buttons, categories; feedback on the button being looked at."""
    _, before, shown, _, _, trial = record(task, 0.25)
    logic = make(f"memory/{task}").task
    names, count = screen.looks(logic), len(logic.buttons)
    for stage, named in enumerate(logic.stages):
        here = (before.stage == stage) & (np.arange(before.stage.shape[1]) < 400)
        observation = before.drawn[here]
        assert len(observation) > 50
        assert {names[k] for k in np.unique(observation[:, 0])} == {named.shows}
        buttons = observation[:, 1 : 1 + count]
        assert ((buttons != screen.HIDDEN) == (named.kind in (ANSWER, FEEDBACK))).all()
        np.testing.assert_array_equal(observation[:, 1 + count :], shown[here])
        if named.kind == FEEDBACK:
            chosen, correct = before.chosen[here], trial.correct[here]
            tint = np.take_along_axis(buttons, chosen[:, None], axis=1)[:, 0]
            np.testing.assert_array_equal(tint, np.where(chosen == correct, screen.GREEN, screen.RED))
            assert set(np.unique(tint)) == {screen.GREEN, screen.RED}


@pytest.mark.parametrize("task", TASKS)
def test_who_knows_the_answers_reaches_the_ceiling_in_time_on_every_level(task: str) -> None:
    """Look, wait, answer, leave; every trial pays 1 and the last one ends the episode before the time limit does."""
    params, _, _, _, step, _ = record(task, 0.0)
    ends = np.argmax(step.terminated, axis=1)
    for copy, end in enumerate(ends):
        assert step.terminated[copy, end]
        assert step.reward[copy, : end + 1].sum() == params.trials[copy]
        assert end + 1 <= -(-int(params.time_limit[copy]) // clock.COMPACT_FRAMES)


def test_stages_that_look_alike_share_an_entry() -> None:
    """Nothing is announced that cannot be seen: the two blanks of what-then-where, an array before and after the buttons appear."""
    expected = {
        "arbitrary-visuomotor-mapping": ("fixation cross", "image"),
        "continuous-recognition": ("fixation cross", "image"),
        "change-detection": ("fixation cross", "symbols", "blank", "disc"),
        "what-then-where": ("fixation cross", "one digit", "blank", "four digits", "disc", "buttons"),
    }
    for task, looks in expected.items():
        environment = make(f"memory/{task}")
        assert screen.looks(environment.task) == looks
        assert environment.observation_space().nvec[0] == len(looks)
        assert [looks[k] for k in screen.look_of(environment.task)] == [stage.shows for stage in environment.task.stages]


def test_frames_are_rounded_up_to_turns_of_eight() -> None:
    frames = {0: 1, 1: 1, 2: 1, 8: 1, 9: 2, 16: 2, 25: 4, 64: 8, 130: 17, 250: 32}
    assert clock.compact_steps(jnp.asarray(list(frames), jnp.int32)).tolist() == list(frames.values())
