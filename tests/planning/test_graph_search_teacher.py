"""The teacher of graph search: what it may look at, that it arrives, that its plans are true, and its knobs."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pytest

from unseen.environments.text import GraphSearch
from unseen.errors import UserError
from unseen.planning.teachers.contract import Lesson, Teacher
from unseen.planning.teachers.graph_search import STYLES, GraphSearchTeacher


class OnlyWhatIsShown:
    """An environment of which nothing can be reached but what an agent is shown, and what the task says of its sight."""

    __slots__ = ("radius", "structured")

    def __init__(self, environment: GraphSearch):
        seen = environment.structured()
        self.radius = environment.radius
        self.structured = lambda: seen


class Step(NamedTuple):
    """A step, and a plain account of what was known before it."""

    here: int
    target: int
    lesson: Lesson
    edges: frozenset[tuple[int, int]]  # seen so far, both ways
    frontier: frozenset[int]  # seen and not explored
    illegal: bool
    behind: dict[int, set[int]]  # of every known node, the known nodes behind it


@dataclass
class Played:
    steps: list[Step] = field(default_factory=list)
    reached: bool = False


def play(environment: GraphSearch, teacher: GraphSearchTeacher, seed: int, **how: Any) -> Played:
    environment.reset(seed)
    teacher.begin(np.random.default_rng((seed, 1)), **how)
    played, tree, radius = Played(), environment.tree, environment.radius
    seen, explored = set(), set()
    edges: set[tuple[int, int]] = set()
    while True:
        here = environment.node
        visible = {node for node in range(tree.size) if tree.distance(here, node) <= radius}
        seen |= visible
        explored |= {node for node in visible if tree.distance(here, node) <= radius - 1}
        edges |= {(i, j) for i in visible for j in tree.neighbours[i] if j in visible}
        lesson = teacher.write(OnlyWhatIsShown(environment))
        ways = {node: tree.path(here, node) for node in seen}
        behind = {goal: {node for node in seen if goal in ways[node]} for goal in seen}
        target = int(environment.structured()["target_node"])
        step = environment.step(lesson.written.action)
        played.steps.append(Step(here, target, lesson, frozenset(edges), frozenset(seen - explored), step.illegal, behind))
        if step.terminated or step.truncated:
            played.reached = step.terminated
            return played


@pytest.fixture(scope="module")
def three_hundred() -> list[Played]:
    environment, teacher = GraphSearch(20, 2, 60), GraphSearchTeacher(styles=("remember",))
    return [play(environment, teacher, seed) for seed in range(300)]


def read(plan: str) -> tuple[str, int, list[int], list[int]]:
    found = re.fullmatch(r"(target|explore) (\d+) via ([\d ]+) later (none|[\d ]+)", plan)
    assert found is not None
    return found[1], int(found[2]), [int(n) for n in found[3].split()], [] if found[4] == "none" else [int(n) for n in found[4].split()]


def planned(played: list[Played]) -> list[Step]:
    return [step for one in played for step in one.steps if step.lesson.written.plan is not None]


def test_it_reaches_the_target_by_legal_moves(three_hundred):
    assert isinstance(GraphSearchTeacher(), Teacher)
    assert all(one.reached for one in three_hundred)
    assert not any(step.illegal or step.lesson.wrong for one in three_hundred for step in one.steps)


@pytest.mark.parametrize(("nodes", "radius"), [(2, 1), (9, 1), (14, 3)])
def test_it_reaches_the_target_whatever_can_be_seen(nodes, radius):
    environment = GraphSearch(nodes, radius, 4 * nodes, min_backtracks=0)
    for seed in range(40):
        assert play(environment, GraphSearchTeacher(), seed).reached


def test_the_routes_in_its_plans_are_paths_of_edges_it_has_seen(three_hundred):
    for step in planned(three_hundred):
        kind, goal, route, _ = read(step.lesson.written.plan or "")
        assert route[-1] == goal
        assert all(edge in step.edges for edge in pairwise([step.here, *route]))
        assert len(set(route)) == len(route)
        assert (kind == "target") == (goal == step.target)
        assert step.lesson.written.action == str(route[0])
        if kind == "explore":
            assert goal in step.frontier
            assert step.target not in step.behind  # else it would go there


def test_later_are_the_unexplored_nodes_that_are_not_behind_the_goal(three_hundred):
    several = 0
    for step in planned(three_hundred):
        kind, goal, _, later = read(step.lesson.written.plan or "")
        assert later == ([] if kind == "target" else sorted(step.frontier - step.behind[goal]))
        several += len(later) > 1
    assert several > 50


def test_it_goes_to_the_nearest_unexplored_node_unless_its_branch_has_more(three_hundred):
    for step in planned(three_hundred):
        kind, _, route, _ = read(step.lesson.written.plan or "")
        if kind == "explore" and step.lesson.reason != "interval":
            distance = {node: sum(node in step.behind[between] for between in step.behind) - 1 for node in step.frontier}
            assert len(route) == min(distance.values())


def test_it_stays_in_a_branch_until_nothing_in_it_is_unexplored(three_hundred):
    for one in three_hundred:
        origin, goal = None, None
        for step in one.steps:
            if step.lesson.written.plan is not None:
                if goal is not None and origin is not None and step.lesson.reason == "event branch exhausted":
                    assert not step.frontier & _branch(step, goal, origin)
                kind, goal, _, _ = read(step.lesson.written.plan)
                origin, goal = step.here, goal if kind == "explore" else None
            elif goal is not None and origin is not None:
                assert step.frontier & _branch(step, goal, origin)


def _branch(step: Step, goal: int, origin: int) -> set[int]:
    """The known nodes behind a goal, seen from where the plan was made: all that are not on the origin's side of it."""
    near: dict[int, set[int]] = {}
    for i, j in step.edges:
        near.setdefault(i, set()).add(j)
    side, wave = {origin}, [origin]
    for node in wave:
        for other in near[node] - side - {goal}:
            side.add(other)
            wave.append(other)
    return set(near) - side


def test_why_it_plans(three_hundred):
    for one in three_hundred:
        target_planned = False
        for t, step in enumerate(one.steps):
            reason, plan = step.lesson.reason, step.lesson.written.plan
            assert (plan is None) == (reason == "")
            assert (t == 0) == (reason == "none held")
            knows = step.target in step.behind
            if knows and not target_planned:
                assert reason in ("event target seen", "none held")
            else:
                assert reason != "event target seen"
            target_planned = target_planned or knows


@pytest.mark.parametrize("interval", [1, 3, 12, None, 0])
def test_intervals(interval):
    environment, teacher, gaps = GraphSearch(20, 2, 60), GraphSearchTeacher(), set()
    for seed in range(60):
        played, last = play(environment, teacher, seed, interval=interval), 0
        for t, step in enumerate(played.steps):
            if step.lesson.reason == "interval":
                gaps.add(t - last)
            if step.lesson.written.plan is not None:
                last = t
            assert interval == 0 or t - last < (interval or 12)
    if interval is None:
        assert gaps <= set(range(2, 13))
        assert {2, 3, 4, 5} <= gaps
    elif interval == 12:
        assert gaps <= {12}
    else:
        assert gaps == ({interval} if interval else set())


def test_mistakes_are_random_legal_moves_and_said_to_be():
    environment = GraphSearch(12, 2, 40)
    steps = [step for seed in range(60) for step in play(environment, GraphSearchTeacher(mistakes=0.3), seed, style="remember").steps]
    share = np.mean([step.lesson.wrong for step in steps])
    assert abs(share - 0.3) < 4 * (0.3 * 0.7 / len(steps)) ** 0.5
    assert not any(step.illegal for step in steps)
    astray = [int(step.lesson.written.action) != read(step.lesson.written.plan)[2][0] for step in steps if step.lesson.written.plan]
    true = [step.lesson.wrong for step in steps if step.lesson.written.plan]
    assert all(wrong or not off for wrong, off in zip(true, astray, strict=True))
    assert any(astray)
    always = play(environment, GraphSearchTeacher(mistakes=1.0), 0)
    assert all(step.lesson.wrong for step in always.steps)


def test_stale_plans_are_followed_for_a_while_and_then_replaced():
    environment, teacher = GraphSearch(20, 2, 120), GraphSearchTeacher(stale=1.0, styles=("remember",))
    runs, true, false = set(), 0, 0
    for seed in range(80):
        played = play(environment, teacher, seed, interval=0)
        assert played.reached
        wrong_since: int | None = None
        for t, step in enumerate(played.steps):
            plan = step.lesson.written.plan
            assert not step.illegal
            if plan is not None:
                assert (wrong_since is not None) == (step.lesson.reason == "event plan was wrong")
                if wrong_since is not None:
                    runs.add(t - wrong_since)
                wrong_since = t if step.lesson.wrong else None
                kind, goal, route, later = read(plan)
                assert all(edge in step.edges for edge in pairwise([step.here, *route]))
                if step.lesson.wrong:
                    assert (kind, later, route[-1]) == ("explore", [], goal)
                false, true = false + step.lesson.wrong, true + (not step.lesson.wrong)
            elif step.lesson.wrong:
                assert wrong_since is not None
    assert runs == {1, 2, 3}
    assert abs(false / (false + true) - 0.5) < 4 * 0.5 / (false + true) ** 0.5


def test_stale_is_a_share_of_episodes():
    environment, teacher = GraphSearch(12, 2, 60), GraphSearchTeacher(stale=0.5)
    spoilt = [any(step.lesson.wrong for step in play(environment, teacher, seed, interval=1).steps) for seed in range(120)]
    assert 0.25 < np.mean(spoilt) < 0.6  # of those that can be spoilt a few are lucky
    assert not any(step.lesson.wrong for step in play(environment, GraphSearchTeacher(stale=0.0), 0).steps)


def test_slips_are_illegal_and_said_to_be():
    environment = GraphSearch(12, 2, 40)
    steps = [step for seed in range(60) for step in play(environment, GraphSearchTeacher(slips=0.2), seed).steps]
    assert [step.illegal for step in steps] == [step.lesson.wrong for step in steps]
    assert abs(np.mean([step.illegal for step in steps]) - 0.2) < 4 * (0.2 * 0.8 / len(steps)) ** 0.5


def test_who_plans_late_arrives_as_soon_as_who_plans_in_time():
    environment, lengths, withheld = GraphSearch(20, 2, 60), [], 0
    for seed in range(100):
        late = play(environment, GraphSearchTeacher(late=1.0), seed)
        timely = play(environment, GraphSearchTeacher(), seed)
        assert late.reached
        lengths.append((len(late.steps), len(timely.steps)))
        planned = [t for t, step in enumerate(late.steps) if step.lesson.written.plan is not None]
        assert planned[0] == 0
        gaps = {b - a for a, b in pairwise(planned)}
        assert len(gaps) <= 1  # every so many steps
        assert gaps <= set(range(2, 13))
        assert not any(late.steps[t].lesson.reason == "withheld" for t in planned)
        withheld += any(step.lesson.reason == "withheld" for step in late.steps)
    assert withheld > 50
    means = np.mean(lengths, axis=0)
    assert abs(means[0] - means[1]) < 0.05 * means[1]


def test_late_is_a_share_of_episodes():
    environment = GraphSearch(20, 2, 60)
    late = [any(s.lesson.reason == "withheld" for s in play(environment, GraphSearchTeacher(late=0.5), seed).steps) for seed in range(100)]
    assert 0.3 < np.mean(late) < 0.6


# --- words


def test_styles_say_the_same_in_other_words():
    environment = GraphSearch(20, 2, 60)
    plans = {
        style: [step.lesson.written.plan for step in play(environment, GraphSearchTeacher(), 3, style=style, interval=4).steps]
        for style in STYLES
    }
    for terse, route, remember, explain in zip(*(plans[style] for style in ("terse", "route", "remember", "explain")), strict=True):
        if remember is None:
            assert (terse, route, explain) == (None, None, None)
            continue
        kind, goal, way, later = read(remember)
        assert terse == f"{kind} {goal}"
        assert route == f"{kind} {goal} via {' '.join(map(str, way))}"
        numbers = [int(n) for n in re.findall(r"\d+", explain)]
        assert numbers == [goal, *way, *later]
        assert explain.startswith("The target " + ("has not" if kind == "explore" else f"{goal} has"))


def test_styles_are_drawn():
    environment = GraphSearch(6, 2, 20, min_backtracks=0)
    teacher = GraphSearchTeacher(styles=("terse", "route"))
    assert teacher.styles == ("terse", "route")
    firsts = [play(environment, teacher, seed).steps[0].lesson.written.plan or "" for seed in range(40)]
    assert {" via " in plan for plan in firsts} == {True, False}
    assert all(" via " not in (play(environment, teacher, s, style="terse").steps[0].lesson.written.plan or "") for s in range(10))


def test_an_episode_follows_from_its_generator_and_nothing_before():
    environment, teacher = GraphSearch(12, 2, 40), GraphSearchTeacher(mistakes=0.2, stale=0.5)
    first = [step.lesson for step in play(environment, teacher, 5).steps]
    play(environment, teacher, 6)
    assert [step.lesson for step in play(environment, teacher, 5).steps] == first


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"mistakes": -0.1}, "mistakes = -0.1"),
        ({"stale": 1.1}, "stale = 1.1"),
        ({"late": float("nan")}, "late = nan"),
        ({"slips": 2.0}, "slips = 2.0"),
        ({"styles": ("ters",)}, "did you mean 'terse'"),
        ({"styles": ()}, "at least one"),
    ],
)
def test_settings_that_are_refused(settings, says):
    with pytest.raises(UserError, match=says):
        GraphSearchTeacher(**settings)


def test_what_cannot_begin():
    with pytest.raises(UserError, match="did you mean 'remember'"):
        GraphSearchTeacher().begin(np.random.default_rng(0), "rememb")
    with pytest.raises(UserError, match="unknown style"):
        GraphSearchTeacher(styles=("terse",)).begin(np.random.default_rng(0), "route")
    with pytest.raises(UserError, match="interval = -1"):
        GraphSearchTeacher().begin(np.random.default_rng(0), None, -1)
