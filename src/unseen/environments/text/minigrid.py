"""MiniGrid and BabyAI in words: what the agent's view of 7 by 7 cells shows, said in sentences.

Source: Chevalier-Boisvert et al. 2023 (MiniGrid), Chevalier-Boisvert et al. 2019 (BabyAI). The sentences are ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from unseen.environments.adapters.gymnasium_ids import find, make_gymnasium
from unseen.environments.text.contract import TextObservation
from unseen.environments.text.gymnasium import GymnasiumText
from unseen.errors import UserError

MEANINGS = {
    "turn left": "turn a quarter to your left",
    "turn right": "turn a quarter to your right",
    "go forward": "take a step, where nothing is in the way",
    "pick up": "take what is in front of you, where your hands are empty",
    "drop": "put what you carry in front of you, where nothing is",
    "toggle": "open or close the door in front of you (a locked one needs a key of its color), or open a box",
    "done": "say that you have done what you were asked to",
}
ASKED = ("GoToDoorEnv", "GoToObjectEnv")  # the levels in which "done" means something
HEADINGS = ("east", "south", "west", "north")
DOORS = ("an open", "a closed", "a locked")
SEEN_AS_ONE = ("wall", "lava", "floor")  # of these, cells in a row are one thing to say
PER_KIND = {"action": 1, "and": 2, "seq": 4}  # how many actions a BabyAI mission of this kind has at most


class Cells(NamedTuple):
    """A thing, or a straight row of things, in columns and rows; both ends count."""

    name: str
    first: tuple[int, int]
    last: tuple[int, int]


class Sights(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Puts into the info what has come into sight for the first time in the episode; copied with the level, it never forgets."""

    def __init__(self, environment: gymnasium.Env[Any, Any]):
        super().__init__(environment)
        self.met: frozenset[str] = frozenset()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        _, info = self.env.reset(seed=seed, options=options)
        level: Any = self.env.unwrapped
        observation = level.gen_obs()  # BabyAI puts things into the agent's hands after it has made the one that it returns
        self.met = _kinds(observation["image"])
        return observation, {**info, "new": ()}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        new = _kinds(observation["image"]) - self.met
        self.met |= new
        return observation, reward, terminated, truncated, {**info, "new": tuple(sorted(new))}


def minigrid_text(name: str = "BabyAI-GoToRedBall-v0", *, max_steps: int | None = None, **options: Any) -> GymnasiumText:
    """A level of MiniGrid or BabyAI in words.

    Told: the mission, what is carried, what is in front and where everything in sight is; not the heading, which MiniGrid's own
    observations have. Events: `first NAME`, a kind of thing that had not been in sight. Progression is 1 once the mission has succeeded.
    Signals: `position` with the heading; `grid`, everything there is; `goal`, where the goal or what a BabyAI mission speaks of is.
    An illegal word takes a step of `max_steps`, though none of the level's own count, from which the reward follows.

    Args:
        name: a Gymnasium id, such as "MiniGrid-DoorKey-5x5-v0".
        max_steps: after which the episode is cut. Left out, the level's own; where that follows the mission, the longest there can be.
        options: of the level, as `gymnasium.make` takes them.

    Raises:
        UserError: minigrid is not installed, an unknown name, or a level that is not MiniGrid's.
    """
    try:
        from minigrid.minigrid_env import MiniGridEnv
    except ModuleNotFoundError as error:
        raise UserError(f"{name!r} needs the package minigrid; run: pip install 'unseen[minigrid]'") from error
    find(name)
    made = make_gymnasium(name, options).unwrapped
    if not isinstance(made, MiniGridEnv):
        raise UserError(f"{name!r} is a {type(made).__name__} and no level of MiniGrid; give GymnasiumText a describe of your own for it")
    level: Any = made  # what levels have besides is theirs
    if max_steps is None:
        max_steps = _longest(level)
    else:  # not as an option of the level: not every one takes it
        level.max_steps, level.fixed_max_steps = max_steps, True
    count = int(getattr(level.action_space, "n", 0))
    words = [word for word in list(MEANINGS)[:count] if word != "done" or _asks(level)]
    return GymnasiumText(
        Sights(level),
        name=name,
        instructions=_instructions(level, words, max_steps),
        max_steps=max_steps,
        describe=lambda observation, info, environment: told(observation),
        actions={word: list(MEANINGS).index(word) for word in words},
        progression=lambda turn: float(turn.terminated and turn.reward > 0),
        signals=lambda environment: _signals(environment.unwrapped),
        events=lambda turn: [f"first {kind}" for kind in turn.info["new"]],
    )


def told(observation: Mapping[str, Any]) -> TextObservation:
    """A MiniGrid observation in words: its image and its mission, not its direction."""
    image = observation["image"]
    middle, here = len(image) // 2, len(image[0]) - 1
    carried, ahead = _named(image[middle, here]), _named(image[middle, here - 1])
    seen = {
        (i - middle, here - j): thing
        for i in range(len(image))
        for j in range(here + 1)
        if (i, j) != (middle, here) and (thing := _named(image[i, j]))
    }
    lines = [f"- {cells.name} {_where(cells)}" for cells in sorted(_rows(seen), key=_nearness)]
    listed = "\n".join(["You see:", *lines]) if lines else "You see nothing but empty cells."
    return TextObservation(
        f"In front of you is {ahead or 'nothing'}.\n{listed}", f"Your mission: {observation['mission']}.\nYou carry {carried or 'nothing'}."
    )


def _named(cell: Any) -> str:
    """What is in a cell of MiniGrid's encoding, with its article; empty where nothing is, or nothing is seen."""
    from minigrid.core.constants import IDX_TO_COLOR, IDX_TO_OBJECT

    kind, color, state = (int(number) for number in cell)
    name, shade = IDX_TO_OBJECT[kind], IDX_TO_COLOR[color]
    if name in ("unseen", "empty", "agent"):
        return ""
    if name == "door":
        return f"{DOORS[state]} {shade} door"
    if name == "lava":
        return name
    if name == "wall":
        return "a wall" if shade == "grey" else f"a {shade} wall"
    return f"a {shade} {name}{' square' if name == 'goal' else ''}"


def _kinds(image: np.ndarray) -> frozenset[str]:
    """What is in sight without its article and the state of its door; walls and floors are no news."""
    cells = np.delete(image.reshape(-1, 3), (len(image) // 2 + 1) * len(image[0]) - 1, axis=0)  # but for one's own, that of what is carried
    names = {_named((kind, color, 0)) for kind, color in np.unique(cells[:, :2], axis=0)}
    return frozenset(name.removeprefix("an open ").removeprefix("a ") for name in names if name and not name.endswith(("wall", "floor")))


def _rows(seen: Mapping[tuple[int, int], str]) -> list[Cells]:
    """Things by where they are; walls and the like first in rows along the first coordinate, and what is left along the second."""
    left, found = dict(seen), []
    for axis in (0, 1):
        for start, name in sorted(left.items()):
            if start not in left or not name.endswith(SEEN_AS_ONE):
                continue
            line = [start]
            while left.get(after := _after(line[-1], axis)) == name:
                line.append(after)
            if len(line) > 1:
                found.append(Cells(name, line[0], line[-1]))
                for cell in line:
                    del left[cell]
    return found + [Cells(name, cell, cell) for cell, name in left.items()]


def _after(cell: tuple[int, int], axis: int) -> tuple[int, int]:
    return (cell[0] + 1, cell[1]) if axis == 0 else (cell[0], cell[1] + 1)


def _nearness(cells: Cells) -> tuple[bool, int, tuple[int, int]]:
    """Things before rows of walls, the nearest first."""
    return cells.first != cells.last, abs(cells.first[0]) + abs(cells.first[1]), cells.first


def _where(cells: Cells) -> str:
    """Where something is, seen from the agent: coordinates are steps to the right and steps ahead."""
    (right, ahead), (last_right, last_ahead) = cells.first, cells.last
    if cells.first == cells.last:
        return " and ".join(part for part in (_ahead(ahead) if ahead else "", _aside(right) if right else "") if part)
    if ahead == last_ahead:
        return f"{_ahead(ahead) if ahead else 'beside you'}, from {_aside(right)} to {_aside(last_right)}"
    return f"{_aside(right)}, from {_ahead(ahead) if ahead else 'beside you'} to {_ahead(last_ahead)}"


def _ahead(steps: int) -> str:
    return f"{steps} step{'s' if steps > 1 else ''} ahead"


def _aside(steps: int) -> str:
    way = "right" if steps > 0 else "left"
    return f"{abs(steps)} step{'s' if abs(steps) > 1 else ''} to the {way}" if steps else "straight ahead"


def _signals(level: Any) -> dict[str, str]:
    column, row = (int(c) for c in level.agent_pos)
    signals = {"position": f"column {column}, row {row}, facing {HEADINGS[level.agent_dir]}", "grid": _whole(level)}
    wanted = _wanted(level)
    return {**signals, "goal": "\n".join(f"- {thing}" for thing in wanted)} if wanted else signals


def _whole(level: Any) -> str:
    width, height = level.grid.width, level.grid.height
    objects = {(i, j): thing for i in range(width) for j in range(height) if (thing := level.grid.get(i, j))}
    lines = [f"The grid has {width} columns, counted from 0 in the west, and {height} rows, counted from 0 in the north."]
    for cells in sorted(_rows({cell: _named(thing.encode()) for cell, thing in objects.items()}), key=_nearness):
        inside = objects[cells.first].contains
        within = f" with {_named(inside.encode())} in it" if inside else ""
        lines.append(f"- {cells.name}{within} at {_span('column', cells, 0)}, {_span('row', cells, 1)}")
    return "\n".join([*lines, f"You carry {_named(level.carrying.encode()) if level.carrying else 'nothing'}."])


def _span(what: str, cells: Cells, axis: int) -> str:
    first, last = cells.first[axis], cells.last[axis]
    return f"{what} {first}" if first == last else f"{what}s {first} to {last}"


def _wanted(level: Any) -> list[str]:
    """Goal squares, or what a BabyAI mission speaks of, each with where it is."""
    places: dict[tuple[int, int], Any] = {}
    for (i, j), thing in ((cell, level.grid.get(*cell)) for cell in np.ndindex(level.grid.width, level.grid.height)):
        if thing is not None and thing.type == "goal":
            places[i, j] = thing
    found = [f"{_named(thing.encode())} at column {i}, row {j}" for (i, j), thing in places.items()]
    for thing in _spoken_of(getattr(level, "instrs", None)):
        if thing is level.carrying:
            found.append(f"{_named(thing.encode())}, which you carry")
            continue
        column, row = (int(c) for c in thing.cur_pos)
        if level.grid.get(column, row) is thing:  # a box that was opened is gone, and still spoken of
            found.append(f"{_named(thing.encode())} at column {column}, row {row}")
    return list(dict.fromkeys(found))


def _spoken_of(instruction: Any) -> list[Any]:
    if instruction is None:
        return []
    if hasattr(instruction, "instr_a"):
        return _spoken_of(instruction.instr_a) + _spoken_of(instruction.instr_b)
    parts = (getattr(instruction, field, None) for field in ("desc", "desc_move", "desc_fixed"))
    return [thing for part in parts if part is not None for thing in part.obj_set]


def _asks(level: Any) -> bool:
    return any(kind.__name__ in ASKED for kind in type(level).__mro__)


def _longest(level: Any) -> int:
    """The level's own step limit, or where BabyAI sets it for each mission the longest: a walk through all rooms for each action."""
    if not hasattr(level, "num_navs_needed") or level.fixed_max_steps:
        return int(level.max_steps)
    if hasattr(level, "instr_kinds"):
        walks = max(PER_KIND[kind] for kind in level.instr_kinds) * (2 if "putnext" in level.action_kinds else 1)
    else:
        level.reset(seed=0)  # missions of all these levels have the same form
        walks = level.num_navs_needed(level.instrs)
    return int(walks * level.room_size**2 * level.num_rows * level.num_cols)


def _instructions(level: Any, words: Iterable[str], max_steps: int) -> str:
    listed = "\n".join(f"{word}: {MEANINGS[word]}" for word in words)
    far, wide = level.agent_view_size - 1, level.agent_view_size // 2
    hidden = "" if level.see_through_walls else "Walls and closed doors hide what is behind them. "
    return (
        "You are in a world of square cells and have a mission. These are all the actions, each with what it does:\n"
        f"{listed}\n\nYou see up to {far} steps ahead, and up to {wide} to either side; nothing behind you. {hidden}"
        "Where things are is told from where you stand and face: '2 steps ahead and 1 step to the left' is reached by going forward twice, "
        "turning left and going forward once. Cells that are not mentioned are empty, or out of sight. Lava ends the episode.\n"
        f"Success ends the episode and pays up to 1, the less the longer it took; you have at most {max_steps:,} steps. "
        "An action is one of the words above and nothing else."
    )
