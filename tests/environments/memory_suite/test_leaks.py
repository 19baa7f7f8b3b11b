"""Nothing seen at the moment of decision carries the answer: exact counterfactuals, and linear probes that must stay at chance.

A counterfactual changes what is to be remembered and nothing else: the observation must not change by a bit. A probe learns the
answer from one observation; with the answer itself appended it must be perfect, or it could not have found a leak.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quickly import jit
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.preprocessing import OneHotEncoder

from unseen.environments import make
from unseen.environments.memory_suite import chambers, ordering_view, screen, walker
from unseen.environments.memory_suite.chambers_view import ChamberViewState
from unseen.environments.memory_suite.land_view import LandViewState
from unseen.environments.memory_suite.ordering_view import OrderViewState
from unseen.environments.memory_suite.screen_view import GazeState
from unseen.environments.memory_suite.transitive_inference import CHALLENGE

COUNT = 3_000  # observations that a probe is given, each of another episode


@lru_cache
def firsts(task: str, level: str) -> Any:
    """First states of the compact embodiment."""
    environment = make(f"memory/{task}")
    params = environment.levels[level][0][1]
    return jit(jax.vmap(lambda key: environment.reset(key, params)[1]))(jax.random.split(jax.random.key(20), COUNT))


def drawn(task: str, level: str, change: Callable[[Any, Any], Any]) -> Any:
    """First states, each `change`d with a key of its own, as (state, observation, signals) of all in one array."""
    environment = make(f"memory/{task}")
    params = environment.levels[level][0][1]

    @jit
    @jax.vmap
    def one(state: Any, key: Any) -> Any:
        changed = change(state, key)
        return changed, environment.observe(changed), environment.signals(key, changed, params)

    return jax.tree.map(np.asarray, one(firsts(task, level), jax.random.split(jax.random.key(21), COUNT)))


# ---- probes ------------------------------------------------------------------------------------------------------------


def accuracy(observations: np.ndarray, answers: np.ndarray) -> float:
    """Of a linear probe on one-hot observations, on folds that it was not fitted to."""
    encoded = OneHotEncoder().fit_transform(observations)
    guessed = np.asarray(cross_val_predict(LogisticRegression(max_iter=300, C=0.3), encoded, answers, cv=3))
    return float(np.mean(guessed == answers))


def require_chance(observations: np.ndarray, answers: np.ndarray, beyond: float = 0.0) -> None:
    """A probe does no better than the most frequent answer, within 4 standard errors and `beyond`; with the answer it is perfect."""
    chance = np.bincount(answers).max() / len(answers)
    error = np.sqrt(chance * (1 - chance) / len(answers))
    assert accuracy(observations, answers) < chance + 4 * error + beyond
    assert accuracy(np.column_stack([observations, answers]), answers) > 0.999


def on_screen(task: str, level: str) -> tuple[np.ndarray, np.ndarray]:
    """Observations and right answers when an answer is awaited, in a random trial; not where the task itself shows the answer."""
    logic = make(f"memory/{task}").task
    stage = next(k for k, part in enumerate(logic.stages) if part.kind == screen.ANSWER)

    def later(state: Any, key: Any) -> Any:
        k_trials, k_right = jax.random.split(key)
        trials = jax.random.randint(k_trials, (), 1, 40, jnp.int32)

        def answer(progress: Any, t: Any) -> Any:
            after = logic.answered(state.drawn, progress, jax.random.bernoulli(jax.random.fold_in(k_right, t), 0.8))
            return screen.either(t < trials, after, progress), None

        progress, _ = jax.lax.scan(answer, logic.begin(state.drawn), jnp.arange(40, dtype=jnp.int32))
        return state._replace(progress=progress, stage=jnp.int32(stage))

    state, observation, told = drawn(task, level, later)
    if task != "arbitrary-visuomotor-mapping":
        return observation, told["answer"]
    first = np.asarray(jit(jax.vmap(lambda one: logic.trial(one.drawn, one.progress).content.first))(state))
    return observation[~first], told["answer"][~first]


@pytest.mark.parametrize("task", ["arbitrary-visuomotor-mapping", "continuous-recognition", "change-detection", "what-then-where"])
def test_a_screen_at_decision_time_tells_nothing(task: str) -> None:
    observation, answer = on_screen(task, "train")
    assert len(answer) > 0.5 * COUNT
    require_chance(observation, answer)


def test_a_first_presentation_tells_everything() -> None:
    """So that the probe is seen to read tints: the answer is shown there."""
    logic = make("memory/arbitrary-visuomotor-mapping").task
    state, observation, told = drawn("arbitrary-visuomotor-mapping", "train", lambda s, _: s._replace(stage=jnp.int32(1)))
    assert (observation[:, 1 : 1 + len(logic.buttons)] != screen.PLAIN).all()
    assert accuracy(observation, told["answer"]) > 0.999
    assert not state.progress.introduced.any()


# Where in room 2 all blocks are seen: from the door, or for the blocks beside it from the far wall.
POSES = {"spot-diff": (4, 12, 1), "spot-diff-multi": (4, 12, 1), "spot-diff-motion": (4, 12, 1), "spot-diff-passive": (4, 19, 3)}


def in_second_room(task: str) -> Callable[[Any, Any], Any]:
    def placed(state: Any, key: Any) -> Any:
        row, column, heading = (jnp.int32(part) for part in POSES[task])
        ticks = 8 * jax.random.randint(key, (), 0, 15, jnp.int32)
        progress = state.progress._replace(phase=jnp.int32(chambers.OPEN), clock=ticks)
        return state._replace(progress=progress, row=row, column=column, heading=heading)

    return placed


@pytest.mark.parametrize("task", POSES)
def test_the_second_room_alone_tells_nothing(task: str) -> None:
    """Which block differs cannot be seen from room 2, all of its blocks in view (five of them in the multi-object task)."""
    _, observation, told = drawn(task, "train_large", in_second_room(task))
    count = told["blocks"][:, 0]
    seen = (observation[:, 7::5] > 0).sum(axis=1) == count
    assert seen.sum() > 0.2 * COUNT
    require_chance(observation[seen], told["answer"][seen])


def test_a_challenge_alone_tells_nothing() -> None:
    def challenged(state: Any, key: Any) -> Any:
        item = jax.random.randint(key, (), 0, 4, jnp.int32)
        return state._replace(progress=state.progress._replace(phase=jnp.int32(CHALLENGE), item=item))

    _, observation, told = drawn("transitive-inference", "train_large", challenged)
    require_chance(observation, told["answer"])


@pytest.mark.parametrize("task", ["invisible-goal-empty-arena", "invisible-goal-with-buildings"])
def test_the_first_view_of_a_land_tells_little_of_where_the_goal_is(task: str) -> None:
    """Only that it is out of reach of the start and not beside a building that is seen: in an arena of 21 m a few hundredths at most."""
    _, observation, told = drawn(task, "train_large", lambda state, _: state)
    for axis, middle in ((0, 5), (1, 11)):  # rows 1 to 10 are the half that goals of training lie in
        goal = told["goal"][:, axis]
        off = goal != middle
        require_chance(observation[off], (goal[off] > middle).astype(int), beyond=0.02)


# ---- counterfactuals ---------------------------------------------------------------------------------------------------


def require_same_view(
    kind: str, task: str, level: str, change: Callable[[Any, Any], Any], other: Callable[[Any], Any], start: str = ""
) -> None:
    """Observations of states and of their counterfactuals are the same bits; the answers are not.

    `change` and `other` know the compact embodiment's states; in first person the same is seen from the same place. The states are
    those of the task, or of `start`.
    """
    compact = make(f"memory/{task}")
    view = make(f"memory-fp/{task}", width=64, height=64) if kind == "memory-fp" else compact
    params = compact.levels[level][0][1]

    @jit
    @jax.vmap
    def both(state: Any, key: Any) -> Any:
        state = change(state, key)
        states = jax.tree.map(lambda a, b: jnp.stack([a, b]), state, other(state))
        # One program for both, so that not even rounding differs.
        return jax.lax.map(lambda s: view.observe(as_in(kind, s)), states), jax.lax.map(lambda s: compact.signals(key, s, params), states)

    some = jax.tree.map(lambda x: x[:16], firsts(start or task, level))
    seen, told = jax.tree.map(np.asarray, both(some, jax.random.split(jax.random.key(22), 16)))
    np.testing.assert_array_equal(seen[:, 0], seen[:, 1])
    assert len(np.unique(seen[0, 0])) > 1
    answers = told["answer"] if "answer" in told else told["goal"]
    assert (answers[:, 0] != answers[:, 1]).any()


def as_in(kind: str, state: Any) -> Any:
    """A compact state, or what it is in first person."""
    if kind == "memory":
        return state
    zero = jnp.int32(0)
    if hasattr(state, "drawn"):
        return GazeState(state.drawn, state.progress, state.stage, zero, state.chosen, zero + 200, zero + 100, zero)
    if hasattr(state, "chains"):
        return OrderViewState(state.chains, state.progress, *walker.at(*(jnp.int32(part) for part in ordering_view.START)))
    pose = walker.at(state.row, state.column, state.heading)
    return (
        LandViewState(state.land, *pose, state.visits) if hasattr(state, "land") else ChamberViewState(state.blocks, state.progress, *pose)
    )


def awaited(task: str, trial: int = 3) -> Callable[[Any, Any], Any]:
    """The state in which the answer of a trial is awaited."""
    logic = make(f"memory/{task}").task
    stage = next(k for k, part in enumerate(logic.stages) if part.kind == screen.ANSWER)

    def at(state: Any, key: Any) -> Any:
        progress = logic.begin(state.drawn)
        for _ in range(trial):
            progress = logic.answered(state.drawn, progress, jnp.asarray(True))
        if task == "arbitrary-visuomotor-mapping":
            progress = progress._replace(introduced=jnp.asarray(True))
        return state._replace(progress=progress, stage=jnp.int32(stage))

    return at


def other_memory(task: str) -> Callable[[Any], Any]:
    """The same screen after another past."""

    def changed(state: Any) -> Any:
        drawn = state.drawn
        match task:
            case "arbitrary-visuomotor-mapping":
                drawn = drawn._replace(direction=(drawn.direction + 1) % 4)
            case "continuous-recognition":
                drawn = drawn._replace(old=~drawn.old)
            case "change-detection":  # there the study array was the test array, or was not
                same = drawn.changed < 0
                study = drawn.study._replace(colour=jnp.where(same[:, None], (drawn.study.colour + 1) % 5, drawn.test.colour))
                drawn = drawn._replace(study=study, changed=jnp.where(same, 0, -1).astype(drawn.changed.dtype))
            case _:
                drawn = drawn._replace(side=(drawn.side + 1) % 4, digit=jnp.flip(drawn.digit, axis=-1))
        return state._replace(drawn=drawn)

    return changed


@pytest.mark.parametrize("kind", ["memory", "memory-fp"])
@pytest.mark.parametrize("task", ["arbitrary-visuomotor-mapping", "continuous-recognition", "change-detection", "what-then-where"])
def test_the_screen_is_the_same_whatever_was_to_be_remembered(task: str, kind: str) -> None:
    require_same_view(kind, task, "train", awaited(task), other_memory(task))


@pytest.mark.parametrize("kind", ["memory", "memory-fp"])
def test_an_invisible_goal_is_not_seen_wherever_it_is(kind: str) -> None:
    """Not even when the agent stands two metres from it and looks at it."""

    def before(state: Any, key: Any) -> Any:
        """The goal two cells to the north of an agent that looks north."""
        there = state.land._replace(goal=jnp.asarray([4, 6], jnp.int32))
        return state._replace(land=there, row=jnp.int32(6), column=jnp.int32(6), heading=jnp.int32(0))

    elsewhere = lambda state: state._replace(land=state.land._replace(goal=jnp.asarray([9, 2], jnp.int32)))  # noqa: E731
    require_same_view(kind, "invisible-goal-empty-arena", "train_large", before, elsewhere)
    if kind == "memory":
        with pytest.raises(AssertionError, match="not equal"):  # a visible goal is
            require_same_view(kind, "visible-goal-with-buildings", "train_large", before, elsewhere, "invisible-goal-empty-arena")


@pytest.mark.parametrize(
    ("kind", "task"), [("memory", "spot-diff-motion"), ("memory-fp", "spot-diff-motion"), ("memory", "spot-diff-passive")]
)
def test_the_second_room_is_the_same_whichever_block_is_new(kind: str, task: str) -> None:
    """The other block is altered, and in room 1 the two had such kinds that room 2 comes out as it was."""

    def before(state: Any, key: Any) -> Any:
        progress = state.progress._replace(phase=jnp.int32(chambers.OPEN), clock=jnp.int32(40))
        return state._replace(progress=progress, row=jnp.int32(4), column=jnp.int32(13), heading=jnp.int32(1))

    def other(state: Any) -> Any:
        blocks = state.blocks
        rows, old = jnp.arange(chambers.TRIALS), blocks.altered.astype(jnp.int32)
        swapped = {}
        for kinds, new in (("colour", "new_colour"), ("motion", "new_motion")):
            here = getattr(blocks, kinds)
            second = here.at[rows, old].set(getattr(blocks, new))  # what stands in room 2
            swapped |= {kinds: second.at[rows, 1 - old].set(here[rows, old]), new: second[rows, 1 - old]}
        return state._replace(blocks=blocks._replace(altered=(1 - old).astype(blocks.altered.dtype), **swapped))

    require_same_view(kind, task, "train_large", before, other)


@pytest.mark.parametrize("kind", ["memory", "memory-fp"])
def test_a_challenge_is_the_same_whatever_the_order(kind: str) -> None:
    """The second and the fourth change places, and so do the sides: the same two objects stand where they stood."""

    def before(state: Any, key: Any) -> Any:
        second_and_fourth = jnp.zeros_like(state.chains.challenge) + jnp.asarray([1, 3], state.chains.challenge.dtype)[None, None]
        chains = state.chains._replace(challenge=second_and_fourth)
        return state._replace(chains=chains, progress=state.progress._replace(phase=jnp.int32(CHALLENGE)))

    def other(state: Any) -> Any:
        chains = state.chains
        order = chains.order.at[:, 1].set(chains.order[:, 3]).at[:, 3].set(chains.order[:, 1])
        return state._replace(chains=chains._replace(order=order, swapped=~chains.swapped))

    require_same_view(kind, "transitive-inference", "train_large", before, other)
