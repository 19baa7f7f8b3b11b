"""Transitive inference: thousands of drawn rounds counted in NumPy, and episodes played in plain Python, against §3.13."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quickly import jit
from scipy import stats

from unseen.environments import make
from unseen.environments.memory_suite import colours
from unseen.environments.memory_suite import transitive_inference as logic
from unseen.environments.memory_suite.stimuli import things
from unseen.environments.memory_suite.transitive_inference import TransitiveInference, params_of

TASK = TransitiveInference()
CHAINS = {"small": 5, "large": 7, "interpolate": 6, "extrapolate": 9}
ENVIRONMENT = make("memory/transitive-inference")
draw = jit(jax.vmap(TASK.draw, (0, None)))
each_scale = pytest.mark.parametrize(("scale", "length"), CHAINS.items())


@lru_cache
def rounds(scale: str) -> Any:
    """The rounds of 600 episodes in a row."""
    chains = draw(jax.random.split(jax.random.key(16), 600), params_of(False, scale))
    return jax.tree.map(lambda x: np.asarray(x).reshape(-1, *x.shape[2:]), chains._replace(holdout=chains.order))


# ---- what is drawn -----------------------------------------------------------------------------------------------------


@each_scale
def test_a_round_demonstrates_each_adjacent_pair_once_in_random_order(scale: str, length: int) -> None:
    shown = rounds(scale).demonstration[:, : length - 1]
    assert (np.sort(shown, axis=1) == np.arange(length - 1)).all()
    for k in (0, length - 2):
        assert stats.chisquare(np.bincount(shown[:, k], minlength=length - 1)).pvalue > 1e-4


@each_scale
def test_challenges_are_inner_pairs_that_are_not_adjacent_all_alike(scale: str, length: int) -> None:
    """With repetition, so that with five objects it is always the second and the fourth."""
    possible = [(high, low) for high in range(1, length - 1) for low in range(high + 2, length - 1)]
    asked = rounds(scale).challenge.reshape(-1, 2)
    counts = [int((asked == pair).all(axis=1).sum()) for pair in possible]
    assert sum(counts) == len(asked)
    assert min(counts) > 0
    assert len(possible) == 1 or stats.chisquare(counts).pvalue > 1e-4
    assert len(possible) == {5: 1, 6: 3, 7: 6, 9: 15}[length]


@each_scale
def test_orders_are_random_and_sides_are_fair(scale: str, length: int) -> None:
    drawn = rounds(scale)
    objects = drawn.order[:, :length]
    ordered = np.sort(objects, axis=1)
    assert (ordered[:, 1:] != ordered[:, :-1]).all()
    for place in (0, length - 1):
        assert stats.chisquare(np.bincount(objects[:, place], minlength=40)).pvalue > 1e-4
    for k in range(12):
        assert stats.binomtest(int(drawn.swapped[:, k].sum()), len(objects), 0.5).pvalue > 1e-4


def test_objects_of_the_two_sets_share_no_combination_but_every_outline() -> None:
    """Set T in training, H held out: eight outlines in five colours each; in the categories too."""
    chains = jax.tree.map(lambda x: x[0], draw(jax.random.split(jax.random.key(16), 600), params_of(False, "large")))
    described: dict[bool, set[Any]] = {}
    for holdout in (False, True):
        found = set()
        for index in range(40):
            one = chains._replace(order=jnp.full_like(chains.order, index), holdout=jnp.asarray(holdout))
            outline, colour = logic.thing(one, TASK.begin(), jnp.int32(0))
            amounts = colours.amounts(colour, one.holdout).tolist()
            found.add((int(outline), *amounts))
            assert [int(outline), int(colour) + 5 * holdout] == (things.H if holdout else things.T)[index].tolist()
        described[holdout] = found
    assert len(described[False]) == len(described[True]) == 40
    assert not described[False] & described[True]
    assert {row[0] for row in described[True]} == {row[0] for row in described[False]} == set(range(8))


# ---- how it is played --------------------------------------------------------------------------------------------------


@lru_cache
def played(level: str) -> Any:
    """(params, chains, progress, observation, action, reward, terminated, told) of 4 copies that act at random for 900 turns."""
    params = ENVIRONMENT.levels[level][0][1]
    return params, *jax.tree.map(np.asarray, _run()(jax.random.split(jax.random.key(17), 4), params))


@lru_cache
def _run() -> Any:
    def run(key: Any, params: Any) -> Any:
        k_reset, k_steps = jax.random.split(key)
        observation, first = ENVIRONMENT.reset(k_reset, params)

        def advance(carry: Any, key: Any) -> Any:
            observation, state = carry
            action = jax.random.randint(key, (), 0, 3, jnp.int32)
            step = ENVIRONMENT.step(key, state, action, params)
            told = ENVIRONMENT.signals(key, state, params)
            return (step.observation, step.state), (state.progress, observation, action, step.reward, step.terminated, told)

        return first.chains, jax.lax.scan(advance, (observation, first), jax.random.split(k_steps, 900))[1]

    return jit(jax.vmap(run, (0, None)))


def seen(chains: Any, copy: int, round_: int, left: int | None, right: int | None, phase: int, lit: int) -> list[int]:
    """Phase, light, and outline and amounts of what stands left and right, counted from 1."""
    observed = [phase, lit]
    for place in (left, right):
        if place is None:
            observed += [0, 0, 0, 0]
            continue
        outline, colour = things.T[chains.order[copy, round_, place]]
        rgb = colours.RGB[colour + 5 * bool(chains.holdout[copy])] / 255
        observed += [1 + outline, *(1 + np.rint(rgb * (colours.STEPS - 1)).astype(int))]
    return [int(number) for number in observed]


@pytest.mark.parametrize(("level", "length"), [("train_small", 5), ("holdout_large", 7), ("holdout_interpolate", 6), ("extrapolate", 9)])
def test_every_turn_is_that_of_an_episode_in_python(level: str, length: int) -> None:
    """Demonstrations of 23 turns with the higher one lit, a blank of 15, four challenges paid with the last; a new order."""
    _, chains, (_, observation, action, reward, terminated, told) = played(level)
    for copy in range(4):
        t, round_, answers = 0, 0, []
        drawn = {name: part[copy] for name, part in chains._asdict().items() if name != "holdout"}
        while t < 900:
            script = [("shown", k) for k in range(length - 1) for _ in range(23)] + [("blank", 0)] * 15
            for name, item in script[: 900 - t]:
                if name == "blank":
                    expected = seen(chains, copy, round_, None, None, 1, 0)
                else:
                    high = int(drawn["demonstration"][round_, item])
                    right_is_higher = bool(drawn["swapped"][round_, item])
                    left, right = (high + 1, high) if right_is_higher else (high, high + 1)
                    expected = seen(chains, copy, round_, left, right, 0, 2 if right_is_higher else 1)
                    assert int(told["answer"][copy, t]) == right_is_higher
                assert observation[copy, t].tolist() == expected
                assert reward[copy, t] == 0.0  # whatever is done
                t += 1
            item = earned = 0
            while item < 4 and t < 900:
                high, low = (int(place) for place in drawn["challenge"][round_, item])
                right_is_higher = bool(drawn["swapped"][round_, 8 + item])
                left, right = (low, high) if right_is_higher else (high, low)
                assert observation[copy, t].tolist() == seen(chains, copy, round_, left, right, 2, 0)
                assert int(told["answer"][copy, t]) == right_is_higher
                chosen = int(action[copy, t]) - 1
                earned += chosen == right_is_higher
                item += chosen >= 0
                assert reward[copy, t] == (earned if item == 4 and chosen >= 0 else 0)
                if chosen >= 0:
                    answers.append(chosen == right_is_higher)
                t += 1
            round_ += 1
        assert len(answers) >= (12 if length < 9 else 8)
    assert {0.0, 1.0, 2.0} <= set(reward.ravel().tolist()) <= {0.0, 1.0, 2.0, 3.0, 4.0}
    assert not terminated.any()


def test_no_episode_runs_out_of_drawn_rounds() -> None:
    """The shortest round has 4 demonstrations of 23 turns, a blank of 15 and 4 answers: 111 turns; 12 are drawn, 9 begin in 900."""
    assert logic.ROUNDS > 900 / (4 * 23 + 15 + 4)


@pytest.mark.parametrize(("level", "length"), [("train_small", 5), ("extrapolate", 9)])
def test_the_signals_tell_order_and_places(level: str, length: int) -> None:
    _, chains, (progress, _, _, _, _, told) = played(level)
    for t in range(0, 900, 7):
        round_ = int(progress.round[0, t])
        order = [*chains.order[0, round_, :length].tolist(), *[40] * (9 - length)]
        assert told["order"][0, t].tolist() == order
        state = told["state"][0, t].tolist()
        assert state[:9] == order
        assert state[9:12] == [int(told["answer"][0, t]), int(progress.phase[0, t]), int(progress.item[0, t])]
        assert state[13] == int(progress.earned[0, t])
        left, right = state[14:]
        if progress.phase[0, t] == 1:
            assert (left, right, state[9]) == (9, 9, 2)
        else:
            assert (right < left) == bool(told["answer"][0, t])  # the higher object has the lower place


@each_scale
def test_counting_how_often_an_object_was_lit_is_no_help(scale: str, length: int) -> None:
    """Inner objects are lit once and unlit once each, which is why only they are asked about."""
    asked = rounds(scale).challenge
    lit = np.zeros(length, int)
    unlit = np.zeros(length, int)
    for pair in range(length - 1):
        lit[pair], unlit[pair + 1] = lit[pair] + 1, unlit[pair + 1] + 1
    assert set((lit - unlit)[np.unique(asked)].tolist()) == {0}
    assert (lit[0], unlit[0], lit[-1], unlit[-1]) == (1, 0, 0, 1)
