"""Both embodiments of a task share its draw, its words and its rewards: turns on a grid and frames in a picture."""

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
from unseen.environments.memory_suite import chambers, land, ordering_view, scenery, screen, suite
from unseen.environments.memory_suite.chambers import COLUMNS, OPEN, PAUSE, ROOM, WAITING
from unseen.environments.memory_suite.screen_view import FirstPersonScreen

SCREENS = tuple(name for name, (family, _, _) in suite.TASKS.items() if family == "screen")
ORDERING = "transitive-inference"
LEVEL = "holdout_interpolate"
COPIES = 16


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is painted: what is at issue is what is true, not how it looks."""
    black = jnp.zeros((72, 96, 3), jnp.uint8)
    monkeypatch.setattr(scenery, "picture", lambda *_: black)
    monkeypatch.setattr(FirstPersonScreen, "observe", lambda *_: black)


def pair(task: str) -> tuple[Any, Any, Any, Any]:
    """Compact and first-person environment, and the parameters of a level in each."""
    compact, view = make(f"memory/{task}"), make(f"memory-fp/{task}")
    return compact, view, compact.levels[LEVEL][0][1], view.levels[LEVEL][0][1]


def same(found: Any, expected: Any) -> None:
    jax.tree.map(np.testing.assert_array_equal, found, expected)


@pytest.mark.parametrize("task", suite.TASKS)
def test_both_have_the_same_logic_levels_and_name(task: str) -> None:
    compact, view, _, _ = pair(task)
    assert compact.task == view.task == suite.task(task)
    assert (compact.name, view.name) == (f"memory/{task}", f"memory-fp/{task}")
    assert list(compact.levels) == list(view.levels)
    for level, mixture in compact.levels.items():
        assert [weight for weight, _ in mixture] == [weight for weight, _ in view.levels[level]]
        if task not in SCREENS:
            same([params for _, params in mixture], [params for _, params in view.levels[level]])
    told = compact.signal_spaces(compact.levels[LEVEL][0][1])
    assert told.items() <= view.signal_spaces(view.levels[LEVEL][0][1]).items()


@pytest.mark.parametrize("task", SCREENS)
def test_screens_show_the_same_trials_in_the_same_words(task: str) -> None:
    """From one draw, trial by trial and stage by stage; the blank frame, which only frames have, is an empty screen."""
    compact, view, params, frames = pair(task)
    logic = compact.task
    stages = len(logic.stages)

    @jit
    @jax.vmap
    def words(key: Any) -> Any:
        (_, turn), (_, frame) = compact.reset(key, params), view.reset(key, frames)

        def at(progress: Any, stage: Any) -> Any:
            """Compact and first-person words at a stage; behind the last one, in frames the blank one, in turns fixation."""
            shared = {"drawn": turn.drawn, "progress": progress, "chosen": progress.trial % len(logic.buttons)}
            return compact.observe(turn._replace(**shared, stage=stage % stages)), view.described(frame._replace(**shared, stage=stage))

        def one(progress: Any, right: Any) -> Any:
            return logic.answered(turn.drawn, progress, right), jax.vmap(at, (None, 0))(progress, jnp.arange(stages + 1, dtype=jnp.int32))

        rights = jnp.asarray([False, True, True, False, True, True])
        return logic.draw(key, params), logic.draw(key, frames), turn.drawn, jax.lax.scan(one, logic.begin(turn.drawn), rights)[1]

    drawn, again, began, (turns, views) = words(jax.random.split(jax.random.key(0), COPIES))
    same(drawn, again)
    same(drawn, began)
    same(turns, views)
    assert len(np.unique(np.asarray(turns).reshape(-1, turns.shape[-1]), axis=0)) > 5 * COPIES


def test_a_screen_in_first_person_draws_what_the_task_draws_from_the_key() -> None:
    _, view, _, params = pair("continuous-recognition")
    key = jax.random.key(3)
    drawn, state = jit(lambda key: (view.task.draw(key, params), view.reset(key, params)[1]))(key)
    same(state.drawn, drawn)


# ---- goal navigation ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["visible-goal-with-buildings", "invisible-goal-empty-arena"])
def test_lands_goals_starts_and_what_is_seen_are_the_same(task: str) -> None:
    compact, view, params, _ = pair(task)

    @jit
    @jax.vmap
    def both(key: Any) -> Any:
        (seen, turn), (_, frame) = compact.reset(key, params), view.reset(key, params)
        there = land.start(turn.land, jnp.int32(3))
        row, column, heading = there[0], there[1], there[2]
        at = view.task.goal_visible
        moved = turn._replace(row=row, column=column, heading=heading)
        x, y, angle = (part.astype(jnp.float32) for part in (column, row, heading))
        walked = frame._replace(x=x + 0.7, y=y + 0.2, heading=angle * (math.pi / 2) + 0.6)
        assert at is compact.task.goal_visible
        return (
            turn,
            frame,
            (seen, compact.observe(moved)),
            (view.described(frame), view.described(walked)),
            view.signals(key, walked, params),
        )

    turn, frame, words, described, told = both(jax.random.split(jax.random.key(1), COPIES))
    same(turn.land, frame.land)
    same(words, described)
    start = np.asarray(turn.land.starts[:, 0]).astype(float)
    np.testing.assert_allclose(frame.x, start[:, 1] + 0.5)
    np.testing.assert_allclose(frame.y, start[:, 0] + 0.5)
    np.testing.assert_allclose(frame.heading, start[:, 2] * np.pi / 2, rtol=1e-6)
    pose = np.asarray(turn.land.starts[:, 3])
    np.testing.assert_array_equal(told["pose"], pose)
    np.testing.assert_allclose(told["place"][:, 0], (pose[:, 1] + 0.7) / 29, rtol=1e-5)


def first(view: Any, params: Any, seed: int) -> Any:
    """A first state; its picture is not asked for and so not painted."""
    return jit(lambda key: view.reset(key, params)[1])(jax.random.key(seed))


def stepping(view: Any, params: Any) -> Any:
    """The compiled step without its picture, as a function of state and action."""
    compiled = jit(lambda state, action: view.step(jax.random.key(0), state, action, params)._replace(observation=()))
    return lambda state, action: compiled(state, jnp.int32(action))


@lru_cache
def _land() -> Any:
    """An empty arena of 15 m with the goal in row 4, column 8, and the compiled step."""
    view = make("memory-fp/invisible-goal-empty-arena")
    params = view.levels["interpolate"][0][1]
    state = first(view, params, 2)
    return state._replace(land=state.land._replace(goal=jnp.asarray([4, 8], jnp.int32))), stepping(view, params)


def test_coming_within_a_metre_of_the_goal_pays_ten_and_leads_to_the_next_start() -> None:
    state, step = _land()
    state = state._replace(x=jnp.float32(8.5), y=jnp.float32(7.5), heading=jnp.float32(0.0), visits=jnp.int32(4))  # 3 m to the south
    paid, turns, way = 0.0, 0, []
    while paid == 0.0 and turns < 20:
        way.append(float(state.y))
        after = step(state, 0)
        state, paid, turns = after.state, paid + float(after.reward), turns + 1
    assert paid == 10.0
    assert turns == 8  # 2 m at 4 m a second: 30 frames
    np.testing.assert_allclose(np.diff(way), -4 / 15, atol=1e-5)
    row, column, heading = np.asarray(state.land.starts[5]).astype(float)
    np.testing.assert_allclose([state.x, state.y, state.heading], [column + 0.5, row + 0.5, heading * math.pi / 2], rtol=1e-6)
    assert int(state.visits) == 5


def test_what_is_left_of_an_action_after_arriving_is_lost() -> None:
    state, step = _land()
    state = state._replace(x=jnp.float32(8.5), y=jnp.float32(5.5 + 1 / 30), heading=jnp.float32(0.0), visits=jnp.int32(0))
    after = step(state, 0).state
    row, column, _ = np.asarray(state.land.starts[1]).astype(float)
    np.testing.assert_allclose([after.x, after.y], [column + 0.5, row + 0.5])


def test_looking_turns_twelve_degrees_an_action_and_strafing_goes_aside() -> None:
    state, step = _land()
    state = state._replace(x=jnp.float32(8.5), y=jnp.float32(12.5), heading=jnp.float32(math.pi / 2))
    go = lambda action: step(state, action).state  # noqa: E731
    assert float(go(5).heading - state.heading) == pytest.approx(math.radians(12), abs=1e-5)
    assert float(go(4).heading - state.heading) == pytest.approx(-math.radians(12), abs=1e-5)
    ahead, aside = 4 / 15, 0.0
    for action, (forward, right) in enumerate([(ahead, aside), (-ahead, aside), (aside, -ahead), (aside, ahead)]):
        after = go(action)  # facing east: ahead is x, to the right is y
        np.testing.assert_allclose([after.x - 8.5, after.y - 12.5], [forward, right], atol=1e-5)
    for action, turn in ((6, -1), (7, 1)):
        after = go(action)
        assert float(after.heading - state.heading) == pytest.approx(turn * math.radians(12), abs=1e-5)
        assert float(after.x) - 8.5 == pytest.approx(ahead, rel=0.03)


# ---- spot the difference -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["spot-diff-passive", "spot-diff-multi", "spot-diff-motion"])
def test_rooms_are_the_same_and_are_described_alike(task: str) -> None:
    compact, view, params, _ = pair(task)

    @jit
    @jax.vmap
    def both(key: Any) -> Any:
        (seen, turn), (_, frame) = compact.reset(key, params), view.reset(key, params)
        rows = [(seen, view.described(frame))]
        for phase, row, column, heading in ((ROOM, 4, 7, 3), (OPEN, 5, 13, 1), (OPEN, 4, 14, 0), (PAUSE, 4, 13, 1)):
            progress = turn.progress._replace(phase=jnp.int32(phase), clock=jnp.int32(52))
            where = {"row": jnp.int32(row), "column": jnp.int32(column), "heading": jnp.int32(heading)}
            moved = turn._replace(progress=progress, **where)
            x, y, angle = jnp.float32(column + 0.4), jnp.float32(row + 0.6), jnp.float32(heading * math.pi / 2 - 0.5)
            rows.append((compact.observe(moved), view.described(frame._replace(progress=progress, x=x, y=y, heading=angle))))
        return turn.blocks, frame.blocks, frame.progress, jax.tree.map(lambda *parts: jnp.stack(parts), *rows)

    turns, frames, progress, (seen, described) = both(jax.random.split(jax.random.key(4), COPIES))
    same(turns, frames)
    same(seen, described)
    assert not np.asarray(jnp.stack(jax.tree.leaves(progress))).any()
    assert (np.asarray(seen)[:, :4, 7::5] > 0).any()  # blocks are among what is seen


@lru_cache
def _rooms() -> Any:
    view = make("memory-fp/spot-diff")
    params = view.levels["train_small"][0][1]
    return first(view, params, 5), stepping(view, params)


def test_the_corridor_takes_its_frames_and_its_near_door_shuts_behind_the_body() -> None:
    state, step = _rooms()
    entered, opened, t = None, None, 0
    while opened is None and t < 200:
        state = step(state, 0).state  # east, from before the corridor
        t += 1
        phase = int(state.progress.phase)
        if entered is None and phase == WAITING:
            entered = t
            assert 9.25 <= float(state.x) < 9.6
            assert [bool(shut) for shut in chambers.doors(state.progress)] == [True, True]
        if phase == OPEN:
            opened = t
    assert entered is not None
    assert opened is not None
    assert opened - entered in (30, 31)  # 120 frames, from some frame of the action that entered
    assert float(state.x) <= 11.75 + 1e-4  # held up by the far door, a body's radius from it


def test_walking_up_to_a_block_touches_it_and_the_pause_lasts_a_second() -> None:
    begun, step = _rooms()
    altered = int(begun.blocks.altered[0])
    for which, pays in ((altered, 1.0), (1 - altered, 0.0)):
        row, column = int(begun.blocks.row[0, which]), COLUMNS - 1 - int(begun.blocks.column[0, which])
        state = begun._replace(
            progress=begun.progress._replace(phase=jnp.int32(OPEN)),
            x=jnp.float32(column - 0.9),
            y=jnp.float32(row + 0.5),
            heading=jnp.float32(math.pi / 2),
        )
        paid, turns = 0.0, 0
        while int(state.progress.phase) == OPEN and turns < 20:
            after = step(state, 0)
            state, paid, turns = after.state, paid + float(after.reward), turns + 1
        assert paid == pays
        assert int(state.progress.phase) == PAUSE
        assert float(state.x) < column + 0.5 - 0.55
        waited = 0
        while int(state.progress.phase) == PAUSE:
            after = step(state, 5)
            state, paid, waited = after.state, paid + float(after.reward), waited + 1
        assert paid == pays
        assert waited in (15, 16)  # 60 frames
        assert (float(state.x), float(state.y), int(state.progress.trial)) == (7.5, 4.5, 1)


# ---- transitive inference ----------------------------------------------------------------------------------------------


def test_orders_are_the_same_and_are_described_alike() -> None:
    compact, view, params, _ = pair(ORDERING)

    @jit
    @jax.vmap
    def both(key: Any) -> Any:
        (seen, turn), (_, frame) = compact.reset(key, params), view.reset(key, params)
        rows = [(seen, view.described(frame))]
        for phase, item in ((0, 2), (1, 0), (2, 0), (2, 3)):
            progress = turn.progress._replace(phase=jnp.int32(phase), item=jnp.int32(item))
            rows.append((compact.observe(turn._replace(progress=progress)), view.described(frame._replace(progress=progress))))
        return turn.chains, frame.chains, turn.progress, frame.progress, jax.tree.map(lambda *parts: jnp.stack(parts), *rows)

    turns, frames, progress, began, (seen, described) = both(jax.random.split(jax.random.key(6), COPIES))
    same(turns, frames)
    same(progress, began)
    same(seen, described)


def test_demonstrations_last_three_seconds_and_walking_up_to_a_pedestal_answers() -> None:
    """5 objects: 4 pairs of 45 actions each, a blank of 30; then the agent is put back and chooses."""
    view = make(f"memory-fp/{ORDERING}")
    params = view.levels["train_small"][0][1]
    state, step = first(view, params, 7), stepping(view, params)
    start = float(state.x), float(state.y), float(state.heading)
    for t in range(4 * 45 + 30):
        assert (int(state.progress.phase), int(state.progress.item)) == ((0, t // 45) if t < 180 else (1, 0))
        after = step(state, 0)  # walks on: nothing is chosen
        assert float(after.reward) == 0.0
        state = after.state
    assert int(state.progress.phase) == 2
    assert (float(state.x), float(state.y), float(state.heading)) == start
    for wrong in (False, True):
        higher = int(view.task.pair(state.chains, state.progress).higher)
        x, y = ordering_view.PEDESTALS[1 - higher if wrong else higher]
        there = state._replace(x=jnp.float32(x), y=jnp.float32(y + 1.0), heading=jnp.float32(0.0))
        after = step(there, 0)
        assert (float(after.reward), int(after.state.progress.earned)) == (0.0, 1)  # paid with the last of the round
        state = after.state
        assert int(state.progress.item) == 1 + wrong
        assert (float(state.x), float(state.y), float(state.heading)) == start


def test_stages_of_screens_are_at_most_those_that_the_blank_frame_follows() -> None:
    """Every screen task ends with an answer and its feedback, which both embodiments rely on."""
    for task in SCREENS:
        kinds = screen.kinds(make(f"memory/{task}").task).tolist()
        assert kinds[0] == screen.LOOK
        assert kinds[-2:] == [screen.ANSWER, screen.FEEDBACK]
        assert kinds.count(screen.ANSWER) == kinds.count(screen.FEEDBACK) == 1
