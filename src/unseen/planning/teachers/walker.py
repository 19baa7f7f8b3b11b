"""A walker that knows the grammar and nothing else: random legal moves, and now and then a plan of random content.

From random weights reinforcement measures nothing: a model has to write actions at all. One that has learned from this walker writes
legal moves and well-formed plans, and has been shown no use of a plan. Proposed (specification §11.4 and the issue of its second stage).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from unseen.environments.text.crafter import Crafter
from unseen.environments.text.graph_search import GraphSearch
from unseen.errors import UserError
from unseen.planning.grammar import Written
from unseen.planning.teachers.contract import Lesson

LONGEST = 4  # nodes on a plan's route, and among those kept for later

Draw = Callable[[Any, np.random.Generator], str]
"""(environment at the moment to act in, generator) -> a move, or a plan."""


class RandomWalker:
    """Every legal move is as likely as another; a share of steps has a plan, whatever happens."""

    styles = ("random",)

    def __init__(self, *, plans: float = 0.1):
        """
        Args:
            plans: the share of steps with a plan.

        Raises:
            UserError: a share that is none.
        """
        if not 0 <= plans <= 1:
            raise UserError(f"plans = {plans} of a walker must be a share of steps, from 0 to 1")
        self._plans = plans

    def begin(self, generator: np.random.Generator, style: str | None = None, interval: int | None = None) -> None:
        """See `Teacher.begin`; there is one style and no interval."""
        self._generator = generator

    def write(self, environment: Any, events: tuple[str, ...] = ()) -> Lesson:
        """See `Teacher.write`.

        Raises:
            UserError: an environment for which it has no words.
        """
        move, plan = _words(environment)
        planned = bool(self._generator.random() < self._plans)
        text = plan(environment, self._generator) if planned else None
        return Lesson(Written(text, move(environment, self._generator)), "at random" if planned else "")


def _words(environment: Any) -> tuple[Draw, Draw]:
    """How to draw a move and a plan."""
    if isinstance(environment, GraphSearch):
        return _edge, _graph_plan
    if isinstance(environment, Crafter):
        return _action, _crafter_plan
    raise UserError(f"a random walker has no words for {getattr(environment, 'name', environment)!r}; it walks in graph-search and crafter")


def _edge(environment: GraphSearch, generator: np.random.Generator) -> str:
    observation = environment.structured()
    return str(generator.choice(np.flatnonzero(observation["adjacency"][observation["current_node"]])))


def _graph_plan(environment: GraphSearch, generator: np.random.Generator) -> str:
    """In the words of the teacher's style "remember", about nodes that were drawn."""

    def nodes(least: int) -> str:
        return " ".join(map(str, generator.integers(environment.nodes, size=int(generator.integers(least, LONGEST + 1)))))

    kind = ("explore", "target")[int(generator.integers(2))]
    return f"{kind} {nodes(1).split()[0]} via {nodes(1)} later {nodes(0) or 'none'}"


def _action(environment: Crafter, generator: np.random.Generator) -> str:
    return str(generator.choice(environment.actions))


def _crafter_plan(environment: Crafter, generator: np.random.Generator) -> str:
    """Two subgoals that were drawn, for a reason that was drawn too."""
    from unseen.planning.teachers.crafter_words import WHY

    first, second = generator.choice(list(WHY), size=2)
    return f"{str(first).capitalize()}, because {generator.choice(list(WHY.values()))}. Then {second}."
