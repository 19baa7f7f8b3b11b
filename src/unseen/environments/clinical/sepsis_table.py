"""A sepsis-like patient as a table: four vital signs, three treatments, and a diabetes that may be hidden."""

from __future__ import annotations

from itertools import product

import numpy as np
from jaxtyping import Float
from scipy import sparse  # pyright: ignore[reportMissingTypeStubs]

from unseen.environments.tabular.mdp import TabularMDP

LEVELS = {"diabetes": 2, "heart_rate": 3, "pressure": 3, "oxygen": 2, "glucose": 5, "antibiotic": 2, "vasopressor": 2, "ventilator": 2}
NORMAL = {"heart_rate": 1, "pressure": 1, "oxygen": 1, "glucose": 2}
DIABETES = 0.2
START = {
    "heart_rate": (0.25, 0.5, 0.25),
    "pressure": (0.25, 0.5, 0.25),
    "oxygen": (0.2, 0.8),
}
START_GLUCOSE = ((0.05, 0.15, 0.6, 0.15, 0.05), (0.01, 0.05, 0.15, 0.6, 0.19))  # without and with diabetes


def sepsis(fixed_glucose: bool = True) -> TabularMDP:
    """1,440 states: diabetes, heart rate, pressure, oxygen, glucose, and which of three treatments are on.

    Actions 0 to 7 = 4 antibiotic + 2 ventilation + 1 vasopressor, each on or off for the step. Three abnormal vital signs end the
    episode with -1; none, with no treatment on, ends it with +1. All randomness is finite, so the kernel is exact: vital signs change
    independently of each other, given diabetes and treatments.

    Args:
        fixed_glucose: a rise of glucose without diabetes is capped at the highest level; False keeps the published code's slip, which
            caps it at level 1, so that it can fall by rising.

    Source: Oberst & Sontag 2019, their public simulator; the slip is its issue 1.
    """
    shape = tuple(LEVELS.values())
    table = np.array(list(product(*(range(n) for n in shape))))
    states, actions = len(table), 8
    sizes = (3, 3, 2, 5)
    rows, columns, mass = [], [], []
    vital = np.array(list(product(*(range(n) for n in sizes))))
    for s, (diabetes, heart, pressure, oxygen, glucose, *before) in enumerate(table.tolist()):
        for a in range(actions):
            now = (a >> 2 & 1, a & 1, a >> 1 & 1)  # antibiotic, vasopressor, ventilator, as in the state
            laws = (
                heart_law(before[0], now[0])[heart],
                pressure_law(diabetes, before[0], now[0], before[1], now[1])[pressure],
                oxygen_law(before[2], now[2])[oxygen],
                glucose_law(diabetes, now[1], fixed_glucose)[glucose],
            )
            p = laws[0][vital[:, 0]] * laws[1][vital[:, 1]] * laws[2][vital[:, 2]] * laws[3][vital[:, 3]]
            some = p > 0
            full = np.column_stack([np.full(some.sum(), diabetes), vital[some], np.tile(now, (some.sum(), 1))])
            rows.append(np.full(some.sum(), s * actions + a))
            columns.append(np.ravel_multi_index(tuple(full.T), shape))
            mass.append(p[some])
    abnormal = sum((table[:, list(LEVELS).index(name)] != level).astype(int) for name, level in NORMAL.items())
    dead, well = abnormal >= 3, (abnormal == 0) & (table[:, 5:].sum(axis=1) == 0)
    return TabularMDP(
        name="sepsis",
        transition=sparse.csr_array(
            (np.concatenate(mass), (np.concatenate(rows), np.concatenate(columns))), shape=(states * actions, states)
        ),
        step=np.zeros((states, actions)),
        arrival=well.astype(float) - dead,
        terminal=dead | well,
        start=_start(table, dead | well),
        columns=table,
        column_names=tuple(LEVELS),
        action_names=tuple(
            " + ".join(n for n, on in zip(("antibiotic", "ventilation", "vasopressor"), (a >> 2 & 1, a >> 1 & 1, a & 1)) if on) or "none"
            for a in range(actions)
        ),
        time_limit=20,
    )


def fluctuation(levels: int, rate: float = 0.1) -> Float[np.ndarray, "l l"]:
    """One level down with `rate`, one up with `rate`, clipped."""
    law = np.zeros((levels, levels))
    for x in range(levels):
        law[x, max(x - 1, 0)] += rate
        law[x, min(x + 1, levels - 1)] += rate
        law[x, x] += 1 - 2 * rate
    return law


def moved(levels: int, moves: dict[tuple[int, int], float]) -> Float[np.ndarray, "l l"]:
    """From one level to another with a probability; else it stays."""
    law = np.eye(levels)
    for (x, y), p in moves.items():
        law[x, y] += p
        law[x, x] -= p
    return law


def heart_law(before: int, now: int) -> Float[np.ndarray, "3 3"]:
    """Of the heart rate: antibiotics calm it, stopping them raises it, else it fluctuates."""
    if now:
        return moved(3, {(2, 1): 0.5})
    return moved(3, {(1, 2): 0.1}) if before else fluctuation(3)


def pressure_law(diabetes: int, before: int, now: int, vaso_before: int, vaso_now: int) -> Float[np.ndarray, "3 3"]:
    """Of the systolic pressure: antibiotics first, then vasopressors; it fluctuates only where neither acts or is taken off."""
    law, still = np.eye(3), False
    if now:
        law, still = moved(3, {(2, 1): 0.5}), True
    elif before:
        law, still = moved(3, {(1, 2): 0.1}), True
    if vaso_now:
        up = {(1, 2): 0.9, (0, 1): 0.5, (0, 2): 0.4} if diabetes else {(0, 1): 0.7, (1, 2): 0.7}
        return law @ moved(3, up)
    if vaso_before:
        down = 0.05 if diabetes else 0.1
        return law @ moved(3, {(1, 0): down, (2, 1): down})
    return law if still else fluctuation(3)


def oxygen_law(before: int, now: int) -> Float[np.ndarray, "2 2"]:
    """Of the oxygen saturation."""
    if now:
        return moved(2, {(0, 1): 0.7})
    return moved(2, {(1, 0): 0.1}) if before else fluctuation(2)


def glucose_law(diabetes: int, vaso_now: int, fixed: bool) -> Float[np.ndarray, "5 5"]:
    """Of the glucose: vasopressors raise it with diabetes and hold it without; else it fluctuates."""
    if vaso_now:
        return moved(5, {(x, x + 1): 0.5 for x in range(4)}) if diabetes else np.eye(5)
    law = fluctuation(5, 0.3 if diabetes else 0.1)
    if not fixed and not diabetes:
        for x in range(5):
            law[x, min(x + 1, 4)] -= 0.1
            law[x, min(x + 1, 1)] += 0.1
    return law


def _start(table: np.ndarray, absorbing: np.ndarray) -> Float[np.ndarray, "S"]:
    """Vital signs drawn independently, treatments off, redrawn where the episode would be over."""
    p = np.where(table[:, 0] == 1, DIABETES, 1 - DIABETES)
    for name, law in START.items():
        p = p * np.array(law)[table[:, list(LEVELS).index(name)]]
    p = p * np.array(START_GLUCOSE)[table[:, 0], table[:, 4]]
    p = np.where((table[:, 5:].sum(axis=1) == 0) & ~absorbing, p, 0.0)
    return p / p.sum()
