"""Graph search against a plain account of it: dictionaries of sets, breadth-first search, and rules written out once more."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter, deque
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unseen.environments.text import GraphSearch, TextEnvironment, TextStep
from unseen.environments.text.explorer import NOTHING, Search, backtracks, best_moves, walk
from unseen.environments.text.graph_search import DEAD_END, EXHAUSTED, TARGET_SEEN, Moment
from unseen.environments.text.trees import Tree, members, random_tree, tree_of
from unseen.errors import UserError


def distances(graph: dict[int, set[int]], start: int) -> dict[int, int]:
    found, queue = {start: 0}, deque([start])
    while queue:
        node = queue.popleft()
        for near in graph[node]:
            if near not in found:
                found[near] = found[node] + 1
                queue.append(near)
    return found


def plain(tree: Tree) -> dict[int, set[int]]:
    return {i: set(near) for i, near in enumerate(tree.neighbours)}


def read(text: str) -> tuple[dict[int, list[int]], int, int]:
    """What an observation in lines says: neighbours, current node, target."""
    lines = text.split("\n")
    seen = {}
    while lines[0]:
        match = re.fullmatch(r"node: (\d+), neighbors: \[([\d, ]+)\]", lines.pop(0))
        assert match
        seen[int(match[1])] = [int(j) for j in match[2].split(", ")]
    match = re.fullmatch(r"current node: (\d+), target node: (\d+)", lines[1])
    assert match
    return seen, int(match[1]), int(match[2])


def search(neighbours: dict[int, set[int]], start: int, target: int, radius: int) -> Search:
    tree = Tree(tuple(tuple(sorted(neighbours[i])) for i in range(len(neighbours))))
    return Search(tree, start, target, tree.balls(radius), tree.balls(radius - 1))


@pytest.fixture
def corridor() -> Search:
    """0 - 1 - 2 - 3 - 4, with a dead end 5 at 1 and one of two nodes 6 - 7 at 2."""
    edges = [(0, 1), (1, 2), (2, 3), (3, 4), (1, 5), (2, 6), (6, 7)]
    graph: dict[int, set[int]] = {i: set() for i in range(8)}
    for i, j in edges:
        graph[i].add(j)
        graph[j].add(i)
    return search(graph, 0, 4, 1)


def begun(instance: Search, **options: float) -> GraphSearch:
    """An episode on this very instance."""
    environment = GraphSearch(instance.tree.size, 1, min_backtracks=0, **options)  # type: ignore[arg-type]
    environment.restore(Moment(instance, instance.start, -1, NOTHING.at(instance, instance.start), 0, False, 0, "", False))
    return environment


def test_every_code_is_one_tree_and_every_tree_has_one():
    trees = {tree_of(code) for code in product(range(5), repeat=3)}
    assert len(trees) == 5**3  # Cayley: n^(n - 2)
    for tree in trees:
        assert sum(map(len, tree.neighbours)) == 2 * 4
        assert len(distances(plain(tree), 0)) == 5  # with n - 1 edges and connected: a tree


def test_trees_are_drawn_uniformly():
    generator = np.random.default_rng(0)
    counts = Counter(random_tree(4, generator) for _ in range(8_000))
    assert len(counts) == 16
    chi_squared = sum((count - 500) ** 2 / 500 for count in counts.values())
    assert chi_squared < 37.7  # the 99.9 % point with 15 degrees of freedom


@given(st.integers(1, 30), st.integers(0, 5), st.integers(0, 1_000))
def test_distances_ways_and_balls(size, radius, seed):
    tree = random_tree(size, np.random.default_rng(seed))
    graph, balls = plain(tree), tree.balls(radius)
    for i in range(size):
        found = distances(graph, i)
        assert set(members(balls[i])) == {j for j in found if found[j] <= radius}
        for j in range(size):
            path = tree.path(i, j)
            assert len(path) - 1 == tree.distance(i, j) == found[j]
            assert all(b in graph[a] for a, b in pairwise(path))


@pytest.mark.parametrize("form", ["lines", "compact"])
def test_texts_rewards_and_ends_on_a_thousand_graphs(form):
    generator = np.random.default_rng(0)
    for episode in range(1_000):
        nodes, radius = int(generator.integers(2, 21)), int(generator.integers(1, 4))
        options = {"step_penalty": -0.25, "revisit_penalty": -0.5, "max_steps": 12}
        environment = GraphSearch(nodes, radius, min_backtracks=0, form=form, **options)
        observation = environment.reset(episode)
        instance = environment.snapshot().search
        graph, node, visited, ended, count = plain(instance.tree), instance.start, {instance.start}, False, 0
        while not ended:
            far = distances(graph, node)
            visible = {i for i in far if far[i] <= radius}
            near = {i: sorted(graph[i] & visible) for i in sorted(visible)}
            assert environment.legal() == tuple(map(str, sorted(graph[node])))
            if form == "lines":
                assert read(observation.long_term) == ({i: some for i, some in near.items() if some}, node, instance.target)
            else:
                order = sorted(visible - {node}, key=lambda i: (-far[i], i))
                lines = [f"{i} : {' '.join(map(str, near[i]))}" for i in order]
                expected = [f"target {instance.target}", *lines, f"at {node} : {' '.join(map(str, near[node]))}"]
                assert observation.long_term.split("\n")[: len(expected)] == expected
            to = int(generator.integers(0, nodes)) if generator.random() < 0.3 else int(generator.choice(sorted(graph[node])))
            step = environment.step(f" {to}\n")
            count += 1
            if to not in graph[node]:
                expected, reached = -1.0, False
            elif to == instance.target:
                node, expected, reached = to, 100.0, True
            else:
                expected, reached = -0.25 - 0.5 * (to in visited), False
                node = to
                visited.add(to)
            assert (step.reward, step.terminated) == (expected, reached)
            assert step.illegal == (expected == -1.0)
            assert step.truncated == (count == 12 and not reached)
            assert step.progression == float(reached)
            observation, ended = step.observation, step.terminated or step.truncated
            assert ("number of a neighbor" in observation.long_term) == step.illegal
            assert ("reached the target" in observation.long_term) == reached


def test_the_observation_as_arrays_lies_in_its_space():
    environment = GraphSearch(9, 2, min_backtracks=0)
    for seed in range(50):
        environment.reset(seed)
        found = environment.structured()
        assert environment.observation_space.contains(found)
        seen, node, target = read(environment.restore(environment.snapshot()).long_term)
        assert (found["current_node"], found["target_node"]) == (node, target)
        assert {i: np.flatnonzero(found["adjacency"][i]).tolist() for i in seen} == seen
        assert {tuple(edge) for edge in found["edge_list"]} == {(i, j) for i, near in seen.items() for j in near if i < j}


def test_events_and_best_moves_by_hand(corridor):
    environment = begun(corridor)
    assert environment.experts() == ("1",)
    assert environment.step("1").events == ()
    assert environment.experts() == ("2", "5")  # both are as near, and nothing is known of them
    step = environment.step("5")
    assert step.events == (DEAD_END, EXHAUSTED)
    assert environment.experts() == ("1",)
    assert environment.step("1").events == ()
    assert environment.backtracks == 1
    assert environment.experts() == ("2",)
    environment.step("2")
    assert environment.experts() == ("3", "6")
    assert environment.step("6").events == ()
    assert environment.experts() == ("7",)  # nearer than 3
    assert environment.step("7").events == (DEAD_END, EXHAUSTED)
    assert environment.step("6").events == ()
    environment.step("2")
    assert environment.step("3").events == (TARGET_SEEN,)
    assert environment.experts() == ("4",)
    step = environment.step("4")
    assert (step.terminated, step.reward, step.events, step.progression) == (True, 100.0, (), 1.0)
    with pytest.raises(UserError, match="over"):
        environment.step("3")


def test_an_illegal_move_is_no_backtrack_and_keeps_its_own_words(corridor):
    environment = begun(corridor, expert_penalty=-1.0)
    assert environment.step("1").reward == 0.0
    assert environment.step("7").reward == -2.0
    step = environment.step("7")
    assert step.illegal
    assert environment.backtracks == 0
    step = environment.step("0")  # legal, though no expert's
    assert (step.reward, step.illegal) == (-1.0, False)
    assert "neighbor of" not in step.observation.long_term
    assert environment.backtracks == 1  # where it was two moves before: those that were none do not count


def test_the_explorer_by_hand(corridor):
    nodes = walk(corridor)
    assert nodes == [0, 1, 2, 3, 4]
    assert backtracks(nodes) == 0
    assert backtracks([0, 1, 0, 1, 2, 1]) == 2
    other = corridor._replace(target=7)
    assert walk(other) == [0, 1, 2, 3, 4, 3, 2, 6, 7]
    assert backtracks(walk(other)) == 1


@given(st.integers(2, 25), st.integers(1, 4), st.integers(0, 10_000))
def test_the_explorer_always_arrives_by_best_moves(size, radius, seed):
    generator = np.random.default_rng(seed)
    tree = random_tree(size, generator)
    start = int(generator.integers(size))
    instance = Search(tree, start, (start + 1 + int(generator.integers(size - 1))) % size, tree.balls(radius), tree.balls(radius - 1))
    nodes, known = walk(instance), NOTHING
    assert nodes[-1] == instance.target
    assert instance.target not in nodes[:-1]
    for a, b in pairwise(nodes):
        known = known.at(instance, a)
        assert b in tree.neighbours[a]
        if known.seen >> instance.target & 1:
            assert best_moves(instance, known, a) == [b]


@pytest.mark.parametrize(("nodes", "radius", "turns", "mean"), [(20, 2, 1, 11.6), (20, 2, 2, 15.4), (20, 2, 3, 17.8), (10, 2, 1, 7.2)])
def test_the_filter_makes_trees_as_hard_as_the_public_package_does(nodes, radius, turns, mean):
    """Mean steps of its explorer over 200 seeds, as measured there."""
    environment, steps = GraphSearch(nodes, radius, min_backtracks=turns), []
    for seed in range(200):
        environment.reset(seed)
        nodes_walked = walk(environment.snapshot().search)
        assert backtracks(nodes_walked) >= turns
        steps.append(len(nodes_walked) - 1)
    error = np.hypot(np.std(steps) / 200**0.5, np.std(steps) / 200**0.5)  # both are means of 200
    assert abs(np.mean(steps) - mean) < 3.5 * error


def test_what_is_hidden_in_words():
    environment = GraphSearch(12, 1, min_backtracks=0)
    environment.reset(3)
    instance, signals = environment.snapshot().search, environment.signals()
    seen, node, target = read(signals["graph"])
    assert seen == {i: sorted(near) for i, near in plain(instance.tree).items()}
    path = [int(word) for word in signals["path"].split()]
    assert (path[0], path[-1]) == (node, target)
    assert path == instance.tree.path(node, target)
    assert tuple(signals["experts"].split()) == environment.experts()


def played(environment: GraphSearch, turns: list[float]) -> list[TextStep]:
    """Legal steps chosen by numbers from 0 to 1, until they or the episode come to an end."""
    steps = []
    for turn in turns:
        if not environment.snapshot().over:
            legal = environment.legal()
            steps.append(environment.step(legal[int(turn * len(legal))]))
    return steps


def test_from_a_snapshot_the_same_actions_lead_to_the_same():
    environment, other = GraphSearch(), GraphSearch()
    generator = np.random.default_rng(1)
    for seed in range(20):
        environment.reset(seed)
        played(environment, generator.random(4).tolist())
        moment = environment.snapshot()
        seen = environment.restore(moment)
        other.reset(seed + 1)
        assert other.restore(moment) == seen
        turns = generator.random(5).tolist()
        first = played(environment, turns)
        assert played(other, turns) == first
        environment.restore(moment)
        assert played(environment, turns) == first
        environment.restore(moment)
        illegal = environment.step("99") if not moment.over else None
        assert illegal is None or illegal.illegal


SCRIPT = """
from unseen.environments.text import GraphSearch
environment = GraphSearch()
for seed in range(30):
    print(environment.reset(seed))
    for k in range(6):
        print(environment.step(environment.legal()[k % len(environment.legal())])) if not environment.snapshot().over else None
"""


def test_processes_agree():
    texts = {subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True).stdout for _ in range(2)}
    assert len(texts) == 1
    assert len(texts.pop()) > 1_000


@given(st.text())
def test_no_action_breaks_an_episode(action):
    environment = GraphSearch(5, 1, min_backtracks=0)
    environment.reset(0)
    step = environment.step(action)
    assert step.illegal == (step.reward == -1.0)
    if action.strip() not in environment.actions:
        assert step.illegal


def test_a_number_written_otherwise_is_no_action():
    environment = GraphSearch(5, 1, min_backtracks=0)
    environment.reset(0)
    moment, legal = environment.snapshot(), environment.legal()[0]
    assert not environment.step(legal).illegal
    for word in (f"0{legal}", f"+{legal}", f"{legal}.0", f"node {legal}"):
        environment.restore(moment)
        assert environment.step(word).illegal


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"nodes": 1}, "nodes = 1"),
        ({"radius": 0}, "radius = 0"),
        ({"max_steps": 0}, "max_steps = 0"),
        ({"min_backtracks": -1}, "min_backtracks = -1"),
        ({"form": "line"}, "form of graph search 'line'; did you mean 'lines'"),
    ],
)
def test_what_is_refused(options, says):
    with pytest.raises(UserError, match=says):
        GraphSearch(**options)


def test_a_tree_that_cannot_be_hard_enough_is_refused_and_so_is_a_step_before_the_first(monkeypatch):
    monkeypatch.setattr("unseen.environments.text.graph_search.TRIES", 100)
    with pytest.raises(UserError, match="min_backtracks = 5: none of 100 trees with 3 nodes"):
        GraphSearch(3, min_backtracks=5).reset(0)
    with pytest.raises(UserError, match="reset"):
        GraphSearch().step("1")
    with pytest.raises(UserError, match="0 or more"):
        GraphSearch().reset(-1)
    small = GraphSearch(5, min_backtracks=0)
    small.reset(0)
    with pytest.raises(UserError, match="5 nodes, and this environment has 20"):
        GraphSearch().restore(small.snapshot())


def test_it_keeps_the_contract():
    environment = GraphSearch()
    assert isinstance(environment, TextEnvironment)
    assert environment.actions == tuple(str(i) for i in range(20))
    assert environment.max_steps == 30
    for word in ("2 edges", "20 nodes", "30 steps", "100", "-1", "dead end"):
        assert word in environment.instructions
