"""Heaven-hell against the transition list of its published files and a slow player in plain Python."""

from __future__ import annotations

import itertools
import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unseen.environments.navigation.heavenhell import HeavenHell, HeavenHellState
from unseen.errors import UserError

# The moves of the files heavenhell_1.pomdp to heavenhell_4.pomdp, as chains walked by one action; all others stay.
CHAINS = {
    1: {"N": ["4 0 1"], "S": ["1 0 4"], "W": ["1 2", "5 4"], "E": ["1 3", "4 5"]},
    2: {"N": ["7 0 1 2"], "S": ["2 1 0 7"], "W": ["2 3 4", "5 2", "9 8 7"], "E": ["3 2 5 6", "7 8 9"]},
    3: {"N": ["10 0 1 2 3"], "S": ["3 2 1 0 10"], "W": ["3 4 5 6", "8 7 3", "13 12 11 10"], "E": ["5 4 3 7 8 9", "10 11 12 13"]},
    4: {
        "N": ["13 0 1 2 3 4"],
        "S": ["4 3 2 1 0 13"],
        "W": ["4 5 6 7 8", "11 10 9 4", "17 16 15 14 13"],
        "E": ["7 6 5 4 9 10 11 12", "13 14 15 16 17"],
    },
}


def listed_moves(n: int) -> dict[tuple[int, str], int]:
    """(cell, action) -> cell, for the moves that go somewhere."""
    moves = {}
    for action, chains in CHAINS[n].items():
        for chain in chains:
            cells = [int(cell) for cell in chain.split()]
            moves |= {(a, action): b for a, b in itertools.pairwise(cells)}
    return moves


class SlowHeavenHell:
    """The rules, one `if` at a time."""

    def __init__(self, n: int):
        self.n, self.moves = n, listed_moves(n)

    def step(self, cell: int, heaven: str, action: str) -> tuple[int, int, float, bool]:
        left_end, right_end, priest = 2 * self.n, 3 * self.n, 4 * self.n + 1
        reward = 0.0
        if cell == left_end:
            reward = 1.0 if heaven == "left" else -1.0
        if cell == right_end:
            reward = 1.0 if heaven == "right" else -1.0
        arrived = self.moves.get((cell, action), cell)
        if arrived == priest:
            observation = {"left": priest, "right": priest + 1}[heaven]
        else:
            observation = arrived
        return arrived, observation, reward, cell in (left_end, right_end)


@pytest.mark.parametrize("n", CHAINS)
def test_every_state_and_action_follows_the_published_list(n: int) -> None:
    environment, slow = HeavenHell(n), SlowHeavenHell(n)
    cells, heavens, actions = (x.ravel() for x in np.meshgrid(np.arange(4 * n + 2), [0, 1], np.arange(4), indexing="ij"))
    states = HeavenHellState(jnp.asarray(cells, jnp.int32), jnp.asarray(heavens, jnp.int32))
    keys = jax.random.split(jax.random.key(0), len(cells))
    steps = jax.vmap(environment.step)(keys, states, jnp.asarray(actions, jnp.int32))
    for i, (cell, heaven, action) in enumerate(zip(cells.tolist(), heavens, actions)):
        expected = slow.step(cell, ["left", "right"][heaven], "NSEW"[action])
        seen = (int(steps.state.cell[i]), int(steps.observation[i]), float(steps.reward[i]), bool(steps.terminated[i]))
        assert seen == expected, (cell, heaven, action)
        assert int(steps.state.heaven[i]) == heaven


@pytest.mark.parametrize("n", CHAINS)
def test_random_walks_equal_the_slow_player(n: int) -> None:
    """10,000 steps each, the environment resetting where the slow player ends."""
    environment, slow, draw = HeavenHell(n), SlowHeavenHell(n), random.Random(n)
    actions = [draw.randrange(4) for _ in range(10_000)]
    starts = [draw.randrange(2) for _ in range(10_000)]

    def advance(state: HeavenHellState, inputs: tuple) -> tuple:
        action, fresh = inputs
        step = environment.step(jax.random.key(0), state, action)
        start = HeavenHellState(jnp.int32(0), fresh)
        after = jax.tree.map(lambda a, b: jnp.where(step.terminated, a, b), start, step.state)
        return after, (step, state)

    start = HeavenHellState(jnp.int32(0), jnp.int32(starts[-1]))
    inputs = (jnp.asarray(actions, jnp.int32), jnp.asarray(starts, jnp.int32))
    _, (steps, states) = jax.lax.scan(advance, start, inputs)
    observation, reward, terminated = (np.asarray(x).tolist() for x in (steps.observation, steps.reward, steps.terminated))
    seen_cells = np.asarray(states.cell).tolist()

    cell, heaven = 0, starts[-1]
    for t, action in enumerate(actions):
        assert seen_cells[t] == cell
        cell, *expected = slow.step(cell, ["left", "right"][heaven], "NSEW"[action])
        assert [observation[t], reward[t], terminated[t]] == expected
        if expected[-1]:
            cell, heaven = 0, starts[t]


def test_reset_shows_the_special_symbol_and_hides_a_fair_coin() -> None:
    observations, states = jax.vmap(HeavenHell(3).reset)(jax.random.split(jax.random.key(1), 4_000))
    assert np.unique(observations).tolist() == [15]
    assert np.unique(states.cell).tolist() == [0]
    assert abs(float(states.heaven.mean()) - 0.5) < 5 * 0.5 / 4_000**0.5


def test_signals_tell_what_they_say() -> None:
    told = HeavenHell(3).signals(jax.random.key(0), HeavenHellState(jnp.int32(9), jnp.int32(1)))
    assert {name: int(value) for name, value in told.items()} == {"heaven": 1, "position": 9, "state": 14 + 9}


@pytest.mark.parametrize(("limit", "memory", "oracle"), [(100, 1, 1), (15, 1, 1), (14, 0, 1), (7, 0, 1), (6, 0, 0)])
def test_references_know_the_time_limit(limit: int, memory: int, oracle: int) -> None:
    """With the priest first it takes 15 actions, knowing heaven 7."""
    references = HeavenHell(3, time_limit=limit).references("train")
    assert references.perfect_memory is not None
    assert references.oracle is not None
    assert (references.perfect_memory.mean, references.oracle.mean) == (memory, oracle)
    assert references.discounted["oracle"][1].mean == pytest.approx(oracle * 0.99**6, rel=1e-12)


def test_unknown_levels_are_user_errors() -> None:
    with pytest.raises(UserError, match="did you mean 'train'"):
        HeavenHell().references("trian")


def test_pictures_show_where_heaven_and_the_agent_are() -> None:
    environment = HeavenHell(3)
    pictures = {
        (cell, heaven): environment.draw(HeavenHellState(jnp.int32(cell), jnp.int32(heaven))) for cell in range(14) for heaven in range(2)
    }
    distinct = {picture.tobytes() for picture in pictures.values()}
    assert len(distinct) == 28
    corner = lambda picture: tuple(int(c) for c in picture[8, 8])  # noqa: E731  (the west end)
    assert corner(pictures[0, 0]) != corner(pictures[0, 1])
