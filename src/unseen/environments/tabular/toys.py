"""Taxi and Frozen Lake as tables, equal to Gymnasium's, and Taxi with a fixed destination."""

from __future__ import annotations

import numpy as np
from scipy import sparse  # pyright: ignore[reportMissingTypeStubs]

from unseen.environments.tabular.mdp import TabularMDP
from unseen.errors import UserError

CORNERS = ((0, 0), (0, 4), (4, 0), (4, 3))  # R, G, Y, B
ABOARD = 4
# Walls stand to the east of these cells.
WALLS = {(0, 1), (1, 1), (3, 0), (4, 0), (3, 2), (4, 2)}
MOVES = ((1, 0), (-1, 0), (0, 1), (0, -1))  # south, north, east, west
LAKE = ("SFFF", "FHFH", "FFFH", "HFFG")


def taxi(destination: int | None = None, rainy: bool = False) -> TabularMDP:
    """Fetch the passenger at one of four corners and deliver at another: 500 states, or 125 where the destination is fixed.

    State ((row 5 + column) 5 + passenger) 4 + destination. Actions: south, north, east, west, pick up, drop. Each step -1; an illegal
    pick-up or drop -10 in all; the delivery +20 and the end. Dropping at a wrong corner is legal and costs 1.

    Args:
        destination: 0 to 3 fixes it; None: one of four, part of the state.
        rainy: moves go astray to either side with 0.1 each.

    Source: Dietterich 2000; as in Gymnasium's Taxi. The fixed destination is the reading of a note's "25 x 5 states", unconfirmed.
    """
    if destination is not None and destination not in range(4):
        raise UserError(f"taxi: destination={destination!r}; allowed: 0 (R), 1 (G), 2 (Y), 3 (B), None")
    goals = range(4) if destination is None else (destination,)
    places = [(r, c, p, d) for r in range(5) for c in range(5) for p in range(5) for d in goals]
    index = {place: i for i, place in enumerate(places)}
    count = len(places)
    step, arrival = np.full((count, 6), -1.0), np.zeros(count)
    rows, columns, mass = [], [], []
    for (r, c, p, d), s in index.items():
        for a in range(6):
            for probability, (r2, c2) in _moved(r, c, a, rainy):
                passenger = p
                if a == 4:
                    if p < ABOARD and (r, c) == CORNERS[p]:
                        passenger = ABOARD
                    else:
                        step[s, a] = -10.0
                elif a == 5:
                    if p == ABOARD and (r, c) == CORNERS[d]:
                        passenger, step[s, a] = d, 20.0
                    elif p == ABOARD and (r, c) in CORNERS:
                        passenger = CORNERS.index((r, c))
                    else:
                        step[s, a] = -10.0
                rows.append(s * 6 + a)
                columns.append(index[r2, c2, passenger, d])
                mass.append(probability)
    there = np.array(places)
    waiting = (there[:, 2] < ABOARD) & (there[:, 2] != there[:, 3])
    kept = slice(None) if destination is None else slice(0, 3)
    return TabularMDP(
        name="taxi" if destination is None else f"taxi-{'RGYB'[destination]}",
        transition=sparse.csr_array((mass, (rows, columns)), shape=(count * 6, count)),
        step=step,
        arrival=arrival,
        terminal=there[:, 2] == there[:, 3],
        start=waiting / waiting.sum(),
        columns=there[:, kept],
        column_names=("row", "column", "passenger", "destination")[kept],
        action_names=("south", "north", "east", "west", "pick up", "drop"),
        time_limit=200,
    )


def _moved(row: int, column: int, action: int, rainy: bool) -> list[tuple[float, tuple[int, int]]]:
    """Where the taxi may be after an action, with probabilities."""
    if action >= 4:
        return [(1.0, (row, column))]
    here = (row, column)
    ahead = _beyond(here, action)
    if not rainy or ahead == here:
        return [(1.0, ahead)]
    sides = (2, 3) if action < 2 else (0, 1)
    return [(0.8, ahead), *((0.1, _beyond(here, side)) for side in sides)]


def _beyond(cell: tuple[int, int], action: int) -> tuple[int, int]:
    """The cell on that side, or the same one before a wall."""
    (r, c), (down, right) = cell, MOVES[action]
    blocked = (right == 1 and (r, c) in WALLS) or (right == -1 and (r, c - 1) in WALLS)
    return cell if blocked or not (0 <= r + down < 5 and 0 <= c + right < 5) else (r + down, c + right)


def frozen_lake(slippery: bool = True, success_rate: float = 1 / 3) -> TabularMDP:
    """Cross a frozen lake of 4 x 4 without falling into a hole: +1 at the goal, 0 otherwise; holes and goal end the episode.

    Actions: left, down, right, up. On slippery ice a move goes where it should with `success_rate`, else to either side.

    Source: as in Gymnasium's FrozenLake.
    """
    if not 0 < success_rate <= 1:
        raise UserError(f"frozen lake: success_rate={success_rate!r}; it must lie above 0 and at most at 1")
    size, moves = 4, ((0, -1), (1, 0), (0, 1), (-1, 0))
    letters = "".join(LAKE)
    terminal = np.array([letter in "HG" for letter in letters])
    transition = np.zeros((16, 4, 16))
    for s in range(16):
        for a in range(4):
            astray = (1 - success_rate) / 2
            for turned, p in ((0, success_rate), (-1, astray), (1, astray)) if slippery else ((0, 1.0),):
                down, right = moves[(a + turned) % 4]
                r, c = min(max(s // size + down, 0), size - 1), min(max(s % size + right, 0), size - 1)
                transition[s, a, s if terminal[s] else r * size + c] += p
    return TabularMDP(
        name="frozen-lake",
        transition=sparse.csr_array(transition.reshape(64, 16)),
        step=np.zeros((16, 4)),
        arrival=(np.array(list(letters)) == "G").astype(float),
        terminal=terminal,
        start=np.eye(16)[0],
        columns=np.stack([np.arange(16) // size, np.arange(16) % size], axis=1),
        column_names=("row", "column"),
        action_names=("left", "down", "right", "up"),
        time_limit=100,
    )
