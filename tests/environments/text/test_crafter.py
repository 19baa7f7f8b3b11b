"""Crafter: the same episode everywhere, the public game's world and rules, texts written by hand, all four edges of the map."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import crafter
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unseen.environments.text import TextEnvironment, crafter_text
from unseen.environments.text.crafter import ACTIONS, KINDS, NUMBERS, Crafter
from unseen.environments.text.crafter_text import Style
from unseen.errors import UserError

WORDS = tuple(ACTIONS)


@pytest.fixture(scope="module")
def shared() -> Crafter:
    """One environment for tests that reset it: making a world takes a tenth of a second."""
    return Crafter()


def meadow(environment: Crafter, at: tuple[int, int]) -> None:
    """Nothing but grass, and the player at this place, facing south."""
    game = environment._game
    world = game.world
    for creature in world.objects:
        if creature is not game.player:
            world.remove(creature)
    for x in range(world.area[0]):
        for y in range(world.area[1]):
            world[x, y] = "grass"
    world.move(game.player, at)
    game.player.facing = (0, 1)


def told(environment: Crafter) -> str:
    return environment._told(environment.window()).long_term


def test_the_words_of_an_observation_by_hand(shared):
    shared.reset(0)
    meadow(shared, (30, 30))
    world = shared._game.world
    world[30, 31] = "water"  # straight ahead
    world[27, 28] = "tree"
    world[34, 27] = "iron"
    world[26, 33] = "coal"
    world[31, 30] = "table"
    world[25, 30] = "diamond"  # five columns away: out of sight
    world[30, 26] = "lava"  # four rows away: out of sight
    assert told(shared) == (
        "You see:\n"
        "- grass 1 step to your west\n"
        "- coal 7 steps to your south-west\n"
        "- tree 5 steps to your north-west\n"
        "- water 1 step to your south\n"
        "- table 1 step to your east\n"
        "- iron 7 steps to your north-east\n"
        "\n"
        "You face water at your front."
    )
    world.add(crafter.objects.Zombie(world, (30, 29), shared._game.player))
    assert "- zombie 1 step to your north" in told(shared)
    shared._game.player.facing = (0, -1)
    assert told(shared).endswith("You face zombie at your front.")


def test_styles_by_hand():
    seen = [["grass", "water", "water"], ["tree", "player", "water"], ["water", "water", "water"]]
    unique = crafter_text.surroundings(seen, (1, 0), Style(precise_location=True))
    assert unique == (
        "You see:\n- grass 1 step north and 1 step west\n- water 1 step west\n- tree 1 step north\n\nYou face water at your front."
    )
    rest = crafter_text.surroundings(seen, (0, -1), Style(unique_items=False, skip_items=("tree",), edge_only_items=("water",)))
    assert rest == (
        "You see:\n"
        "- grass 2 steps to your north-west\n"
        "- water 1 step to your west\n"
        "- water 1 step to your south\n"
        "- water 2 steps to your north-east\n"
        "- water 1 step to your east\n"
        "\n"
        "You face nothing at your front."
    )
    assert crafter_text.surroundings([["sand"] * 3] * 3, (0, 1), Style(skip_items=("sand",))) == (
        "You see nothing away from you.\n\nYou face nothing at your front."
    )


def test_status_by_hand():
    inventory = {"health": 9, "food": 3, "drink": 0, "energy": 7, "wood": 2, "stone": 0, "wood_pickaxe": 1}
    assert crafter_text.status(inventory) == (
        "Your status:\n- health: 9/9\n- food: 3/9\n- drink: 0/9\n- energy: 7/9\n\nYour inventory:\n- wood: 2\n- wood_pickaxe: 1"
    )
    assert crafter_text.status({**inventory, "wood": 0, "wood_pickaxe": 0}).endswith("\n\nYou have nothing in your inventory.")


@pytest.mark.parametrize(
    ("at", "facing", "ahead"),
    [
        ((0, 0), (-1, 0), "nothing"),
        ((0, 0), (0, 1), "grass"),
        ((63, 63), (1, 0), "nothing"),
        ((0, 63), (0, 1), "nothing"),
        ((63, 0), (0, -1), "nothing"),
    ],
)
def test_at_the_edges_of_the_map_what_is_there_is_seen(shared, at, facing, ahead):
    shared.reset(0)
    meadow(shared, at)
    world, inward = shared._game.world, (1 if at[0] == 0 else -1, 1 if at[1] == 0 else -1)
    tree = at[0] + 2 * inward[0], at[1] + 3 * inward[1]
    world[tree] = "tree"
    shared._game.player.facing = facing
    east_west, north_south = ("east" if inward[0] > 0 else "west"), ("south" if inward[1] > 0 else "north")
    text = told(shared)
    assert f"- tree 5 steps to your {north_south}-{east_west}" in text
    assert text.endswith(f"You face {ahead} at your front.")
    everything = crafter_text.things(crafter_text.window(world, at, 9, 7), Style(unique_items=False))
    assert len(everything) == 5 * 4 - 1  # a corner sees a quarter, without itself
    assert {thing.name for thing in everything} == {"grass", "tree"}


def test_night_changes_no_word(shared):
    shared.reset(0)
    meadow(shared, (30, 30))
    day = told(shared)
    shared._game.world.daylight = 0.0
    assert told(shared) == day
    dark = shared.picture()
    shared._game.world.daylight = 1.0
    assert shared.picture().mean() > dark.mean() + 5


def test_the_world_and_the_first_steps_are_those_of_the_public_game():
    for seed in (0, 7):
        environment, public = Crafter(), crafter.Env(seed=seed)
        environment.reset(seed)
        public._obs = lambda: None
        public.reset()
        public.step(0)
        for step in range(8):  # creatures of a chunk come and go for the first time in the tenth step of the game
            np.testing.assert_array_equal(environment._game.world._mat_map, public._world._mat_map)
            here, there = ([(type(o).__name__, *map(int, o.pos)) for o in w.objects] for w in (environment._game.world, public._world))
            assert here == there
            assert environment._game.player.inventory == public._player.inventory
            number = 1 + step % 5
            found = environment.step(WORDS[number])
            _, reward, _, _ = public.step(number)
            assert found.reward == pytest.approx(reward)


SCRIPT = """
import hashlib, numpy as np
from unseen.environments.text.crafter import ACTIONS, Crafter
junk = [object() for _ in range({junk})]  # other addresses
environment, words, told = Crafter(), tuple(ACTIONS), hashlib.sha256()
for seed in (3, 4):
    told.update(environment.reset(seed).text.encode())
    generator = np.random.default_rng(seed)
    for _ in range(250):
        step = environment.step(words[generator.integers(17)])
        told.update(repr(step).encode())
        if step.terminated:
            break
    told.update(environment.signals()["map"].encode())
print(told.hexdigest())
"""


def test_three_processes_agree():
    digests = set()
    for junk in (0, 1_001, 77_777):
        run = subprocess.run([sys.executable, "-c", SCRIPT.format(junk=junk)], capture_output=True, text=True, check=True)
        digests.add(run.stdout.strip())
    assert len(digests) == 1
    assert len(digests.pop()) == hashlib.sha256().digest_size * 2


def played(environment: Crafter, seed: int, steps: int, drawing: bool = False) -> list[object]:
    """What random actions lead to, in an episode that goes on; who walks about awake lives long enough."""
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(steps):
        if drawing:
            environment.picture(63)
        step = environment.step(WORDS[generator.integers(6)])
        found.append(step)
        if step.terminated or step.truncated:
            break
    return [*found, environment.signals()]


def test_forks_go_on_alike_for_400_steps(shared):
    shared.reset(5)
    shared._game.player.inventory.update(food=9, drink=9)
    played(shared, 0, 30)
    moment = shared.snapshot()
    seen = shared.restore(moment)
    first = played(shared, 1, 400)
    assert len(first) > 100
    assert shared.restore(moment) == seen
    assert played(shared, 1, 400) == first
    other = Crafter()
    assert other.restore(moment) == seen
    assert played(other, 1, 400) == first
    shared.restore(moment)
    assert played(shared, 2, 50) != first[:51]


def test_drawing_changes_no_episode_and_draws_the_same_by_night(shared):
    shared.reset(6)
    shared._game._step = 235
    shared.step("Noop")
    assert shared._game.world.daylight < 0.5  # pictures have noise
    moment = shared.snapshot()
    plain = played(shared, 3, 60)
    shared.restore(moment)
    assert played(shared, 3, 60, drawing=True) == plain
    shared.restore(moment)
    np.testing.assert_array_equal(shared.picture(), shared.picture())


def test_an_illegal_action_is_answered_and_counted_as_nothing_done(shared):
    shared.reset(0)
    for action in ("", "Jump", "Move North-West", "<plan>", "Do it"):
        step = shared.step(action)
        assert step.illegal
        assert step.observation.long_term.startswith("Your last output was not one of the actions. Noop was done instead.\n\nYou see")
    step = shared.step("  move west\n")
    assert not step.illegal
    assert step.observation.long_term.startswith("You see")
    assert shared._game.steps == 1 + 6


@settings(max_examples=30, deadline=None)
@given(st.text())
def test_no_action_breaks_an_episode(shared, action):
    if shared._over:
        shared.reset(1)
    assert shared.step(action).illegal == (action.strip().lower() not in NUMBERS)


def test_score_events_and_reward(shared):
    shared.reset(0)
    meadow(shared, (30, 30))
    world, player = shared._game.world, shared._game.player
    world[30, 31] = "tree"
    step = shared.step("Do")
    assert step.reward == pytest.approx(1.0)
    assert step.progression == pytest.approx(1 / 22)
    assert step.events == ("unlocked collect wood",)  # trees had been seen at the start
    assert "- wood: 1" in step.observation.short_term
    world[30, 31] = "tree"
    step = shared.step("Do")
    assert step.reward == 0.0
    assert step.progression == pytest.approx(1 / 22)
    shared.step("Move East")
    player.facing = (0, 1)
    assert shared.step("Place Table").progression == pytest.approx(2 / 22)  # 2 wood
    assert shared.achievements()["place_table"] == 1
    world.add(crafter.objects.Plant(world, (29, 30)))
    assert "first plant" in shared.step("Noop").events
    player.inventory["food"], player._hunger = 4, 25
    assert "low food" in shared.step("Noop").events
    player.health = 5
    step = shared.step("Noop")
    assert "hurt" not in step.events  # it was so before the step
    zombie = crafter.objects.Zombie(world, (30, 29), player)
    world.add(zombie)
    hurt = [shared.step("Noop") for _ in range(12)]
    assert any("hurt" in step.events and step.reward < 0 for step in hurt)


def test_sleep_lava_and_the_step_limit():
    environment = Crafter(max_steps=5)
    environment.reset(0)
    meadow(environment, (30, 30))
    environment._game.player.inventory["energy"] = 3
    assert environment.step("Sleep").observation.long_term.startswith("You are sleeping")
    environment._game.player.inventory["energy"] = 9
    assert "awake" in environment.step("Noop").events
    for _ in range(2):
        assert not environment.step("Noop").truncated
    assert environment.step("Noop").truncated
    with pytest.raises(UserError, match="over"):
        environment.step("Noop")
    environment.reset(0)
    meadow(environment, (30, 30))
    environment._game.world[31, 30] = "lava"
    step = environment.step("Move East")
    assert (step.terminated, step.truncated) == (True, False)
    assert step.observation.long_term.startswith("You died.")


def test_what_is_hidden_in_words(shared):
    shared.reset(0)
    meadow(shared, (30, 30))
    shared._game.world[10, 40] = "diamond"
    shared._game.world[10, 39] = "diamond"
    signals = shared.signals()
    assert signals["nearest"] == "- diamond 9 steps south and 20 steps west"
    legend, *rows = signals["map"].split("\n")
    assert (len(rows), {len(row) for row in rows}) == (64, {64})
    assert rows[30][30] == "@"
    assert (rows[40][10], rows[39][10], rows[0][0]) == ("D", "D", ".")
    assert all(kind in legend for kind in KINDS)
    assert signals["position"] == "column 30, row 30"


def test_it_keeps_the_contract(shared):
    assert isinstance(shared, TextEnvironment)
    assert len(shared.actions) == len(crafter.constants.actions) == 17
    assert shared.legal() == shared.actions
    assert shared.max_steps == 2_000
    for word in (*ACTIONS, "collect diamond", "2,000 steps"):
        assert word in shared.instructions


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"max_steps": 0}, "max_steps = 0"),
        ({"view": (8, 9)}, "odd and at least 3"),
        ({"view": (7, 9)}, "shows 6 rows"),
        ({"view": (3, 5)}, "odd and at least 3"),
        ({"area": (5, 64)}, "12 or more"),
        ({"skip_items": ("gras",)}, "did you mean 'grass'"),
        ({"edge_only_items": ("watr",)}, "did you mean 'water'"),
    ],
)
def test_what_is_refused(options, says):
    with pytest.raises(UserError, match=says):
        Crafter(**options)


def test_before_an_episode_there_is_nothing_to_do():
    environment = Crafter()
    for what in (
        lambda: environment.step("Noop"),
        environment.signals,
        environment.snapshot,
        environment.picture,
        environment.achievements,
    ):
        with pytest.raises(UserError, match="reset"):
            what()
    small = Crafter(area=(24, 24), skip_items=(kind for kind in ("grass", "sand")))
    small.reset(0)
    assert "grass" not in small.snapshot().feedback + small.reset(1).long_term
    with pytest.raises(UserError, match="24"):
        environment.restore(small.snapshot())
    with pytest.raises(UserError, match="0 or more"):
        environment.reset(-1)
