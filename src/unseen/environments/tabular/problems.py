"""Three problems of the literature as tables: tiger, heaven-hell-n and shopping-n; and which environments are tables."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy import sparse  # pyright: ignore[reportMissingTypeStubs]

from unseen.environments.tabular.pomdp import TabularPOMDP, reduce_axes
from unseen.errors import UserError


def tiger() -> TabularPOMDP:
    """Two doors, a tiger behind one; listening costs 1 and is right with 0.85. Opening a door starts afresh; it never ends.

    Source: Kaelbling, Littman & Cassandra 1998, section 5.1.
    """
    transition = np.stack([np.eye(2), np.full((2, 2), 0.5), np.full((2, 2), 0.5)])
    observation = np.stack([np.array([[0.85, 0.15], [0.15, 0.85]]), np.full((2, 2), 0.5), np.full((2, 2), 0.5)])
    return TabularPOMDP.from_tables(
        transition,
        observation,
        np.array([[-1.0, -1.0], [-100.0, 10.0], [10.0, -100.0]]),
        discount=0.95,
        state_names=("tiger-left", "tiger-right"),
        action_names=("listen", "open-left", "open-right"),
        observation_names=("hear-left", "hear-right"),
    )


def heavenhell(n: int) -> TabularPOMDP:
    """Heaven at one end of a T-shaped corridor, hell at the other; only a priest, the other way, knows which.

    Cells: 0 is the start, north of it 1..n with the junction at n; 2n is the west end and 3n the east end; 3n + 1 lies
    south of the start, from where the corridor runs east to the priest in 4n + 1. State = cell + (4n + 2) * [heaven is right].
    Every action taken at an end pays +1 in heaven, -1 in hell, and ends the episode; all else pays 0.

    Args:
        n: length of the arms, at least 1; the papers use 3.

    Source: Geffner & Bonet 1998; the layout of the public generator of episodic files.
    """
    if n < 1:
        raise UserError(f"heavenhell({n}): the arms need a length of at least 1")
    cells, west_end, east_end, below, priest = 4 * n + 2, 2 * n, 3 * n, 3 * n + 1, 4 * n + 1
    column = [priest - n, *range(n + 1)]  # the cell below the start, then start..junction, going north
    upper = [*range(west_end, n, -1), n, *range(2 * n + 1, east_end + 1)]  # west end..junction..east end, going east
    lower = [*range(below, priest + 1)]
    north = dict(pairwise(column))
    south = dict(pairwise(reversed(column)))
    east = dict(zip([*upper[:-1], *lower[:-1]], [*upper[1:], *lower[1:]]))
    west = dict(zip([*upper[1:], *lower[1:]], [*upper[:-1], *lower[:-1]]))
    for moves in (east, west):  # an end is left only by the end of the episode
        moves.pop(west_end, None)
        moves.pop(east_end, None)

    states = 2 * cells
    transition = np.zeros((4, states, states))
    observation = np.zeros((4, states, cells + 1))
    reward = np.zeros((1, states))
    terminal = np.zeros((4, states), bool)
    for side in (0, 1):
        for cell in range(cells):
            state = side * cells + cell
            for action, moves in enumerate((north, south, east, west)):
                transition[action, state, side * cells + moves.get(cell, cell)] = 1.0
            observation[:, state, cell if cell != priest else cells - 1 + side] = 1.0
            if cell in (west_end, east_end):
                terminal[:, state] = True
                reward[0, state] = 1.0 if (cell == east_end) == (side == 1) else -1.0
    start = np.zeros(states)
    start[[0, cells]] = 0.5
    return TabularPOMDP.from_tables(
        transition,
        observation,
        reward,
        start,
        terminal=terminal,
        discount=0.99,
        state_names=[f"{side}-{cell}" for side in ("left", "right") for cell in range(cells)],
        action_names=("N", "S", "E", "W"),
        observation_names=(*(f"o{cell}" for cell in range(cells - 1)), "left", "right"),
    )


def shopping(n: int) -> TabularPOMDP:
    """Find the item in an n x n shop and buy it: `query` tells where it is, every other action where the agent is.

    State = agent (x, y), item (x, y), in this order; the item never moves. The agent starts in (0, 0), the item anywhere.
    A move costs 1, a query 2, buying in the wrong cell 5; buying the item pays 10 and ends the episode.

    Args:
        n: side of the shop, at least 1; the papers use 5.

    Source: the public generator of the file `shopping_n.v1`.
    """
    if n < 1:
        raise UserError(f"shopping({n}): the shop needs a side of at least 1")
    cells = n * n
    agent, item = np.divmod(np.arange(cells * cells), cells)
    x, y = np.divmod(agent, n)
    last = n - 1
    # query, left, right, up, down, buy: the agent's next cell
    moved = (agent, np.maximum(x - 1, 0) * n + y, np.minimum(x + 1, last) * n + y)
    moved = (*moved, x * n + np.minimum(y + 1, last), x * n + np.maximum(y - 1, 0), agent)
    states = len(agent)
    found = agent == item
    reward = np.repeat(np.array([-2.0, -1.0, -1.0, -1.0, -1.0, -5.0])[:, None], states, axis=1)
    reward[5, found] = 10.0
    terminal = np.zeros((6, states), bool)
    terminal[5] = found
    start = np.where(agent == 0, 1.0 / cells, 0.0)
    # As sparse rows from the beginning: dense ones would have 6 n^8 entries. Where the item is bought a new episode begins.
    width = np.where(terminal.reshape(-1), cells, 1)
    next_state = np.repeat(np.concatenate([cell * cells + item for cell in moved]), width)
    ends = np.repeat(terminal.reshape(-1), width)
    next_state[ends] = np.tile(np.flatnonzero(start), cells)
    transition = sparse.csr_array(
        (np.where(ends, 1.0 / cells, 1.0), next_state, np.concatenate([[0], np.cumsum(width)])), shape=(6 * states, states)
    )
    symbol = np.concatenate([cells + item, np.tile(agent, 5)])
    observation = sparse.csr_array((np.ones(6 * states), symbol, np.arange(6 * states + 1)), shape=(6 * states, 2 * cells))
    corner = [f"{i // n}_{i % n}" for i in range(cells)]
    return TabularPOMDP(
        transition,
        observation,
        reduce_axes(reward[:, :, None, None]),
        start,
        terminal,
        0.99,
        state_names=tuple(f"agent_{a}_item_{i}" for a in corner for i in corner),
        action_names=("query", "left", "right", "up", "down", "buy"),
        observation_names=tuple(f"{who}_{cell}" for who in ("agent", "item") for cell in corner),
    )


def table_of(environment: object) -> TabularPOMDP | None:
    """The tables that an environment plays from or is known to agree with, actions in the same order; None where there are none.

    A shop of more than 12 x 12 has too many states for the exact tools.
    """
    from unseen.environments.navigation.heavenhell import HeavenHell
    from unseen.environments.navigation.shopping import Shopping
    from unseen.environments.tabular.environment import TabularEnvironment

    # Not subclasses: those may change the rules.
    if type(environment) is TabularEnvironment:
        return environment.pomdp
    if type(environment) is HeavenHell:
        return heavenhell(environment.n)
    if type(environment) is Shopping and environment.n <= 12:
        return shopping(environment.n)
    return None
