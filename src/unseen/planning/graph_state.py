"""The Markov state of a graph search, as numbers: where everything lies that decides how long the way will still be.

The tree itself has too many forms to be counted. What is kept of it: how far the target is, how much lies where one might go astray, which
neighbours the window shows as visited, and what the held plan would do, measured on the whole tree, which the agent does not see.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import lru_cache
from itertools import pairwise

from unseen.environments.text.trees import ways
from unseen.errors import UserError
from unseen.planning.markov import plan_and_clock
from unseen.planning.models.reader import HERE, TARGET, edges_of
from unseen.planning.moments import Moment

Edges = Mapping[int, set[int]]

NEAR = 0.7  # what one step more leaves of nearness: the value of a state falls like this, or nearly so

AIM = re.compile(r"(?:target|explore|behind node) (\d+)")
ROUTE = re.compile(r"(?:via|walk to) ((?:\d+(?:, then |, | )?)+)")
NUMBER = re.compile(r"\d+")


def graph_search_state(moment: Moment) -> Mapping[str, float]:
    """Numbers for the nuisances, on the tree of the signal "graph".

    Returns:
        Of plan and clock: held, age, locked, left. Of the place: the `distance` to the target, its `nearness`, `astray`, the logarithm of
        a random walker's expected steps to it, and `behind`, the number of nodes on this side of the next step. Of what is seen: whether
        the target is `in_sight`, how many neighbours the window does not show as visited (`fresh`), the chance that one of them drawn at
        random is right (`luck`), and the chance that a farthest one in sight is (`promise`). Of the held plan: whether it says a way from
        here (`usable`), how long that is (`length`), whether it begins `right`, by how much it brings the target nearer (`gain`), whether
        it `arrives` there; whether it has `ended` here; and where it says no way from here, the chance that it does so again after a
        step at random (`resumes`), and that it then `misleads`.

    Raises:
        UserError: a log without the signal "graph".
    """
    if "graph" not in moment.signals:
        raise UserError('the state of a graph search needs the signal "graph"; record the log with signals=["graph"] (--signals graph)')
    tree = _tree(moment.signals["graph"])
    here, target = _node(HERE, moment.now.text), _node(TARGET, moment.now.text)
    visited = {_node(HERE, turn.observation) for turn in moment.past}
    to_target = ways(tree, here)[target]
    return {
        **plan_and_clock(moment),
        **_place(tree, to_target),
        **_sight(tree, edges_of(moment.now.text), to_target, visited),
        **_plan(tree, to_target, visited, moment.slot.plan),
    }


def _place(tree: Edges, to_target: tuple[int, ...]) -> dict[str, float]:
    """How far it is, and how much lies beside the way."""
    steps, behind = 0, 0
    for k in range(len(to_target) - 1):
        # From x_i, a random walker needs 2 |nodes on this side of the edge| - 1 steps on average to cross to x_{i+1} (in a tree).
        side = len(_without(tree, to_target[k], to_target[k + 1]))
        steps += 2 * side - 1
        behind = side if k == 0 else behind
    distance = len(to_target) - 1.0
    return {"distance": distance, "nearness": NEAR**distance, "astray": math.log1p(steps), "behind": float(behind)}


def _sight(tree: Edges, seen: Edges, to_target: tuple[int, ...], visited: set[int]) -> dict[str, float]:
    """What the agent sees, and what it is worth to go by it."""
    here, right = to_target[0], to_target[min(1, len(to_target) - 1)]
    fresh = [node for node in tree[here] if node not in visited]
    seen_ways = {node: way for node, way in ways(seen, here).items() if node != here}
    in_sight = to_target[-1] in seen_ways
    reach = max(map(len, seen_ways.values()), default=0)
    edge = [way for way in seen_ways.values() if len(way) == reach and way[1] not in visited]
    promise = sum(way[1] == right for way in edge) / len(edge) if edge else 0.0
    luck = (right in fresh) / len(fresh) if fresh else 1.0 / len(tree[here])
    return {"in_sight": float(in_sight), "fresh": float(len(fresh)), "luck": luck, "promise": 1.0 if in_sight else promise}


def _plan(tree: Edges, to_target: tuple[int, ...], visited: set[int], plan: str | None) -> dict[str, float]:
    """What the held plan would do, were it followed from here; and, where it says nothing here, after a step at random."""
    here, target = to_target[0], to_target[-1]
    nodes, route = _route(plan, here, tree), _usable(plan, here, tree)
    moves = [node for node in tree[here] if node not in visited] or list(tree[here])
    onward = [(near, _usable(plan, near, tree)) for near in moves] if plan is not None and not route else []
    speaking = [(near, then) for near, then in onward if then]
    misled = sum(then[0] != _toward(tree, near, target) for near, then in speaking)
    end = route[-1] if route else here
    return {
        "usable": float(bool(route)),
        "length": float(len(route)),
        "right": float(bool(route) and route[0] == _toward(tree, here, target)),
        "gain": len(to_target) - float(len(ways(tree, end)[target])),
        "arrives": float(target in route),
        "ended": float(bool(nodes) and nodes[-1] == here),
        "resumes": len(speaking) / max(len(moves), 1),
        "misleads": misled / max(len(moves), 1),
    }


def _toward(tree: Edges, node: int, target: int) -> int:
    """The next node on the way; the target itself where one is there."""
    way = ways(tree, node)[target]
    return way[min(1, len(way) - 1)]


def _usable(plan: str | None, here: int, tree: Edges) -> list[int]:
    """What is left of a plan's route, where it can be walked from here."""
    nodes = _route(plan, here, tree)
    rest = nodes[nodes.index(here) + 1 :] if here in nodes else nodes
    return rest if all(b in tree.get(a, ()) for a, b in pairwise((here, *rest))) else []


def _route(plan: str | None, here: int, tree: Edges) -> list[int]:
    """The nodes of a plan's route; where it names a node and no route, the way there."""
    if plan is None:
        return []
    route, aim = ROUTE.search(plan), AIM.search(plan)
    if route is not None:
        return [int(word) for word in NUMBER.findall(route[1])]
    return list(ways(tree, here)[int(aim[1])][1:]) if aim is not None and int(aim[1]) in tree else []


def _without(tree: Edges, node: int, gone: int) -> set[int]:
    """The nodes that can be reached from one without its edge to another."""
    found, wave = {node, gone}, [node]
    for each in wave:  # it grows while it is walked through
        for near in tree[each] - found:
            found.add(near)
            wave.append(near)
    return found - {gone}


def _node(pattern: re.Pattern[str], text: str) -> int:
    """The node that an observation says it is at, or looks for.

    Raises:
        UserError: it says nothing of the kind.
    """
    found = pattern.search(text)
    if found is None:
        raise UserError(f"this is no observation of a graph search: {text[:60]!r}")
    return int(found[1] or found[2])


_tree = lru_cache(maxsize=8192)(edges_of)
