"""Goal navigation on the grid against plain Python: every move, every visit, and everything that is seen."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quickly import jit

from unseen.environments import make

TASKS = ("visible-goal-with-buildings", "invisible-goal-empty-arena", "explore-goal-locations")  # buildings without a goal: see leaks
FRONT = {0: (-1, 0), 1: (0, 1), 2: (1, 0), 3: (0, -1)}  # north, east, south, west as (down, right)
COPIES, STEPS = 16, 300


@lru_cache
def walk(task: str) -> Any:
    """(lands, observation, pose and visits before, action, step, told) of copies of two levels; half of the moves lead to the goal."""
    environment = make(f"memory/{task}")

    def towards(state: Any, key: Any) -> Any:
        k_any, k_whether, k_axis = jax.random.split(key, 3)
        down, right = state.land.goal[0] - state.row, state.land.goal[1] - state.column
        vertical = (jax.random.bernoulli(k_axis) & (down != 0)) | (right == 0)
        compass = jnp.where(vertical, jnp.where(down > 0, 2, 0), jnp.where(right > 0, 1, 3))
        # A quarter turn to the right is action 3 (right), two are 1 (backward), three are 2 (left).
        usual = jnp.asarray([0, 3, 1, 2], jnp.int32).at[(compass - state.heading) % 4].get(mode="clip")
        return jnp.where(jax.random.bernoulli(k_whether), jax.random.randint(k_any, (), 0, 6, jnp.int32), usual)

    @jit
    @jax.vmap
    def run(key: Any, params: Any) -> Any:
        k_reset, k_steps = jax.random.split(key)
        observation, first = environment.reset(k_reset, params)

        def advance(carry: Any, key: Any) -> Any:
            observation, state = carry
            action = towards(state, key)
            step = environment.step(key, state, action, params)
            pose = (state.row, state.column, state.heading, state.visits)
            told = environment.signals(key, state, params)
            return (step.observation, step.state), (observation, pose, action, step.reward, step.terminated, step.state.land.goal, told)

        return first.land, jax.lax.scan(advance, (observation, first), jax.random.split(k_steps, STEPS))[1]

    levels = [environment.levels[level][0][1] for level in ("train_small", "holdout_interpolate")]
    params = jax.tree.map(lambda *leaves: jnp.repeat(jnp.stack(leaves), COPIES // 2, axis=0), *levels)
    return jax.tree.map(np.asarray, run(jax.random.split(jax.random.key(9), COPIES), params))


@pytest.mark.parametrize("task", TASKS)
def test_every_move_and_every_visit_is_as_in_python(task: str) -> None:
    lands, (_, pose, action, reward, terminated, goal, _) = walk(task)
    visited = 0
    for copy in range(COPIES):
        cells, place, starts = lands.cells[copy], lands.goal[copy], lands.starts[copy].astype(int)
        row, column, heading = starts[0]
        visits = 0
        for t in range(STEPS):
            assert tuple(int(part[copy, t]) for part in pose) == (row, column, heading, visits)
            act = int(action[copy, t])
            if act <= 3:  # forward, backward, left, right
                down, right = FRONT[(heading + (0, 2, 3, 1)[act]) % 4]
                if cells[row + down, column + right] == 0:
                    row, column = row + down, column + right
            else:
                heading = (heading + (-1 if act == 4 else 1)) % 4
            paid = 0.0
            if np.hypot(row - place[0], column - place[1]) <= 1.0:
                visits, paid = visits + 1, 10.0
                row, column, heading = starts[visits % 128]
            assert float(reward[copy, t]) == paid
            assert not terminated[copy, t]
        visited += visits
        assert (goal[copy] == place).all()  # the goal stays for the episode
    assert visited > 2 * COPIES


def blocking(ahead: int, right: int) -> list[tuple[int, int]]:
    """Cells strictly on the line to (ahead, right), halves rounded towards the agent."""
    steps, cells = max(ahead, abs(right)), []
    for k in range(1, steps):
        parts = [Fraction(abs(part) * k, steps) for part in (ahead, right)]
        near = [-(-(2 * part - 1) // 2) for part in parts]  # the nearest whole number, halves downwards
        cells.append((int(near[0]), int(near[1]) * (1 if right >= 0 else -1)))
    return cells


def slow_observation(cells: np.ndarray, goal: tuple[int, int] | None, row: int, column: int, heading: int) -> list[int]:
    """What is documented: heading; steps and look ahead, to the left, to the right; 5 by 5 cells. Looks: 0 hidden, 1 floor, 2 goal."""

    def solid(r: int, c: int) -> bool:
        return not (0 <= r < 29 and 0 <= c < 29) or cells[r, c] > 0

    observed = [heading]
    for turn in (0, 3, 1):
        down, right = FRONT[(heading + turn) % 4]
        steps = 1
        while not solid(row + steps * down, column + steps * right) and (row + steps * down, column + steps * right) != goal:
            steps += 1
        end = row + steps * down, column + steps * right
        observed += [steps, 2 if end == goal else 2 + int(cells[end])]
    front, side = FRONT[heading], FRONT[(heading + 1) % 4]
    place = lambda a, r: (row + a * front[0] + r * side[0], column + a * front[1] + r * side[1])  # noqa: E731
    for ahead in (4, 3, 2, 1, 0):
        for right in (-2, -1, 0, 1, 2):
            r, c = place(ahead, right)
            if not (0 <= r < 29 and 0 <= c < 29) or any(solid(*place(*cell)) for cell in blocking(ahead, right)):
                observed.append(0)
            else:
                observed.append(2 if (r, c) == goal else 2 + int(cells[r, c]) if cells[r, c] else 1)
    return observed


@pytest.mark.parametrize("task", TASKS)
def test_everything_seen_is_as_in_python(task: str) -> None:
    lands, (observation, pose, *_) = walk(task)
    visible = task in ("visible-goal-with-buildings", "explore-goal-locations")
    shown = 0
    for copy in range(COPIES):
        goal = tuple(lands.goal[copy].tolist()) if visible else None
        for t in range(0, STEPS, 3):
            row, column, heading = (int(part[copy, t]) for part in pose[:3])
            expected = slow_observation(lands.cells[copy], goal, row, column, heading)
            assert observation[copy, t].tolist() == expected
            shown += 2 in expected[7:] or 2 in (expected[2], expected[4], expected[6])
    assert (shown > 20) is visible


@pytest.mark.parametrize("task", TASKS)
def test_the_signals_tell_goal_pose_and_map(task: str) -> None:
    lands, (_, pose, _, _, _, _, told) = walk(task)
    for copy in (0, COPIES - 1):
        for t in range(0, STEPS, 20):
            row, column, heading = (int(part[copy, t]) for part in pose[:3])
            goal = lands.goal[copy]
            np.testing.assert_array_equal(told["goal"][copy, t], goal)
            np.testing.assert_array_equal(told["pose"][copy, t], [row, column, heading])
            np.testing.assert_array_equal(told["way"][copy, t], [goal[0] - row + 28, goal[1] - column + 28])
            expected = np.zeros((29, 29), int)
            expected[goal[0], goal[1]] = 1
            expected[row, column] = 2 + heading
            np.testing.assert_array_equal(told["state"][copy, t, :, :, 0], lands.cells[copy])
            np.testing.assert_array_equal(told["state"][copy, t, :, :, 1], expected)


def test_a_turn_within_reach_of_the_goal_is_no_way_to_be_paid_twice() -> None:
    """Every visit ends at a start out of the goal's reach."""
    for task in TASKS:
        lands, (_, pose, _, reward, *_) = walk(task)
        row, column = (np.stack(part)[:, 1:] for part in pose[:2])
        after = np.hypot(row - lands.goal[:, :1], column - lands.goal[:, 1:])[reward[:, :-1] > 0]
        assert len(after) > COPIES
        assert (after > 1).all()


def test_the_same_surroundings_again_have_another_goal() -> None:
    """`respawn`, which pools of levels use."""
    environment = make("memory/invisible-goal-with-buildings")
    params = environment.levels["train_small"][0][1]
    observation, state = jit(environment.reset)(jax.random.key(0), params)
    respawn = jit(environment.respawn)
    goals = set()
    for k in range(8):
        seen, again = respawn(jax.random.key(k), state._replace(visits=jnp.int32(5)), params)
        np.testing.assert_array_equal(again.land.cells, state.land.cells)
        start = np.asarray(again.land.starts[0]).tolist()
        assert [int(part) for part in (again.row, again.column, again.heading, again.visits)] == [*start, 0]
        np.testing.assert_array_equal(seen, slow_observation(np.asarray(state.land.cells), None, *start))
        goals.add(tuple(again.land.goal.tolist()))
    assert len(goals) > 3
    assert seen.shape == observation.shape
