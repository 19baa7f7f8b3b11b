"""The quickstart's section on the past: a memory task, what it looks like, and what remembering is worth in it."""

from __future__ import annotations

import io

import numpy as np

from unseen.reports.blocks import Code, Pictures, Section, Table, Text
from unseen.reports.statistics import Interval

TASK = "memory/change-detection"
SHOWN = ("change-detection", "spot-diff-passive", "visible-goal-with-buildings", "transitive-inference")
LEVELS = ("train", "holdout_interpolate", "holdout_extrapolate")
PLAYERS = {"random": "random actions", "memoryless": "always the same answer", "perfect_memory": "remembers what was shown"}


def past_section(episodes: int = 400) -> Section:
    """Reference players of one task, measured now, and early pictures of four."""
    import jax

    import unseen
    from unseen.environments.memory_suite.players.cast import players
    from unseen.environments.memory_suite.players.measure import play

    print(f"{TASK}: what is remembering worth?", flush=True)
    environment = unseen.make(TASK)
    cast = players(environment)
    rows = []
    for name, words in PLAYERS.items():
        cells: list[str | Interval] = [words]
        for level in LEVELS:
            returns = play(environment, level, cast[name], episodes, jax.random.key(0))
            middle, error = float(returns.mean()), float(returns.std(ddof=1) / len(returns) ** 0.5)
            cells.append(Interval(middle, middle - 1.96 * error, middle + 1.96 * error))
        rows.append(cells)
    table = Table(
        ["who plays", "training level", "held out, interpolate", "held out, extrapolate"],
        rows,
        f"Right answers in 10 trials, {episodes} episodes each, 95 % intervals.",
    )
    told = Text(
        "Some coloured symbols, a blank screen, the symbols again: did one change? What was seen must be kept over a delay, and "
        "levels that training never shows have other colours and longer delays. Thirteen such tasks come in two forms: turn by turn, "
        "for fast experiments on a CPU, and in first person, as below."
    )
    pictures = Pictures(
        [_strip(SHOWN)],
        "What four of the tasks look like in first person: " + ", ".join(SHOWN) + ".",
        "First-person views of memory tasks",
    )
    again = Code(f"unseen train {TASK} --algorithm ppo\nunseen play memory-fp/visible-goal-with-buildings")
    return Section("What was seen before", [told, table, pictures, again])


def _strip(names: tuple[str, ...]) -> bytes:
    """A PNG of an early observation of each task, side by side, twice its size."""
    from PIL import Image

    strip = Image.fromarray(np.concatenate([_early(name) for name in names], axis=1))
    buffer = io.BytesIO()
    strip.resize((strip.width * 2, strip.height * 2), Image.Resampling.NEAREST).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _early(name: str) -> np.ndarray:
    import jax

    import unseen

    environment = unseen.make(f"memory-fp/{name}")
    params = environment.levels["train"][0][1]

    @jax.jit
    def picture(key: jax.Array) -> jax.Array:
        _, state = environment.reset(key, params)
        if hasattr(state, "stage"):  # a screen shows nothing but a cross before its first trial
            state = state._replace(stage=jax.numpy.int32(1))
        return environment.observe(state)

    return np.asarray(picture(jax.random.key(4)))
