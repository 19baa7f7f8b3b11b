"""The gallery of the memory suite: a strip of pictures for each task in both embodiments, and the level tables from the data.

Writes `docs/memory-suite.md` and `docs/images/memory/*.png`. The moments are states of one draw, put together by hand, so that both
strips of a task show the same trial.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from unseen.environments.memory_suite import chambers, compact_screen, screen, transitive_inference, walker
from unseen.environments.memory_suite.suite import TASKS, task

DOCS = Path(__file__).parents[1] / "docs"
IMAGES = DOCS / "images" / "memory"
HEIGHT = 216  # of a picture in a strip
KEY = 7

Moment = tuple[str, np.ndarray, np.ndarray]  # what it shows, compact card, first-person picture


def screens(name: str, compact: Any, first: Any) -> Iterator[Moment]:
    """Every stage of the first trial, and feedback after the right answer."""
    params = first.levels["train"][0][1]
    _, gazing = first.reset(jax.random.key(KEY), params)
    gazing = gazing._replace(x=jnp.int32(250), y=jnp.int32(300))
    drawn, progress = gazing.drawn, gazing.progress
    trial = compact.task.trial(drawn, progress)
    for k, stage in enumerate(compact.task.stages):
        if stage.name in ("second delay", "test"):
            continue
        zero = jnp.int32(0)
        turn = compact_screen.CompactState(drawn, progress, jnp.int32(k), zero, trial.correct)
        button = compact.task.buttons[int(trial.correct)]
        x, y = (button.left + button.right) // 2, (button.top + button.bottom) // 2
        at = gazing._replace(stage=jnp.int32(k), chosen=trial.correct)
        if stage.kind == screen.FEEDBACK:
            at = at._replace(x=jnp.int32(x), y=jnp.int32(y))
        yield stage.name, compact.picture(compact.observe(turn)), np.asarray(first.observe(at))


def lands(name: str, compact: Any, first: Any) -> Iterator[Moment]:
    """The first start, and three places on the way to the goal."""
    from unseen.environments.memory_suite import paths
    from unseen.environments.memory_suite.land import SIZE
    from unseen.environments.memory_suite.sight import HEADINGS

    params = first.levels["train"][-1][1]
    _, grid = compact.reset(jax.random.key(KEY), params)
    goal = int(grid.land.goal[0]) * SIZE + int(grid.land.goal[1])
    distance = np.asarray(paths.distances(grid.land.cells > 0, jnp.int32(goal)))
    row, column, heading = int(grid.row), int(grid.column), int(grid.heading)
    way = [(row, column, heading)]
    while distance[row, column] > 0:
        options = [(distance[row + d, column + r], h) for h, (d, r) in enumerate(HEADINGS)]
        heading = min(options, key=lambda o: (o[0], o[1] != heading))[1]
        row, column = row + int(HEADINGS[heading][0]), column + int(HEADINGS[heading][1])
        way.append((row, column, heading))
    last = next(k for k in range(len(way)) if all(h == heading for _, _, h in way[k + 1 :]))  # from here it is straight ahead
    before = (*way[max(last, len(way) - 4)][:2], heading)
    spots = [way[0], way[len(way) // 3], way[2 * len(way) // 3], before]
    for words, spot in zip(("a start", "on the way", "on the way", "before the goal"), spots, strict=True):
        pose = tuple(jnp.int32(v) for v in spot)
        after = grid._replace(row=pose[0], column=pose[1], heading=pose[2])
        _, walking = first.reset(jax.random.key(KEY), params)
        x, y, angle = walker.at(*pose)
        seen = first.observe(walking._replace(land=grid.land, x=x, y=y, heading=angle))
        yield words, compact.picture(compact.observe(after)), np.asarray(seen)


def rooms(name: str, compact: Any, first: Any) -> Iterator[Moment]:
    """Room 1, the corridor, room 2; of moving blocks both rooms twice, half a second apart."""
    params = first.levels["train"][-1][1]
    _, grid = compact.reset(jax.random.key(KEY), params)
    _, walking = first.reset(jax.random.key(KEY), params)
    zero = jnp.int32(0)
    passive = compact.task.start == chambers.FACING
    first_room = ((4, 1, 1) if passive else (4, 7, 3), chambers.ROOM)
    corridor = "the corridor", (4, 9, 1), chambers.WAITING, 24
    opens = "the door opens", chambers.THRESHOLD, chambers.OPEN, 24
    second_room = ((4, 17, 3) if passive else (4, 13, 1), chambers.OPEN)
    if compact.task.moving:
        views = [("room 1", *first_room, 24), ("half a second later", *first_room, 54), corridor]
        views += [("room 2", *second_room, 24), ("half a second later", *second_room, 54)]
    else:
        views = [("room 1", *first_room, 24), corridor, opens, ("room 2", *second_room, 24)]
    for words, place, phase, ticks in views:
        progress = chambers.Progress(zero, jnp.int32(phase), jnp.int32(480), jnp.int32(ticks))
        pose = tuple(jnp.int32(v) for v in place)
        x, y, angle = walker.at(*pose)
        turn = grid._replace(progress=progress, row=pose[0], column=pose[1], heading=pose[2])
        seen = first.observe(walking._replace(blocks=grid.blocks, progress=progress, x=x, y=y, heading=angle))
        yield words, compact.picture(compact.observe(turn)), np.asarray(seen)


def pairs(name: str, compact: Any, first: Any) -> Iterator[Moment]:
    """Two demonstrations, the blank, a challenge."""
    params = first.levels["train"][-1][1]
    _, turn = compact.reset(jax.random.key(KEY), params)
    _, walking = first.reset(jax.random.key(KEY), params)
    logic = transitive_inference
    for words, item, phase in (
        ("demonstration 1", 0, logic.DEMONSTRATION),
        ("demonstration 2", 1, logic.DEMONSTRATION),
        ("blank", 0, logic.BLANK),
        ("challenge", 0, logic.CHALLENGE),
    ):
        progress = logic.Progress(jnp.int32(0), jnp.int32(item), jnp.int32(phase), jnp.int32(100), jnp.int32(0))
        seen = first.observe(walking._replace(chains=turn.chains, progress=progress))
        yield words, compact.picture(compact.observe(turn._replace(progress=progress))), np.asarray(seen)


FAMILIES = {"screen": screens, "land": lands, "chambers": rooms, "ordering": pairs}


def strip(pictures: list[np.ndarray]) -> Image.Image:
    """Pictures of one height side by side, pixels kept sharp."""
    scaled = []
    for picture in pictures:
        factor = HEIGHT / picture.shape[0]
        size = round(picture.shape[1] * factor), HEIGHT
        kind = Image.Resampling.NEAREST if picture.shape[0] < HEIGHT else Image.Resampling.BOX
        scaled.append(Image.fromarray(picture).resize(size, kind))
    gap = 6
    whole = Image.new("RGB", (sum(s.width for s in scaled) + gap * (len(scaled) - 1), HEIGHT), (150, 150, 150))
    x = 0
    for picture in scaled:
        whole.paste(picture, (x, 0))
        x += picture.width + gap
    return whole


def words_of(space: gymnasium.Space) -> str:
    if isinstance(space, gymnasium.spaces.MultiDiscrete):
        return f"{len(space.nvec)} categories"
    if isinstance(space, gymnasium.spaces.Box):
        return " × ".join(map(str, space.shape)) + " bytes"
    return f"{int(space.n)} ({space})"  # pyright: ignore[reportAttributeAccessIssue]


def paragraphs(name: str) -> list[str]:
    """What a task says about itself."""
    doc = (type(task(name)).__doc__ or "").split("\n\n    Source:")[0]
    return [" ".join(part.split()) for part in doc.split("\n\n")]


def numbers(compact: Any) -> list[str]:
    """What the compact observation and the signals hold, in the words of the code."""
    doc = inspect.cleandoc(type(compact).__doc__ or "").split("\n\n")
    lines = [" ".join(part.split()) for part in doc if part.startswith(("Observation:", "Signals:"))]
    if hasattr(compact.task, "feature_names"):
        looks = ", ".join(f"{k} {look}" for k, look in enumerate(screen.looks(compact.task)))
        names = ", ".join(["screen", *compact.action_names[1:], *compact.task.feature_names])
        lines += [f"Screens: {looks}.", f"The numbers in turn: {names}.", f"Its own signals: {compact.task.hidden_spaces.__doc__.strip()}"]
    return "\n\n".join(lines).split("\n")


def level_table(environment: Any) -> list[str]:
    """A row for each level: what differs, and how many steps an episode has at most."""
    lines = ["| level | stimuli | scale | steps at most |", "| --- | --- | --- | --- |"]
    for level, mixture in environment.levels.items():
        stimuli = "holdout" if bool(mixture[0][1].holdout) else "train"
        scale = "; ".join((f"{weight:g} of " if len(mixture) > 1 else "") + scale_words(params) for weight, params in mixture)
        steps = " / ".join(sorted({str(environment.horizon(params)) for _, params in mixture}))
        lines.append(f"| `{level}` | {stimuli} | {scale} | {steps} |")
    return lines


def scale_words(params: Any) -> str:
    """The numbers of a level in words."""
    if hasattr(params, "trials"):
        delays = np.asarray(params.delays)[: int(params.delay_count)].tolist()
        return f"{int(params.trials)} trials" + (f", delays of {', '.join(map(str, delays))} frames" if delays else "")
    if hasattr(params, "delay"):
        fewest, most = int(params.fewest), int(params.most)
        return f"{int(params.delay) / 60:g} s, {fewest if fewest == most else f'{fewest} to {most}'} blocks"
    if hasattr(params, "length"):
        return f"chain of {int(params.length)}"
    rows = f"goal rows {int(params.first_row) + 1} to {int(params.last_row) + 1}"
    if int(params.rooms):
        kind = f"up to {int(params.rooms)} rooms of up to {int(params.room_side)}, {int(params.goals)} goal cells each"
    else:
        kind = f"{int(params.buildings)} buildings" if int(params.buildings) else "empty"
    return f"side {int(params.side)} m, {kind}, {rows}"


HEAD = """# The memory suite: gallery and levels

Thirteen tasks after Fortunato et al. 2019, each in two embodiments of the same logic: `memory/TASK`, turn-based and categorical, for
fast science on a CPU; `memory-fp/TASK`, in first person, RGB pictures of 96 by 72 pixels (`width=64, height=64` for smaller ones). The
same key gives the same trials in both. What comes from the released levels, and what is proposed here because it was never
published, is told task by task in [methods and papers](paper_index.md#the-memory-suite).

```bash
unseen train memory/change-detection --algorithm ppo   # a GRU agent on the training level
unseen play memory-fp/visible-goal-with-buildings      # play it yourself, with what the agent sees
```

Levels part *stimulus* (which things) from *scale* (how much, or for how long): `holdout_interpolate` and `holdout_extrapolate` change
both; `interpolate` and `extrapolate` keep the training stimuli; `holdout_train`, or `holdout_small` and `holdout_large`, keep the
training scale. Reference scores and what a GRU agent learns: [results](results/memory.md). This page is written by
`python benchmarks/memory_gallery.py`.
"""


def main() -> None:
    import unseen

    IMAGES.mkdir(parents=True, exist_ok=True)
    lines = [HEAD]
    for name, (family, _, _) in TASKS.items():
        compact, first = unseen.make(f"memory/{name}"), unseen.make(f"memory-fp/{name}")
        moments = list(FAMILIES[family](name, compact, first))
        for kind, k in (("compact", 1), ("fp", 2)):
            strip([moment[k] for moment in moments]).save(IMAGES / f"{name}-{kind}.png", optimize=True)
        seen = ", ".join(moment[0] for moment in moments)
        lines += [f"## {name}", "", "\n\n".join(paragraphs(name)), ""]
        lines += [f"![{name}, compact: {seen}](images/memory/{name}-compact.png)", ""]
        lines += [f"![{name}, first person: {seen}](images/memory/{name}-fp.png)", ""]
        lines += [f"*From left to right: {seen}. Above compact, below first person.*", ""]
        params = compact.levels["train"][0][1]
        lines += ["| | observation | actions |", "| --- | --- | --- |"]
        for environment in (compact, first):
            actions = ", ".join(environment.action_names)
            lines.append(f"| `{environment.name}` | {words_of(environment.observation_space(params))} | {actions} |")
        lines += ["", *numbers(compact), ""]
        signals = ", ".join(f"`{signal}`" for signal in first.signal_spaces(params))
        lines += [f"All signals: {signals} (the last in first person only).", "", "Levels, compact:", "", *level_table(compact), ""]
        lines += ["Levels, first person:", "", *level_table(first), ""]
        print(name, seen, flush=True)
    (DOCS / "memory-suite.md").write_text("\n".join(lines).rstrip() + "\n", "utf-8")


if __name__ == "__main__":
    main()
