"""The teacher of Crafter: its map and ways by hand, what it may look at, its words, its noise, and that it climbs the technology tree."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from unseen.environments.text.crafter import ACTIONS, Crafter
from unseen.errors import UserError
from unseen.planning.grammar import parse, render
from unseen.planning.teachers.contract import Lesson, Teacher
from unseen.planning.teachers.crafter import CrafterTeacher
from unseen.planning.teachers.crafter_goals import Machine
from unseen.planning.teachers.crafter_map import WAYS, CrafterMap, beside
from unseen.planning.teachers.crafter_moves import Body
from unseen.planning.teachers.crafter_shelter import Shelter
from unseen.planning.teachers.crafter_words import STYLES, WHY, compass

SYMBOLS = {".": "grass", ",": "path", "#": "stone", "T": "tree", "~": "water", "L": "lava", "C": "cow", "Z": "zombie", "t": "table"}
SYMBOLS |= {"S": "skeleton", "@": "player", "-": "arrow", "P": "plant", "i": "iron"}
GROUND = {"grass": 1, "sand": 1, "path": 1}


def window(drawn: str) -> list[list[str | None]]:
    """Columns of names, from rows of symbols; a blank is beyond the map."""
    rows = drawn.split()
    return [[None if row[i] == "x" else SYMBOLS[row[i]] for row in rows] for i in range(len(rows[0]))]


def remembered(drawn: str) -> CrafterMap:
    found = CrafterMap()
    found.look(window(drawn))
    return found


def body(drawn: str, facing: tuple[int, int] = (0, 1), **inventory: int) -> Body:
    found = Body()
    found.map.look(window(drawn))
    found.facing, found.inventory = facing, inventory
    return found


class OnlyWhatIsShown:
    """An environment of which nothing can be reached but what the text tells."""

    __slots__ = ("actions", "asleep", "facing", "inventory", "window")

    def __init__(self, environment: Crafter):
        seen = environment.window()
        self.window = lambda: seen
        self.facing, self.inventory, self.asleep = environment.facing, environment.inventory, environment.asleep
        self.actions = environment.actions


@pytest.fixture(scope="module")
def environment() -> Crafter:
    return Crafter(max_steps=700)


def play(environment: Crafter, teacher: CrafterTeacher, seed: int, steps: int, **begin: Any) -> list[Lesson]:
    """The lessons of an episode."""
    environment.reset(seed)
    teacher.begin(np.random.default_rng(seed), **begin)
    lessons, events = [], ()
    for _ in range(steps):
        lessons.append(teacher.write(OnlyWhatIsShown(environment), events))
        step = environment.step(lessons[-1].written.action)
        events = step.events
        assert not step.illegal
        if step.terminated or step.truncated:
            break
    return lessons


def test_a_map_remembers_what_went_out_of_sight():
    found = remembered(
        """
        T...#
        ..@..
        ...C~
        """
    )
    assert found.kinds[-2, -1] == "tree"
    assert found.kinds[0, 0] == "grass"  # one cannot stand elsewhere than on ground
    assert found.creatures == {(1, 1): "cow"}
    assert found.kinds[1, 1] == "grass"  # below the cow
    found.look(
        window(
            """
            ...#x
            ..@.x
            ...~x
            """
        ),
        moves=((1, 0), (0, 0)),
    )
    assert found.here == (1, 0)
    assert found.kinds[-2, -1] == "tree"
    assert found.kinds[3, 0] == "edge"
    assert (not found.creatures, list(found.cows)) == (True, [])  # where it was seen there is grass now


def test_a_window_tells_whether_a_move_was_made():
    drawn = ".T.#.\n..@..\n~...T"
    found = remembered(drawn)
    found.look(window(drawn), moves=((1, 0), (0, 0)))  # it looks as before: the move that was expected failed
    assert found.here == (0, 0)
    plain = remembered(".....\n..@..\n.....")
    plain.look(window(".....\n..@..\n....."), moves=((1, 0), (0, 0)))
    assert plain.here == (1, 0)  # nothing speaks against it


def test_a_creature_hides_no_ground_that_is_known():
    found = remembered(".,.~.\n..@..\n.....")
    found.look(window(".S.-.\n..@..\n....."))
    assert found.kinds[-1, -1] == "path"
    assert found.kinds[1, -1] == "water"  # arrows fly over it
    assert found.creatures == {(-1, -1): "skeleton", (1, -1): "arrow"}


def test_the_cheapest_way_goes_around_or_through():
    drawn = """
        .......
        .#####.
        .#.@.#T
        .#####.
        .......
    """
    found = remembered(drawn)
    tree = lambda cell: found.kinds.get(cell) == "tree"  # noqa: E731
    assert found.route(GROUND, tree) is None  # walled in
    way = found.route(GROUND | {"stone": 2}, tree)
    assert way == [(1, 0), (2, 0), (3, 0)]
    assert found.route(GROUND | {"stone": 2}, tree, limit=3) is None
    found.walls.add((2, 0))
    longer = found.route(GROUND | {"stone": 2}, tree)
    assert longer is not None
    assert (2, 0) not in longer
    assert longer[-1] == (3, 0)


def test_no_way_leads_through_lava_or_creatures():
    found = remembered(
        """
        LLLLLLL
        LL.@CLT
        LLLLLLL
        """
    )
    assert found.route(GROUND | {"tree": 3}, lambda cell: found.kinds.get(cell) == "tree") is None
    assert found.route(GROUND, lambda cell: found.creatures.get(cell) == "cow") == [(1, 0)]


def test_a_frontier_is_ground_beside_the_unknown():
    found = remembered(
        """
        ~~~~~
        ~.@..
        ~~~~~
        """
    )
    way = found.frontier(GROUND, lambda cell: 0.0, 0.0)
    assert way == [(1, 0), (2, 0)]
    assert found.frontier({"sand": 1}, lambda cell: 0.0, 0.0) is None


def test_a_body_turns_breaks_bridges_and_takes():
    here = body("#####\n#~@T#\n#####", (0, 1), wood_pickaxe=1, stone=1)
    move = here.gather("tree")
    assert move is not None
    assert (move.action, move.way) == ("Move East", ((1, 0),))
    here.facing = (1, 0)
    move = here.gather("tree")
    assert move is not None
    assert move.action == "Do"
    beyond = body("#####\n.~@LT\n#####", (-1, 0), stone=1, wood_pickaxe=1)
    move = beyond.walk([(-1, 0), (-2, 0)])
    assert move.action == "Place Stone"
    assert beyond.walk([(1, 0)]).action == "Noop"  # into lava, never
    assert "lava" not in beyond.costs()
    assert not body("...\n.@.\n...").can_break("stone")


def test_a_free_cell_is_faced_by_coming_from_behind():
    here = body(".....\n..@..\n.....", (0, 1))
    word = here.turn_to({(2, 0)}, lambda cell: True)
    assert word == "Move East"
    here.facing = (1, 0)
    assert here.turn_to({(1, 0)}, lambda cell: True) == ""
    assert here.turn_to({(0, -1)}, lambda cell: cell == (0, 0)) is None  # nowhere to come from


@pytest.mark.parametrize("drawn", ["#######\n#######\n###@###\n#######\n###.###", ".......\n.......\n...@...\n.......\n......."])
def test_a_shelter_ends_up_closed(drawn):
    """Played on a drawn map: after its actions nothing can walk up to the player."""
    here = body(drawn, (0, 1), wood_pickaxe=1, stone=9)
    map_, shelter, inventory = here.map, Shelter(here), {"wood_pickaxe": 1, "stone": 9}
    for _ in range(60):
        move = shelter.enter()
        assert move is not None
        if not move.action:
            break
        if move.action in WAYS:
            here.facing = WAYS[move.action]
            map_.here = here.ahead if map_.is_open(here.ahead) else map_.here
        elif move.action == "Do":
            assert map_.kinds[here.ahead] == "stone"
            map_.kinds[here.ahead] = "path"
            inventory["stone"] += 1
        else:
            assert move.action == "Place Stone"
            assert map_.is_open(here.ahead)
            map_.kinds[here.ahead] = "stone"
            inventory["stone"] -= 1
        here.inventory = inventory
    reached, queue = {map_.here}, [map_.here]
    while queue:
        for cell in beside(queue.pop()):
            assert cell in map_.kinds
            if map_.is_open(cell) and cell not in reached:
                reached.add(cell)
                queue.append(cell)
    assert len(reached) in (2, 4)
    assert inventory["stone"] >= 0


@pytest.mark.parametrize(
    ("drawn", "actions"),
    [
        ("..... ..@Z. .....", {"Move East"}),  # turn to it, then hit
        ("..... ..@.- .....", {"Move North", "Move South"}),  # out of its line
        ("..#.. ..@-. .....", {"Move South"}),
        ("..#.. ..@-. ..L..", set(ACTIONS) - {"Move North", "Move South"}),  # nowhere to go
    ],
)
def test_reflexes(drawn, actions):
    machine = Machine()
    machine.body.map.look(window(drawn))
    machine.body.inventory = dict.fromkeys(("health", "food", "drink", "energy"), 9)
    assert machine.decide(asleep=False).move.action in actions
    assert machine.decide(asleep=True).move.action == "Sleep"


def test_directions():
    assert compass((0, 0), (0, -5)) == "north"
    assert compass((0, 0), (4, 5)) == "south-east"
    assert compass((1, 1), (-8, 2)) == "west"
    assert compass((1, 1), (-2, 2)) == "south-west"


def test_the_public_views_of_crafter_agree_with_its_text(environment):
    observation = environment.reset(3)
    assert environment.facing == (0, 1)
    assert not environment.asleep
    assert {name: environment.inventory[name] for name in ("health", "food", "drink", "energy")} == dict.fromkeys(
        ("health", "food", "drink", "energy"), 9
    )
    seen = environment.window()
    assert (len(seen), len(seen[0])) == (9, 7)
    assert seen[4][3] == "player"
    assert f"You face {seen[4][4]} at your front." in observation.long_term


def test_it_knows_where_it_is_without_being_told(environment):
    """Dead reckoning against the game's own position, with random actions in between."""
    teacher = CrafterTeacher(mistakes=0.3)
    environment.reset(11)
    teacher.begin(np.random.default_rng(0))
    begun, events, moved = tuple(environment._game.player.pos), (), set()
    for _ in range(300):
        lesson = teacher.write(environment, events)
        body_ = teacher._machine.body
        true = tuple(int(b - a) for a, b in zip(begun, environment._game.player.pos, strict=True))
        assert body_.map.here == true
        moved.add(true)
        step = environment.step(lesson.written.action)
        events = step.events
        if step.terminated:
            break
    assert len(moved) > 20


def test_it_notices_moves_that_another_made():
    """Another's action is done instead of the one that was written, and trees tell which way it went."""
    teacher = CrafterTeacher()
    teacher.begin(np.random.default_rng(0))
    world = np.random.default_rng(1).choice(list(".....T#"), (40, 40))
    world[:, ::7] = "."  # lanes to walk in

    class Walked:
        actions = tuple(ACTIONS)
        asleep, inventory = False, dict.fromkeys(("health", "food", "drink", "energy"), 9)
        facing, x, y = (0, 1), 14, 20

        def window(self) -> list[list[str | None]]:
            seen = world[self.y - 3 : self.y + 4, self.x - 4 : self.x + 5].copy()
            seen[3, 4] = "@"
            return window(" ".join("".join(row) for row in seen))

    walked = Walked()
    for step in (0, 1, 1, -1, 1, 1, 0, 1, -1, -1, -1):
        walked.y += step
        walked.facing = (0, step) if step else walked.facing
        teacher.write(walked)
        assert teacher._machine.body.map.here == (walked.x - 14, walked.y - 20)


def test_it_promises_what_a_teacher_promises():
    teacher = CrafterTeacher()
    assert isinstance(teacher, Teacher)
    assert len(teacher.styles) >= 4
    assert CrafterTeacher(styles=("terse",)).styles == ("terse",)


@pytest.mark.parametrize("seed", [0, 1, 3])
def test_it_makes_stone_tools(environment, seed):
    lessons = play(environment, CrafterTeacher(), seed, 260)
    done = environment.achievements()
    for name in ("collect_wood", "place_table", "make_wood_pickaxe", "make_wood_sword", "make_stone_pickaxe", "make_stone_sword"):
        assert done[name] > 0
    assert all(not lesson.wrong for lesson in lessons)
    assert lessons[0].reason == "none held"
    assert {lesson.reason for lesson in lessons} <= {"", "none held", "event subgoal", "interval"}
    assert all((lesson.written.plan is not None) == bool(lesson.reason) for lesson in lessons)


def test_the_same_seed_gives_the_same_lessons(environment):
    noisy = CrafterTeacher(mistakes=0.1, stale=0.5)
    first = play(environment, noisy, 4, 120)
    assert play(environment, CrafterTeacher(mistakes=0.1, stale=0.5), 4, 120) == first
    assert play(environment, noisy, 4, 120) == first  # an episode before it changes nothing


def test_lessons_do_not_depend_on_the_process():
    """Sets of names are gone through in another order in every process; nothing may follow from it."""
    program = (
        "import numpy as np\n"
        "from unseen.environments.text.crafter import Crafter\n"
        "from unseen.planning.teachers.crafter import CrafterTeacher\n"
        "environment, teacher, said = Crafter(), CrafterTeacher(), []\n"
        "environment.reset(5)\n"
        "teacher.begin(np.random.default_rng(5))\n"
        "for _ in range(150):\n"
        "    said.append(repr(teacher.write(environment)))\n"
        "    environment.step(teacher._last)\n"
        "print(said)\n"
    )
    found = [
        subprocess.run([sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True).stdout
        for seed in ("1", "2")
    ]
    assert found[0] == found[1]
    assert "plan=" in found[0]


@pytest.mark.parametrize("style", list(STYLES))
def test_plans_of_every_style_can_be_read_back(environment, style):
    lessons = play(environment, CrafterTeacher(stale=0.5), 1, 160, style=style)
    plans = [lesson.written for lesson in lessons if lesson.written.plan is not None]
    assert len(plans) > 10
    for written in plans:
        assert parse(render(written.plan, written.action)) == written
        assert written.plan is not None
        assert written.plan.endswith(".")
    assert {written.action for written in plans} <= set(ACTIONS)


def test_a_subgoal_has_a_reason(environment):
    """In the words of plans there is a why for whatever is wanted in play."""
    teacher, wanted = CrafterTeacher(), set()
    environment.reset(1)
    teacher.begin(np.random.default_rng(0))
    events = ()
    for _ in range(400):
        lesson = teacher.write(environment, events)
        wanted.add(teacher._machine._subgoal)
        step = environment.step(lesson.written.action)
        events = step.events
        if step.terminated:
            break
    assert len(wanted) > 12
    assert wanted <= set(WHY)


def test_intervals(environment):
    never = play(environment, CrafterTeacher(), 3, 120, interval=0)
    assert "interval" not in {lesson.reason for lesson in never}
    often = play(environment, CrafterTeacher(), 3, 120, interval=1)
    assert all(lesson.reason for lesson in often)
    drawn = play(environment, CrafterTeacher(), 3, 200)
    ages, age = [], 0
    for lesson in drawn:
        if lesson.reason == "interval":
            ages.append(age)
        age = 1 if lesson.reason else age + 1
    assert min(ages) >= 2
    assert max(ages) <= 12
    assert len(set(ages)) > 3


def test_mistakes_are_made_as_often_as_asked_and_said(environment):
    lessons = [lesson for seed in range(3) for lesson in play(environment, CrafterTeacher(mistakes=0.25), seed, 120)]
    share = np.mean([lesson.wrong for lesson in lessons])
    assert abs(share - 0.25) < 4 * (0.25 * 0.75 / len(lessons)) ** 0.5
    assert all(lesson.wrong for lesson in play(environment, CrafterTeacher(mistakes=1.0), 0, 30))


def test_no_mistake_leads_into_lava():
    teacher = CrafterTeacher(mistakes=1.0)
    teacher.begin(np.random.default_rng(0))

    class Surrounded:
        actions = tuple(ACTIONS)
        facing, asleep, inventory = (0, 1), False, {"health": 9, "food": 9, "drink": 9, "energy": 9}

        def window(self) -> list[list[str | None]]:
            return window("LLLLL\nLL@LL\nLLLLL")

    drawn = {teacher.write(Surrounded()).written.action for _ in range(120)}
    assert drawn == set(ACTIONS) - set(WAYS)


def test_bad_plans_are_held_for_a_while_and_then_mended(environment):
    lessons = play(environment, CrafterTeacher(stale=1.0), 3, 300)
    reasons = [lesson.reason for lesson in lessons]
    assert reasons.count("event mistake") > 3
    wrong = [lesson.wrong for lesson in lessons]
    assert 0.1 < np.mean(wrong) < 0.9
    for k, reason in enumerate(reasons):
        if reason == "event mistake":
            assert wrong[k - 1]
            assert not wrong[k]
    longest = max(len(run) for run in "".join("x" if bad else " " for bad in wrong).split())
    assert longest <= 2 * 8  # noticed, at the latest, after eight steps; a new one may follow at once
    right = play(environment, CrafterTeacher(stale=0.0), 3, 300)
    assert [lesson.written.action for lesson in lessons] == [lesson.written.action for lesson in right]  # only plans are bad
    some = [any(lesson.wrong for lesson in play(environment, CrafterTeacher(stale=0.5), seed, 40)) for seed in range(6)]
    assert 0 < sum(some) < 6


def test_asleep_and_dead():
    environment, teacher = Crafter(), CrafterTeacher()
    environment.reset(0)
    teacher.begin(np.random.default_rng(0))
    teacher.write(environment)
    environment._game.player.inventory["energy"] = 1
    environment.step("Sleep")
    assert environment.asleep
    assert teacher.write(environment).written.action == "Sleep"
    environment._game.player.health = 0
    assert environment.step("Noop").terminated
    assert isinstance(teacher.write(environment), Lesson)
    environment.reset(0)
    teacher.begin(np.random.default_rng(0))
    assert teacher.write(environment).reason == "none held"


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"mistakes": 1.5}, "mistakes = 1.5 .* from 0 to 1"),
        ({"stale": -0.1}, "stale = -0.1 .* from 0 to 1"),
        ({"styles": ()}, "one or more of: strategy"),
        ({"styles": ("ters",)}, "did you mean 'terse'"),
    ],
)
def test_settings_that_are_refused(settings, says):
    with pytest.raises(UserError, match=says):
        CrafterTeacher(**settings)


def test_beginnings_that_are_refused():
    teacher = CrafterTeacher(styles=("terse", "steps"))
    with pytest.raises(UserError, match="begin"):
        teacher.write(None)
    with pytest.raises(UserError, match="unknown style"):
        teacher.begin(np.random.default_rng(0), style="strategy")
    with pytest.raises(UserError, match="interval = -1"):
        teacher.begin(np.random.default_rng(0), interval=-1)
