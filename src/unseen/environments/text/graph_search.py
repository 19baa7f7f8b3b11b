"""Partially observable graph search: find a node of a tree of which only the surroundings can be seen.

Source: Paglieri et al. 2025 name the task; its rules are those of the public gym-pogs package (commit 7acec95) without its known defects:
see `docs/reference/text-environments.md`. Which settings the paper used was not found.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from unseen.environments.text.contract import TextObservation, TextStep
from unseen.environments.text.explorer import NOTHING, Known, Search, backtracks, best_moves, walk
from unseen.environments.text.trees import Tree, members, random_tree
from unseen.errors import UserError, unknown

FORMS = ("lines", "compact")
TARGET_SEEN, DEAD_END, EXHAUSTED = "target seen", "dead end", "frontier exhausted"
TRIES = 100_000  # instances drawn in the search for one that is hard enough; 20 nodes, radius 3 and 3 backtracks take 1,000 on average


class Moment(NamedTuple):
    """An episode at one time."""

    search: Search
    node: int
    before: int  # the node of the step before
    known: Known
    steps: int
    turning: bool  # whether every best move leads back
    backtracks: int  # moves to the node of two steps before
    feedback: str
    over: bool


class GraphSearch:
    """Walk from node to node of a tree to a target; from each node all nodes within `radius` edges, and the edges between them, are seen.

    An action is the label of a neighbour. Reaching the target ends the episode and pays 100; a move that is none pays -1 and stays.
    """

    def __init__(
        self,
        nodes: int = 20,
        radius: int = 2,
        max_steps: int = 30,
        min_backtracks: int = 1,
        *,
        form: str = "lines",
        step_penalty: float = 0.0,
        revisit_penalty: float = 0.0,
        expert_penalty: float = 0.0,
    ):
        """
        Args:
            nodes: of the tree, 2 or more.
            radius: how many edges away a node can be seen from, 1 or more.
            max_steps: after which the episode is cut.
            min_backtracks: trees are drawn until the reference explorer has to turn back at least as often; 0 takes every tree.
            form: "lines" as the public package words it; "compact", the farthest node first and one's own neighbours last.
            step_penalty: added to the reward of every legal move but the last, to the target (a negative number, or 0).
            revisit_penalty: added to it where the node has been visited before.
            expert_penalty: added to every action that is not among `experts()`; legal or not.

        Raises:
            UserError: a size that is not allowed, or an unknown form.
        """
        least = {"nodes": 2, "radius": 1, "max_steps": 1, "min_backtracks": 0}
        for field, value in zip(least, (nodes, radius, max_steps, min_backtracks), strict=True):
            if type(value) is not int or value < least[field]:
                raise UserError(f"{field} = {value!r} of graph search must be a whole number, {least[field]} or more")
        if form not in FORMS:
            raise unknown("form of graph search", form, FORMS)
        self.nodes, self.radius, self.min_backtracks, self.form = nodes, radius, min_backtracks, form
        self._max_steps, self._penalties = max_steps, (step_penalty, revisit_penalty, expert_penalty)
        self._actions = tuple(map(str, range(nodes)))
        self._moment: Moment | None = None
        self._texts: dict[int, str] = {}  # of this episode, by node

    @property
    def name(self) -> str:
        return "graph-search"

    @property
    def actions(self) -> tuple[str, ...]:
        return self._actions

    @property
    def max_steps(self) -> int:
        return self._max_steps

    @property
    def instructions(self) -> str:
        edges = f"{self.radius} edge{'' if self.radius == 1 else 's'}"
        return (
            f"You are on a node of a tree with {self.nodes} nodes, numbered from 0 to {self.nodes - 1}, and must reach a target node. "
            f"You see all nodes that are at most {edges} away, and the edges between them; beyond that the tree is hidden. There are no "
            "cycles: a node within sight that has one neighbor only, and does not lie at the edge of what you see, is a dead end, and to "
            "walk into it is a waste of steps, unless it is the target.\n"
            f"An action is the number of a node next to yours, and nothing else. You have {self._max_steps} steps. Reaching the target "
            "pays 100, and an action that is not the number of a neighbor pays -1 and leaves you where you are."
        )

    def reset(self, seed: int) -> TextObservation:
        """A new episode.

        Raises:
            UserError: no tree of this size makes the explorer turn back often enough, or a seed below 0.
        """
        if seed < 0:
            raise UserError(f"seed = {seed} of graph search must be 0 or more")
        search = self._drawn(np.random.default_rng(seed))
        known = NOTHING.at(search, search.start)
        self._texts = {}
        self._moment = Moment(search, search.start, -1, known, 0, _turns_back(search, known, search.start), 0, "", False)
        return self._seen(self._moment)

    def _drawn(self, generator: np.random.Generator) -> Search:
        for _ in range(TRIES):
            tree = random_tree(self.nodes, generator)
            start, step = int(generator.integers(self.nodes)), int(generator.integers(1, self.nodes))
            search = Search(tree, start, (start + step) % self.nodes, tree.balls(self.radius), tree.balls(self.radius - 1))
            if not self.min_backtracks:
                return search
            in_sight = search.visible[start] >> search.target & 1  # nobody turns back who sees the target from the start
            if not in_sight and backtracks(walk(search)) >= self.min_backtracks:
                return search
        raise UserError(
            f"min_backtracks = {self.min_backtracks}: none of {TRIES:,} trees with {self.nodes} nodes makes an explorer that sees "
            f"{self.radius} edges far turn back as often; give more nodes or a smaller min_backtracks"
        )

    def step(self, action: str) -> TextStep:
        now = self._now()
        if now.over:
            raise UserError("the episode is over; begin another with reset(seed)")
        search, node, known = now.search, now.node, now.known
        word = action.strip()
        to = int(word) if word in self._actions else -1
        legal = to in search.tree.neighbours[node]
        expert = not self._penalties[2] or to in best_moves(search, known, node)
        reward = 0.0 if expert else self._penalties[2]
        steps = now.steps + 1
        if not legal:
            feedback = f"Your action is not the number of a neighbor of node {node}: you stay."
            self._moment = now._replace(steps=steps, feedback=feedback, over=steps >= self._max_steps)
            return TextStep(self._seen(self._moment), reward - 1.0, False, self._moment.over, True, (), 0.0)
        reached = to == search.target
        if reached:
            reward += 100.0
        else:
            reward += self._penalties[0] + (self._penalties[1] if known.visited >> to & 1 else 0.0)
        after = known.at(search, to)
        turning = not reached and _turns_back(search, after, to)
        events = () if reached else _events(search, known, after, turning and not now.turning)
        returned = now.backtracks + (to == now.before)
        over = reached or steps >= self._max_steps
        feedback = "You have reached the target." if reached else ""
        self._moment = Moment(search, to, node, after, steps, turning, returned, feedback, over)
        return TextStep(self._seen(self._moment), reward, reached, over and not reached, False, events, float(reached))

    def legal(self) -> tuple[str, ...]:
        now = self._now()
        return tuple(map(str, now.search.tree.neighbours[now.node]))

    def experts(self) -> tuple[str, ...]:
        """The best moves of who remembers everything: toward the target once it was seen, else toward a nearest unexplored node.

        None where the episode is over.
        """
        now = self._now()
        if now.over:
            return ()
        return tuple(map(str, best_moves(now.search, now.known, now.node)))

    @property
    def tree(self) -> Tree:
        """All of the tree that is searched; an agent does not see it."""
        return self._now().search.tree

    @property
    def node(self) -> int:
        """Where the agent is."""
        return self._now().node

    @property
    def backtracks(self) -> int:
        """How often this episode went to the node at which it had been two moves before."""
        return self._now().backtracks

    def snapshot(self) -> Moment:
        return self._now()

    def restore(self, snapshot: Moment) -> TextObservation:
        """Raises:
        UserError: a moment on a tree of another size.
        """
        if snapshot.search.tree.size != self.nodes:
            raise UserError(f"the moment is on a tree of {snapshot.search.tree.size} nodes, and this environment has {self.nodes}")
        if self._moment is None or snapshot.search is not self._moment.search:
            self._texts = {}
        self._moment = snapshot
        return self._seen(snapshot)

    def signals(self) -> Mapping[str, str]:
        """`graph`: all of the tree, worded as an observation; `path`: the nodes from here to the target; `experts`: the best moves."""
        now = self._now()
        everything = (1 << self.nodes) - 1
        return {
            "graph": self._described(now.search, now.node, everything),
            "path": " ".join(map(str, now.search.tree.path(now.node, now.search.target))),
            "experts": " ".join(self.experts()),
        }

    @property
    def observation_space(self) -> gymnasium.Space[Any]:
        """Of `structured`."""
        spaces, n = gymnasium.spaces, self.nodes
        edge = spaces.MultiDiscrete([n, n])
        return spaces.Dict(
            {
                "adjacency": spaces.MultiBinary((n, n)),
                "current_node": spaces.Discrete(n),
                "target_node": spaces.Discrete(n),
                "edge_list": spaces.Sequence(edge),
            }
        )

    def structured(self) -> dict[str, Any]:
        """The observation as arrays: the adjacency of what is seen now, the two nodes, and the edges, each once."""
        now = self._now()
        adjacency = np.zeros((self.nodes, self.nodes), np.int8)
        for i, near in _within(now.search, now.search.visible[now.node]).items():
            adjacency[i, near] = 1
        edges = tuple(np.argwhere(np.triu(adjacency)))
        return {"adjacency": adjacency, "current_node": np.int64(now.node), "target_node": np.int64(now.search.target), "edge_list": edges}

    def _now(self) -> Moment:
        if self._moment is None:
            raise UserError("there is no episode yet; begin one with reset(seed)")
        return self._moment

    def _seen(self, moment: Moment) -> TextObservation:
        text = self._texts.get(moment.node)
        if text is None:
            text = self._texts[moment.node] = self._described(moment.search, moment.node, moment.search.visible[moment.node])
        return TextObservation(f"{text}\n{moment.feedback}" if moment.feedback else text)

    def _described(self, search: Search, node: int, visible: int) -> str:
        """These nodes and the edges between them, in words."""
        seen = _within(search, visible)
        if self.form == "lines":
            lines = [f"node: {i}, neighbors: [{', '.join(map(str, near))}]" for i, near in seen.items()]
            return "\n".join([*lines, "", f"current node: {node}, target node: {search.target}"])
        distance = search.tree.routes[0][node]
        far_first = sorted((i for i in seen if i != node), key=lambda i: (-distance[i], i))
        lines = [f"{i} : {' '.join(map(str, seen[i]))}" for i in far_first]
        return "\n".join([f"target {search.target}", *lines, f"at {node} : {' '.join(map(str, seen[node]))}"])


def _within(search: Search, visible: int) -> dict[int, list[int]]:
    """Of every node of a set its neighbours in the set, ascending."""
    return {i: [j for j in search.tree.neighbours[i] if visible >> j & 1] for i in members(visible)}


def _turns_back(search: Search, known: Known, node: int) -> bool:
    """Whether every best move leads to a node that has been visited, while the target has not been seen."""
    if known.seen >> search.target & 1:
        return False
    return all(known.visited >> j & 1 for j in best_moves(search, known, node))


def _events(search: Search, before: Known, after: Known, exhausted: bool) -> tuple[str, ...]:
    """What a plan may have to answer to: the target is seen for the first time, a leaf has turned out to be one, all that lies ahead is
    explored."""
    events = []
    if after.seen & ~before.seen & 1 << search.target:
        events.append(TARGET_SEEN)
    new = after.explored & ~before.explored
    if any(len(search.tree.neighbours[i]) == 1 for i in members(new) if i != search.target):
        events.append(DEAD_END)
    if exhausted:
        events.append(EXHAUSTED)
    return tuple(events)
