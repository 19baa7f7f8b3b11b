"""MiniGrid in words: sentences by hand, no less said than the picture shows, and walks that know nothing but the words."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import deque
from typing import Any

import gymnasium
import minigrid
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from minigrid.core.constants import COLOR_TO_IDX, OBJECT_TO_IDX
from minigrid.core.grid import Grid
from minigrid.core.world_object import Ball, Box, Door, Goal, Key, Lava, Wall

from unseen.environments.text import GymnasiumText, TextEnvironment, check_text_environment, minigrid_text
from unseen.environments.text.minigrid import told
from unseen.errors import UserError

assert minigrid.__version__  # registers its levels
LEVELS = (
    "BabyAI-GoToRedBall-v0",
    "BabyAI-UnlockToUnlock-v0",
    "BabyAI-PutNextS5N2Carrying-v0",
    "BabyAI-KeyInBox-v0",
    "MiniGrid-LavaCrossingS9N2-v0",
    "MiniGrid-GoToDoor-5x5-v0",
    "MiniGrid-MultiRoom-N4-S5-v1",
    "MiniGrid-Playground-v0",
)


# ---- reading the words back -------------------------------------------------------------------------------------------

STEPS = r"(\d+) steps?"
AHEAD, ASIDE = rf"{STEPS} ahead", rf"(?:{STEPS} to the (left|right)|straight ahead)"


def aside(steps: str | None, way: str | None) -> int:
    return 0 if steps is None else int(steps) * (1 if way == "right" else -1)


def read(text: str) -> tuple[str, dict[tuple[int, int], str]]:
    """What is in front, and what is where: things by steps to the right and steps ahead."""
    first, *lines = text.split("\n")
    front = re.fullmatch(r"In front of you is (.+)\.", first)
    assert front
    found: dict[tuple[int, int], str] = {}
    for line in lines[1:]:
        if match := re.fullmatch(rf"- (.+?) (?:{AHEAD}|beside you), from {ASIDE} to {ASIDE}", line):
            name, ahead, n, n_way, m, m_way = match.groups()
            cells = [(right, int(ahead or 0)) for right in range(aside(n, n_way), aside(m, m_way) + 1)]
        elif match := re.fullmatch(rf"- (.+?) {ASIDE}, from (?:{AHEAD}|beside you) to {AHEAD}", line):
            name, n, way, low, high = match.groups()
            cells = [(aside(n, way), ahead) for ahead in range(int(low or 0), int(high) + 1)]
        elif match := re.fullmatch(rf"- (.+?) {AHEAD}(?: and {STEPS} to the (left|right))?", line):
            name, ahead, n, way = match.groups()
            cells = [(aside(n, way), int(ahead))]
        else:
            match = re.fullmatch(rf"- (.+?) {STEPS} to the (left|right)", line)
            assert match, line
            name, n, way = match.groups()
            cells = [(aside(n, way), 0)]
        for cell in cells:
            assert cell not in found
            found[cell] = name
    return front[1], found


def shown(image: np.ndarray) -> dict[tuple[int, int], str]:
    """The same from the picture, as MiniGrid itself decodes it."""
    grid, seen = Grid.decode(image)
    found = {}
    for i in range(7):
        for j in range(7):
            thing = grid.get(i, j)
            if thing is None or not seen[i, j] or (i, j) == (3, 6):
                continue
            state = ("open " if thing.is_open else "locked " if thing.is_locked else "closed ") if thing.type == "door" else ""
            color = "" if (thing.type, thing.color) in (("wall", "grey"), ("lava", "red")) else f"{thing.color} "
            name = f"{state}{color}{thing.type}{' square' if thing.type == 'goal' else ''}"
            found[i - 3, 6 - j] = name if name == "lava" else f"{'an' if name.startswith('open') else 'a'} {name}"
    return found


@pytest.mark.parametrize("name", LEVELS)
def test_the_words_say_all_that_the_picture_shows(name: str):
    environment = minigrid_text(name, max_steps=1_000)
    generator = np.random.default_rng(0)
    for seed in range(5):
        observation, over = environment.reset(seed), False
        for _ in range(40):
            if over:
                break
            picture = environment.environment.unwrapped.gen_obs()  # type: ignore[attr-defined]
            front, found = read(observation.long_term)
            assert found == shown(picture["image"])
            assert front == found.get((0, 1), "nothing")
            carried = picture["image"][3, 6]
            assert ("You carry nothing." in observation.short_term) == (carried[0] == OBJECT_TO_IDX["empty"])
            assert picture["mission"] in observation.short_term
            step = environment.step(str(generator.choice(environment.actions)))
            observation, over = step.observation, step.terminated or step.truncated


def view(things: dict[tuple[int, int], Any]) -> np.ndarray:
    """A picture of 7 by 7 cells in which all is seen, of things by steps to the right and ahead."""
    image = np.zeros((7, 7, 3), np.uint8)
    image[..., 0] = OBJECT_TO_IDX["empty"]
    for (right, ahead), thing in things.items():
        image[3 + right, 6 - ahead] = thing.encode()
    return image


def test_sentences_by_hand():
    things = {
        (0, 0): Key("blue"),
        (0, 1): Door("red", is_locked=True),
        (-1, 2): Ball("grey"),
        (2, 0): Box("purple"),
        (3, 5): Door("green", is_open=True),
        (0, 6): Door("yellow"),
        (1, 6): Goal(),
        (-3, 3): Wall(),
        (-2, 3): Wall(),
        (-1, 3): Wall(),
        (0, 3): Wall(),
        (-3, 0): Wall("red"),
        (-3, 1): Wall("red"),
        (2, 4): Lava(),
    }
    seen = told({"image": view(things), "mission": "go to the goal", "direction": 0})
    assert seen.short_term == "Your mission: go to the goal.\nYou carry a blue key."
    assert seen.long_term == (
        "In front of you is a locked red door.\n"
        "You see:\n"
        "- a locked red door 1 step ahead\n"
        "- a purple box 2 steps to the right\n"
        "- a grey ball 2 steps ahead and 1 step to the left\n"
        "- a closed yellow door 6 steps ahead\n"
        "- lava 4 steps ahead and 2 steps to the right\n"
        "- a green goal square 6 steps ahead and 1 step to the right\n"
        "- an open green door 5 steps ahead and 3 steps to the right\n"
        "- a red wall 3 steps to the left, from beside you to 1 step ahead\n"
        "- a wall 3 steps ahead, from 3 steps to the left to straight ahead"
    )
    nothing = told({"image": view({}), "mission": "wait", "direction": 0})
    assert nothing.long_term == "In front of you is nothing.\nYou see nothing but empty cells."
    assert nothing.short_term.endswith("You carry nothing.")
    beside = told({"image": view({(-3, 0): Wall(), (-2, 0): Wall(), (0, 2): Wall(), (0, 3): Wall()}), "mission": "x", "direction": 0})
    assert "- a wall beside you, from 3 steps to the left to 2 steps to the left" in beside.long_term
    assert "- a wall straight ahead, from 2 steps ahead to 3 steps ahead" in beside.long_term


def test_what_is_not_seen_is_not_said():
    things = {(0, 1): Ball("red"), (0, 2): Key("red")}
    image = view(things)
    image[3, 4] = (OBJECT_TO_IDX["unseen"], COLOR_TO_IDX["red"], 0)
    assert "key" not in told({"image": image, "mission": "x", "direction": 0}).text


# ---- playing by the words alone ---------------------------------------------------------------------------------------

AROUND = ((0, -1), (1, 0), (0, 1), (-1, 0))  # ahead, to the right, behind, to the left of who faces as at the start


class Walker:
    """Draws a map from sentences as it goes; it knows the actions, and where it looks from, and nothing of the level."""

    def __init__(self, environment: GymnasiumText, seed: int):
        self.environment, self.at, self.facing = environment, (0, 0), 0
        self.known: dict[tuple[int, int], str] = {}
        self.last: Any = None
        self.look(environment.reset(seed).text)

    def place(self, right: int, ahead: int) -> tuple[int, int]:
        (fx, fy), (rx, ry) = AROUND[self.facing], AROUND[(self.facing + 1) % 4]
        return self.at[0] + ahead * fx + right * rx, self.at[1] + ahead * fy + right * ry

    def look(self, text: str) -> None:
        _, found = read(text[text.index("In front of you") :])
        for right in range(-3, 4):
            for ahead in range(7):
                cell = self.place(right, ahead)
                if (right, ahead) in found:
                    self.known[cell] = found[right, ahead]
                elif cell not in self.known or (right, ahead) == (0, 1):  # hidden, perhaps; what was seen stays
                    self.known[cell] = ""
        self.front = self.known[self.place(0, 1)]

    def act(self, word: str) -> bool:
        """Whether the episode goes on."""
        moved = word == "go forward" and (not self.front or self.front.startswith("an open") or "goal" in self.front)
        self.last = self.environment.step(word)
        if moved:
            self.at = self.place(0, 1)
        self.facing = (self.facing + {"turn right": 1, "turn left": -1}.get(word, 0)) % 4
        self.look(self.last.observation.text)
        return not (self.last.terminated or self.last.truncated)

    def path(self, wanted: Any) -> list[tuple[int, int]] | None:
        """The cells on the way to the nearest that is wanted, itself the last; only through what one can walk over."""
        before, queue = {self.at: self.at}, deque([self.at])
        while queue:
            cell = queue.popleft()
            if cell != self.at and wanted(cell):
                way = [cell]
                while before[way[-1]] != self.at:
                    way.append(before[way[-1]])
                return way[::-1]
            if cell != self.at and self.known.get(cell, "?") and not self.known.get(cell, "").startswith("an open"):
                continue  # nobody walks through this, and nothing is known of what is unknown
            for dx, dy in AROUND:
                after = cell[0] + dx, cell[1] + dy
                if after not in before:
                    before[after] = cell
                    queue.append(after)
        return None

    def toward(self, cell: tuple[int, int]) -> str:
        """The word that turns to a cell beside, or goes there."""
        turns = (AROUND.index((cell[0] - self.at[0], cell[1] - self.at[1])) - self.facing) % 4
        return ("go forward", "turn right", "turn right", "turn left")[turns]

    def search(self, *wanted: str) -> list[tuple[int, int]]:
        """The way to the first of these names that is known, or else to the nearest cell that is unknown."""
        for name in wanted:
            if way := self.path(lambda cell, name=name: name in self.known.get(cell, "")):
                return way
        return self.path(lambda cell: cell not in self.known) or []


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("BabyAI-GoToRedBall-v0", "red ball"),
        ("MiniGrid-Empty-Random-6x6-v0", "goal"),
        ("MiniGrid-LavaGapS7-v0", "goal"),
        ("MiniGrid-SimpleCrossingS9N3-v0", "goal"),
    ],
)
def test_who_reads_the_words_arrives(name: str, wanted: str):
    environment = minigrid_text(name)
    for seed in range(20):
        walker = Walker(environment, seed)
        while walker.act(walker.toward(walker.search(wanted)[0])):
            assert not walker.last.illegal
        assert walker.last.terminated, f"seed {seed}"
        assert walker.last.reward > 0
        assert walker.last.progression == 1.0


def test_who_reads_the_words_opens_a_locked_door():
    environment = minigrid_text("MiniGrid-DoorKey-6x6-v0")
    for seed in range(10):
        walker, on = Walker(environment, seed), True
        while on:
            carrying = "You carry a yellow key" in walker.environment.restore(walker.environment.snapshot()).short_term
            if carrying and walker.front == "a locked yellow door":
                on = walker.act("toggle")
            elif not carrying and walker.front == "a yellow key":
                on = walker.act("pick up")
            else:
                on = walker.act(walker.toward(walker.search("goal", "locked yellow door" if carrying else "yellow key")[0]))
        assert walker.last.terminated, f"seed {seed}"
        assert walker.last.reward > 0


# ---- the rest of the contract -----------------------------------------------------------------------------------------


def test_what_is_hidden_in_words():
    environment = minigrid_text("MiniGrid-Empty-5x5-v0")
    environment.reset(0)
    assert environment.signals() == {
        "position": "column 1, row 1, facing east",
        "grid": (
            "The grid has 5 columns, counted from 0 in the west, and 5 rows, counted from 0 in the north.\n"
            "- a green goal square at column 3, row 3\n"
            "- a wall at columns 0 to 4, row 0\n"
            "- a wall at column 0, rows 1 to 3\n"
            "- a wall at columns 0 to 4, row 4\n"
            "- a wall at column 4, rows 1 to 3\n"
            "You carry nothing."
        ),
        "goal": "- a green goal square at column 3, row 3",
    }
    environment.step("turn right")
    environment.step("go forward")
    assert environment.signals()["position"] == "column 1, row 2, facing south"
    for hidden in ("east", "south", "column"):
        assert hidden not in environment.restore(environment.snapshot()).text


def test_what_a_mission_speaks_of_is_where_it_is():
    environment = minigrid_text("BabyAI-PutNextS5N2Carrying-v0")
    environment.reset(0)
    level: Any = environment.environment.unwrapped
    match = re.fullmatch(r"put the (\w+ \w+) next to the (\w+ \w+)", level.mission)
    assert match
    carried, other = environment.signals()["goal"].split("\n")
    assert carried == f"- a {match[1]}, which you carry"
    column, row = (int(number) for number in re.findall(r"\d+", other))
    thing = level.grid.get(column, row)
    assert other == f"- a {match[2]} at column {column}, row {row}"
    assert f"{thing.color} {thing.type}" == match[2]
    assert environment.signals()["grid"].endswith(f"You carry a {match[1]}.")


def test_what_lies_in_the_hands_from_the_start_is_said_at_the_start():
    assert "You carry nothing." not in minigrid_text("BabyAI-PutNextS5N2Carrying-v0").reset(0).short_term


def test_what_is_in_a_box_and_that_an_opened_one_is_gone():
    environment = minigrid_text("BabyAI-KeyInBox-v0")
    environment.reset(0)
    level: Any = environment.environment.unwrapped
    (box,) = (thing for thing in level.grid.grid if thing is not None and thing.type == "box")
    assert f"- a {box.color} box with a {box.contains.color} key in it at" in environment.signals()["grid"]
    one = minigrid_text("BabyAI-PickupDist-v0")  # a mission may speak of a box
    for seed in range(50):
        one.reset(seed)
        if "box" in one.signals()["goal"]:
            break
    level = one.environment.unwrapped
    (box,) = (thing for thing in level.instrs.desc.obj_set if thing.type == "box")
    level.grid.set(*box.cur_pos, None)
    assert f"{box.color} box" not in one.signals().get("goal", "")


def test_a_kind_of_thing_is_new_once_and_again_after_going_back():
    environment = minigrid_text("MiniGrid-DoorKey-6x6-v0")
    for seed in range(50):
        if "yellow key" not in environment.reset(seed).text:
            break
    moment = environment.snapshot()

    def turned() -> list[tuple[str, ...]]:
        return [environment.step("turn left").events for _ in range(8)]

    first = turned()
    assert sum("first yellow key" in events for events in first) == 1
    assert all(not events for events in first[4:])  # all of it has been seen
    assert {event for events in first for event in events} <= {"first yellow key", "first yellow door", "first green goal square"}
    environment.restore(moment)
    assert turned() == first


@pytest.mark.parametrize(
    ("name", "actions"),
    [
        ("MiniGrid-Empty-5x5-v0", ("turn left", "turn right", "go forward", "pick up", "drop", "toggle")),
        ("MiniGrid-Dynamic-Obstacles-5x5-v0", ("turn left", "turn right", "go forward")),
        ("MiniGrid-GoToDoor-5x5-v0", ("turn left", "turn right", "go forward", "pick up", "drop", "toggle", "done")),
    ],
)
def test_only_words_that_mean_something_are_actions(name: str, actions: tuple[str, ...]):
    environment = minigrid_text(name)
    assert isinstance(environment, TextEnvironment)
    assert environment.actions == actions
    assert environment.name == name
    for word in actions:
        assert f"\n{word}: " in environment.instructions
    assert ("\ndone: " in environment.instructions) == ("done" in actions)


def test_done_before_the_right_door_is_success():
    environment = minigrid_text("MiniGrid-GoToDoor-5x5-v0")
    for seed in range(5):
        walker, on = Walker(environment, seed), True
        match = re.search(r"go to the (\w+ door)", environment.restore(environment.snapshot()).short_term)
        assert match
        while on:
            on = walker.act("done" if match[1] in walker.front else walker.toward(walker.search(match[1])[0]))
        assert walker.last.terminated
        assert walker.last.reward > 0


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("BabyAI-GoToRedBall-v0", 64),  # one room of 8 by 8
        ("BabyAI-PutNextLocal-v0", 128),  # two things to go to
        ("BabyAI-GoToSeqS5R2-v0", 5 * 5 * 4 * 4),  # four goals at most, four rooms
        ("BabyAI-MiniBossLevel-v0", 5 * 5 * 4 * 8),
        ("MiniGrid-Empty-5x5-v0", 100),
    ],
)
def test_the_limit_is_the_longest_of_the_level(name: str, limit: int):
    environment = minigrid_text(name)
    assert environment.max_steps == limit
    assert f"at most {limit:,} steps" in environment.instructions
    own = []
    for seed in range(20):
        environment.reset(seed)
        own.append(environment.environment.unwrapped.max_steps)  # type: ignore[attr-defined]
    assert max(own) <= limit
    if name != "BabyAI-MiniBossLevel-v0":  # there the longest is rare
        assert max(own) == limit


@pytest.mark.parametrize("name", ["BabyAI-GoToRedBall-v0", "MiniGrid-Empty-5x5-v0"])
def test_a_limit_of_ones_own_is_that_of_the_reward_too(name: str):
    environment = minigrid_text(name, max_steps=10)
    environment.reset(0)
    assert environment.environment.unwrapped.max_steps == 10  # type: ignore[attr-defined]
    steps = [environment.step("turn left") for _ in range(10)]
    assert [step.truncated for step in steps] == [False] * 9 + [True]


def test_options_of_a_level_are_passed_on():
    environment = minigrid_text("MiniGrid-Empty-5x5-v0", agent_view_size=3)
    assert "up to 2 steps ahead, and up to 1 to either side" in environment.instructions
    environment.reset(0)
    assert environment.environment.unwrapped.agent_view_size == 3  # type: ignore[attr-defined]


def test_they_keep_the_contract():
    check_text_environment(lambda: minigrid_text(max_steps=25), episodes=2)
    check_text_environment(lambda: minigrid_text("MiniGrid-Dynamic-Obstacles-5x5-v0", max_steps=25))
    check_text_environment(lambda: minigrid_text("BabyAI-UnlockToUnlock-v0", max_steps=25), episodes=2)
    check_text_environment(lambda: minigrid_text("MiniGrid-Fetch-5x5-N2-v0", max_steps=25), episodes=2)


SCRIPT = """
from unseen.environments.text import minigrid_text
for name in ("BabyAI-UnlockToUnlock-v0", "BabyAI-MiniBossLevel-v0", "MiniGrid-Dynamic-Obstacles-6x6-v0"):
    environment = minigrid_text(name)
    for seed in range(5):
        print(environment.reset(seed))
        print(*[environment.step(word) for word in ("turn left", "turn right", "jump")], environment.signals())
"""


def test_processes_agree():
    texts = {subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True).stdout for _ in range(2)}
    assert len(texts) == 1
    assert len(texts.pop()) > 10_000


SHARED = minigrid_text("MiniGrid-Empty-5x5-v0")


@given(st.text())
@settings(max_examples=50)
def test_no_text_breaks_an_episode(action: str):
    SHARED.reset(0)
    step = SHARED.step(action)
    assert step.illegal == (action.strip().casefold() not in SHARED.actions)
    assert "In front of you is" in step.observation.long_term


def test_what_is_refused(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(UserError, match="unknown Gymnasium environment 'BabyAI-GoToRedBal-v0'; did you mean 'BabyAI-GoToRedBall"):
        minigrid_text("BabyAI-GoToRedBal-v0")
    with pytest.raises(UserError, match="'CartPole-v1' is a CartPoleEnv and no level of MiniGrid"):
        minigrid_text("CartPole-v1")
    with pytest.raises(UserError, match="could not be made with"):
        minigrid_text("MiniGrid-Empty-5x5-v0", rooms=3)
    with pytest.raises(UserError, match="max_steps = 0"):
        minigrid_text("MiniGrid-Empty-5x5-v0", max_steps=0)
    monkeypatch.setitem(sys.modules, "minigrid", None)
    monkeypatch.delitem(sys.modules, "minigrid.minigrid_env")
    with pytest.raises(UserError, match=r"needs the package minigrid; run: pip install 'unseen\[minigrid\]'"):
        minigrid_text("MiniGrid-Empty-5x5-v0")
    assert "MiniGrid-Empty-5x5-v0" in gymnasium.registry
