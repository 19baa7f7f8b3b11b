"""A picture of a table's state for people: every state as a cell, and what each action would do from here."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from unseen.environments.tabular.pomdp import TabularPOMDP

_SIDE, _GAP, _LINE, _BAR = 300, 14, 22, 120  # pixels: the grid of states, margins, one action, its longest bar
_MOST_ACTIONS = 12
_PAPER, _INK, _FAINT = (250, 250, 248), (25, 28, 34), (214, 220, 228)
_HERE, _NEXT, _GAIN, _LOSS = (0, 100, 200), (225, 150, 0), (0, 140, 100), (200, 80, 20)


def picture(pomdp: TabularPOMDP, state: int) -> np.ndarray:
    """uint8 RGB, shape (height, width, 3).

    Left: one cell per state; blue is the present one, orange those one step away. Right: the expected reward of each
    action as a bar, and whether it ends the episode.
    """
    actions, states, _ = pomdp.shape
    columns = math.ceil(math.sqrt(states))
    cell = max(2, _SIDE // columns)
    grid = columns * cell
    shown = min(actions, _MOST_ACTIONS)
    top = 2 * _GAP + _LINE
    height = top + max(math.ceil(states / columns) * cell, (shown + 1) * _LINE) + _GAP
    image = Image.new("RGB", (3 * _GAP + grid + 2 * _BAR + 190, height), _PAPER)
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(size=14)
    pen.text((_GAP, _GAP), f"state {pomdp.state_names[state]}  ({state + 1} of {states})", fill=_INK, font=font)

    going_on = [joint for a, joint in enumerate(pomdp.joint) if not pomdp.terminal[a, state]]
    reachable = {s for joint in going_on for s in joint.next_state[joint.first[state] : joint.first[state + 1]].tolist()}
    for s in range(states):
        left, up = _GAP + s % columns * cell, top + s // columns * cell
        colour = _HERE if s == state else _NEXT if s in reachable else _FAINT
        pen.rectangle((left, up, left + max(cell - 2, 1), up + max(cell - 2, 1)), fill=colour)

    rewards = pomdp.expected_reward
    longest = np.abs(rewards).max() or 1.0
    left = 2 * _GAP + grid
    for a in range(shown):
        up, reward = top + a * _LINE, float(rewards[a, state])
        pen.text((left, up), _short(pomdp.action_names[a], 12), fill=_INK, font=font)
        middle = left + 100 + _BAR
        edge = middle + round(_BAR * reward / longest)
        pen.rectangle((min(middle, edge), up + 3, max(middle, edge), up + 14), fill=_GAIN if reward >= 0 else _LOSS)
        pen.text((middle + _BAR + 8, up), f"{reward:+.3g}" + ("  ends" if pomdp.terminal[a, state] else ""), fill=_INK, font=font)
    if shown < actions:
        pen.text((left, top + shown * _LINE), f"and {actions - shown} more actions", fill=_INK, font=font)
    return np.asarray(image, np.uint8)


def _short(name: str, most: int) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"
