"""Spot the difference on the grid against plain Python: doors, blocks, touches, pauses, and everything that is seen."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quickly import jit

from unseen.environments import make
from unseen.environments.memory_suite import chambers, colours
from unseen.environments.memory_suite.compact_chambers import REACH

TASKS = ("spot-diff-passive", "spot-diff-multi", "spot-diff-motion")
LEVELS = {
    "spot-diff": "train_small",
    "spot-diff-passive": "holdout_large",
    "spot-diff-multi": "extrapolate",
    "spot-diff-motion": "holdout_small",
}
FRONT = {0: (-1, 0), 1: (0, 1), 2: (1, 0), 3: (0, -1)}  # north, east, south, west as (down, right)
ROOM, WAITING, OPEN, PAUSE = range(4)
COPIES, STEPS = 8, 700


@lru_cache
def walk(task: str) -> Any:
    """(params, blocks, before, observation, action, reward, terminated, told) of players that mostly do what leads on."""
    environment = make(f"memory/{task}")
    params = environment.levels[LEVELS[task]][0][1]

    def onward(state: Any, key: Any) -> Any:
        """To the door's rows and east; in room 2 to a block of the trial's choice; often anything."""
        k_any, k_whether, k_axis = jax.random.split(key, 3)
        progress = state.progress
        there = environment._seen(state)
        block = progress.trial % chambers.of_trial(state.blocks.count, progress)
        open_ = progress.phase == OPEN
        row = jnp.where(open_ & (state.column > 12), jnp.rint(there.row[block]).astype(jnp.int32), 4)
        column = jnp.where(open_, jnp.rint(there.column[block]).astype(jnp.int32), 11)
        down, right = row - state.row, column - state.column
        vertical = (down != 0) & (jax.random.bernoulli(k_axis) | (right == 0) | (state.column < 9))
        compass = jnp.where(vertical, jnp.where(down > 0, 2, 0), jnp.where(right > 0, 1, 3))
        usual = jnp.asarray([0, 3, 1, 2], jnp.int32).at[(compass - state.heading) % 4].get(mode="clip")
        return jnp.where(jax.random.bernoulli(k_whether, 0.3), jax.random.randint(k_any, (), 0, 6, jnp.int32), usual)

    @jit
    @jax.vmap
    def run(key: Any) -> Any:
        k_reset, k_steps = jax.random.split(key)
        observation, first = environment.reset(k_reset, params)

        def advance(carry: Any, key: Any) -> Any:
            observation, state = carry
            action = onward(state, key)
            step = environment.step(key, state, action, params)
            kept = state._replace(blocks=()), observation, action, step.reward, step.terminated, environment.signals(key, state, params)
            return (step.observation, step.state), kept

        return first.blocks, jax.lax.scan(advance, (observation, first), jax.random.split(k_steps, STEPS))[1]

    return params, *jax.tree.map(np.asarray, run(jax.random.split(jax.random.key(15), COPIES)))


class Rooms:
    """The specification's trial in Python: rows and columns as in the source, time in frames."""

    def __init__(self, task: Any, blocks: Any, copy: int, delay: int) -> None:
        self.task, self.delay = task, delay
        self.drawn = {name: np.asarray(part)[copy] for name, part in blocks._asdict().items()}
        self.trial, self.reward = 0, 0.0
        self.begin()

    def begin(self) -> None:
        self.phase, self.since, self.clock = ROOM, 0, 0
        self.row, self.column, self.heading = self.task.start

    def now(self, name: str) -> Any:
        return self.drawn[name][self.trial % 32]

    def solid(self, row: int, column: int) -> bool:
        if row in (4, 5) and column in (8, 12):  # the near door shuts behind the agent, the far one opens after the delay
            return self.phase != ROOM if column == 8 else self.phase in (ROOM, WAITING)
        room = 1 <= row <= 7 and (1 <= column <= 7 or 13 <= column <= 19)
        return not (room or (row in (4, 5) and 8 < column < 12))

    def blocks(self) -> list[tuple[int, int, int, int]]:
        """(index, row, column, colour) of the blocks of the room that the agent is in or comes to."""
        second, found = self.column > 8, []
        for k in range(int(self.now("count")) if self.phase != PAUSE else 0):
            altered = second and k == self.now("altered")
            row, column = int(self.now("row")[k]), int(self.now("column")[k])
            column = 20 - column if second else column
            if self.task.moving:
                motion = int(self.now("new_motion") if altered else self.now("motion")[k]) + 4 * bool(self.drawn["holdout"])
                east, south = offsets(motion, self.clock)
                row, column = round(row + REACH * south), round(column + REACH * east)
            found.append((k, row, column, int(self.now("new_colour") if altered else self.now("colour")[k])))
        return found

    def step(self, action: int) -> None:
        self.reward, touched = 0.0, None
        if action <= 3:
            down, right = FRONT[(self.heading + (0, 2, 3, 1)[action]) % 4]
            target = self.row + down, self.column + right
            block = next((k for k, row, column, _ in self.blocks() if (row, column) == target), None)
            touched = block if target[1] > 12 else None
            if block is None and not self.solid(*target):
                self.row, self.column = target
        else:
            self.heading = (self.heading + (3 if action == 4 else 1)) % 4
        self.clock, self.since = self.clock + 8, self.since + 8
        if self.phase == ROOM and self.column >= 9:
            self.phase, self.since = WAITING, 0
        elif self.phase == WAITING and self.since >= self.delay:
            self.phase, self.row, self.column, self.heading = OPEN, 4, 11, 1
        elif self.phase == OPEN and touched is not None:
            self.phase, self.since, self.reward = PAUSE, 0, float(touched == self.now("altered"))
        elif self.phase == PAUSE and self.since >= 60:
            self.trial += 1
            self.begin()

    def observation(self) -> list[int]:
        observed = [self.heading]
        for turn in (0, 3, 1):
            (down, right), steps = FRONT[(self.heading + turn) % 4], 1
            while not self.solid(self.row + steps * down, self.column + steps * right):
                steps += 1
            end = self.row + steps * down, self.column + steps * right
            observed += [steps, int(end[1] in (8, 12) and end[0] in (4, 5))]
        front, side = FRONT[self.heading], FRONT[(self.heading + 1) % 4]
        listed = []
        for _, row, column, colour in self.blocks():
            down, right = row - self.row, column - self.column
            ahead, aside = (down * way[0] + right * way[1] for way in (front, side))
            if not 8 < self.column < 12 and ahead >= 1 and abs(aside) <= min(ahead, 6):
                amounts = colours.AMOUNTS[colour + 5 * bool(self.drawn["holdout"])]
                listed.append([ahead, 7 + aside, *(1 + int(amount) for amount in amounts)])
        padded = sorted(listed) + [[0] * 5] * (self.task.most - len(listed))
        return observed + [number for block in padded for number in block]


def offsets(motion: int, ticks: int) -> tuple[float, float]:
    """East and south; tested on its own against the source."""
    east, south = OFFSETS[ticks % 120]
    return float(east[motion]), float(south[motion])


OFFSETS = {
    ticks: tuple(np.asarray(part) for part in chambers.offset(jnp.arange(8, dtype=jnp.int32), jnp.int32(ticks)))
    for ticks in range(0, 120, 8)
}


@pytest.mark.parametrize("task", TASKS)
def test_every_step_is_that_of_the_rooms_in_python(task: str) -> None:
    params, blocks, (before, observation, action, reward, terminated, _) = walk(task)
    scores: list[float] = []
    phases = set()
    for copy in range(COPIES):
        rooms = Rooms(make(f"memory/{task}").task, blocks, copy, int(params.delay))
        for t in range(STEPS):
            pose = tuple(int(part[copy, t]) for part in (before.row, before.column, before.heading))
            assert pose == (rooms.row, rooms.column, rooms.heading)
            assert (int(before.progress.phase[copy, t]), int(before.progress.trial[copy, t])) == (rooms.phase, rooms.trial)
            if t % 4 == 0 or rooms.phase in (OPEN, PAUSE):
                assert observation[copy, t].tolist() == rooms.observation()
            phases.add(rooms.phase)
            before_step = rooms.phase
            rooms.step(int(action[copy, t]))
            assert float(reward[copy, t]) == rooms.reward
            assert not terminated[copy, t]
            if rooms.phase == PAUSE != before_step:
                scores.append(rooms.reward)
    assert phases == {ROOM, WAITING, OPEN, PAUSE}
    assert len(scores) > 15
    assert {0.0, 1.0} == set(scores)


@pytest.mark.parametrize(
    ("task", "level", "turns"),
    [
        ("spot-diff", "train_small", 15),
        ("spot-diff", "holdout_extrapolate", 120),
        ("spot-diff-multi", "train", 30),
        ("spot-diff-passive", "interpolate", 38),
    ],
)
def test_the_far_door_opens_so_many_turns_after_entering(task: str, level: str, turns: int) -> None:
    """2 s are 15 turns of 8 frames, 16 s 120, 4 s 30, and 5 s 37.5, rounded up; the near door is shut from the first."""
    environment = make(f"memory/{task}")
    params, step = environment.levels[level][0][1], _step(task)
    _, state = _reset(task)(jax.random.key(0), params)
    state = state._replace(row=jnp.int32(4), column=jnp.int32(8), heading=jnp.int32(1))
    back = 1

    def doors() -> tuple[bool, bool]:
        return tuple(bool(shut) for shut in chambers.doors(state.progress))  # pyright: ignore[reportReturnType]

    assert doors() == (False, True)
    state = step(jax.random.key(0), state, jnp.int32(0), params).state  # into the corridor
    assert (int(state.column), doors()) == (9, (True, True))
    for turn in range(1, turns + 1):
        state = step(jax.random.key(0), state, jnp.int32(back if turn < 3 else 4), params).state
        # It backs against the door and turns; when the far door opens it stands before that.
        assert (int(state.column), doors()) == ((9, (True, True)) if turn < turns else (11, (True, False)))
    assert (int(state.row), int(state.heading)) == (4, 1)


@lru_cache
def _step(task: str) -> Any:
    return jit(make(f"memory/{task}").step)


@lru_cache
def _reset(task: str) -> Any:
    return jit(make(f"memory/{task}").reset)


def test_a_touch_pays_once_and_after_eight_turns_a_new_trial_begins() -> None:
    environment, step = make("memory/spot-diff"), _step("spot-diff")
    params = environment.levels["train_small"][0][1]
    _, state = _reset("spot-diff")(jax.random.key(3), params)
    zero = jnp.int32(0)
    for which, pays in ((0, 1.0), (1, 0.0)):
        altered = int(chambers.of_trial(state.blocks.altered, state.progress))
        block = altered if pays else 1 - altered
        row, column = int(state.blocks.row[0, block]), 20 - int(state.blocks.column[0, block])
        beside = state._replace(
            progress=state.progress._replace(phase=zero + OPEN), row=zero + row, column=zero + column - 1, heading=zero + 1
        )
        after = step(jax.random.key(0), beside, zero, params)
        assert float(after.reward) == pays, which
        assert (int(after.state.row), int(after.state.column)) == (row, column - 1)  # nobody walks through a block
        paid, turns, now = 0.0, 0, after.state
        while int(now.progress.trial) == 0:
            assert int(now.progress.phase) == PAUSE
            walked = step(jax.random.key(0), now, jnp.int32(4), params)
            now, paid, turns = walked.state, paid + float(walked.reward), turns + 1
        assert (paid, turns) == (0.0, 8)  # a second is 7.5 turns
        assert (int(now.row), int(now.column), int(now.heading), int(now.progress.phase)) == (4, 7, 1, ROOM)


@pytest.mark.parametrize("task", TASKS)
def test_no_episode_runs_out_of_drawn_trials(task: str) -> None:
    """Trials can be no shorter than way, delay, way and pause: at the shortest delay fewer than are drawn fit into 900 turns."""
    environment = make(f"memory/{task}")
    start = environment.task.start
    delay = min(int(params.delay) for mixture in environment.levels.values() for _, params in mixture)
    nearest = min(20 - column for _, column in environment.task.spots) - (1 if environment.task.moving else 0)
    to_corridor = 9 - start.column
    # The corridor's end is reached while waiting; from there to the cell before the nearest block, and into it.
    shortest = to_corridor + -(-delay // 8) + (nearest - 11) + 8
    assert 900 // shortest <= 32


@pytest.mark.parametrize("task", TASKS)
def test_the_signals_tell_blocks_answer_and_pose(task: str) -> None:
    _, blocks, (before, *_, told) = walk(task)
    most = make(f"memory/{task}").task.most
    for copy in range(2):
        for t in range(0, STEPS, 10):
            trial = int(before.progress.trial[copy, t]) % 32
            assert int(told["answer"][copy, t]) == int(blocks.altered[copy, trial])
            listed = [int(blocks.count[copy, trial])]
            for k in range(most):
                listed += [int(part[copy, trial, k]) for part in (blocks.row, blocks.column, blocks.colour, blocks.motion)]
            pose = [int(part[copy, t]) for part in (before.row, before.column, before.heading)]
            assert told["blocks"][copy, t].tolist() == listed
            assert told["pose"][copy, t].tolist() == pose
            change = [int(part[copy, trial]) for part in (blocks.altered, blocks.new_colour, blocks.new_motion)]
            phase = int(before.progress.phase[copy, t])
            timer = -(-max(int(before.progress.timer[copy, t]), 0) // 8)
            assert told["state"][copy, t].tolist() == [*listed, *pose, *change, phase, timer]
