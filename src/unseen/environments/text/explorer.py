"""A player of graph search that forgets nothing: what it knows, where it would go, and how often it has to turn back.

Source: the reference explorer of the public gym-pogs package; which of several nearest nodes it takes (the lowest) is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from unseen.environments.text.trees import Tree, members


class Search(NamedTuple):
    """One instance of graph search.

    Attributes:
        tree: what is searched.
        start, target: two nodes.
        visible: of every node, what can be seen from it: all nodes within the radius k.
        explored: of every node, what has been explored by standing on it: all nodes within k - 1, whose every edge is seen.
    """

    tree: Tree
    start: int
    target: int
    visible: tuple[int, ...]
    explored: tuple[int, ...]


class Known(NamedTuple):
    """What has been seen, explored and visited in an episode: sets of nodes."""

    seen: int
    explored: int
    visited: int

    def at(self, search: Search, node: int) -> Known:
        """After having looked around from a node."""
        return Known(self.seen | search.visible[node], self.explored | search.explored[node], self.visited | 1 << node)


NOTHING = Known(0, 0, 0)


def destinations(search: Search, known: Known, node: int) -> list[int]:
    """Where it is best to go: the target if it has been seen, else every nearest node that has been seen and is not explored."""
    if known.seen >> search.target & 1:
        return [search.target]
    distance, frontier = search.tree.routes[0][node], list(members(known.seen & ~known.explored))
    nearest = min(distance[j] for j in frontier)
    return [j for j in frontier if distance[j] == nearest]


def best_moves(search: Search, known: Known, node: int) -> list[int]:
    """The neighbours that lead to a destination by a shortest way, ascending."""
    first = search.tree.routes[1][node]
    return sorted({first[j] for j in destinations(search, known, node)})


def walk(search: Search) -> list[int]:
    """The nodes that the explorer visits, from the start to the target; it goes to a destination until that has been explored."""
    node, first = search.start, search.tree.routes[1]
    known, nodes = NOTHING.at(search, node), [search.start]
    while node != search.target:
        goal = destinations(search, known, node)[0]
        while node != search.target and (goal == search.target or not known.explored >> goal & 1):
            node = first[node][goal]
            nodes.append(node)
            known = known.at(search, node)
            if known.seen >> search.target & 1:
                break
    return nodes


def backtracks(nodes: Sequence[int]) -> int:
    """How often a walk turns back: enters a node that it has visited, after having been on new ground."""
    count, visited, on_new_ground = 0, {nodes[0]}, True
    for node in nodes[1:]:
        new = node not in visited
        count += on_new_ground and not new
        on_new_ground = new
        visited.add(node)
    return count
