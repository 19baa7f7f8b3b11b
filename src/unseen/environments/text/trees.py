"""Labelled trees: drawn uniformly, with all distances, and sets of nodes as the bits of an integer."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Tree:
    """A tree on the nodes 0 to n - 1.

    Attributes:
        neighbours: of every node, ascending.
    """

    neighbours: tuple[tuple[int, ...], ...]

    @property
    def size(self) -> int:
        return len(self.neighbours)

    @cached_property
    def routes(self) -> tuple[tuple[tuple[int, ...], ...], tuple[tuple[int, ...], ...]]:
        """(d, first): the distance from i to j is d[i][j], and the way there begins with first[i][j] (i itself where i = j)."""
        distances, firsts = [], []
        for i in range(self.size):
            distance, first, wave = [-1] * self.size, [i] * self.size, [i]
            distance[i] = 0
            for node in wave:  # it grows while it is walked through
                for near in self.neighbours[node]:
                    if distance[near] < 0:
                        distance[near] = distance[node] + 1
                        first[near] = near if node == i else first[node]
                        wave.append(near)
            distances.append(tuple(distance))
            firsts.append(tuple(first))
        return tuple(distances), tuple(firsts)

    def distance(self, i: int, j: int) -> int:
        return self.routes[0][i][j]

    def path(self, i: int, j: int) -> list[int]:
        """The nodes from i to j, both of them included."""
        nodes, first = [i], self.routes[1]
        while nodes[-1] != j:
            nodes.append(first[nodes[-1]][j])
        return nodes

    def balls(self, radius: int) -> tuple[int, ...]:
        """For every node, the set of all nodes that are at most `radius` edges away."""
        ball = [1 << i for i in range(self.size)]
        for _ in range(radius):
            ball = [ball[i] | _union(ball, near) for i, near in enumerate(self.neighbours)]
        return tuple(ball)


def ways(edges: Mapping[int, Collection[int]], start: int) -> dict[int, tuple[int, ...]]:
    """The way from a node to every one that is known, both ends included.

    Args:
        edges: the known neighbours of every node; a node without any may be left out.
        start: where the ways begin.
    """
    found: dict[int, tuple[int, ...]] = {start: (start,)}
    wave = [start]
    for node in wave:  # it grows while it is walked through
        for near in sorted(edges.get(node, ())):
            if near not in found:
                found[near] = (*found[node], near)
                wave.append(near)
    return found


def _union(sets: Sequence[int], which: Sequence[int]) -> int:
    union = 0
    for k in which:
        union |= sets[k]
    return union


def members(nodes: int) -> Iterator[int]:
    """The nodes of a set, ascending."""
    while nodes:
        lowest = nodes & -nodes
        yield lowest.bit_length() - 1
        nodes ^= lowest


def random_tree(size: int, generator: np.random.Generator) -> Tree:
    """A tree drawn uniformly from all labelled trees on `size` nodes.

    A sequence of size - 2 labels is the Prüfer code of exactly one tree.

    Source: Prüfer 1918.
    """
    if size == 1:
        return Tree(((),))
    return tree_of(generator.integers(0, size, size - 2).tolist())


def tree_of(code: Sequence[int]) -> Tree:
    """The tree with this Prüfer code: each entry is joined to the lowest leaf that is left, which then goes."""
    size = len(code) + 2
    degree = [1] * size
    for node in code:
        degree[node] += 1
    leaves = [node for node in range(size) if degree[node] == 1]
    neighbours: list[list[int]] = [[] for _ in range(size)]
    for node in code:
        leaf = heapq.heappop(leaves)
        _join(neighbours, leaf, node)
        degree[node] -= 1
        if degree[node] == 1:
            heapq.heappush(leaves, node)
    _join(neighbours, heapq.heappop(leaves), heapq.heappop(leaves))
    return Tree(tuple(tuple(sorted(some)) for some in neighbours))


def _join(neighbours: list[list[int]], i: int, j: int) -> None:
    neighbours[i].append(j)
    neighbours[j].append(i)
