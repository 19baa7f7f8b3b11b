"""The Markov state of an agent that plans, as numbers: all that what follows may depend on, besides the decision.

An agent that plans is itself a part of what it decides in. Its future depends on the environment's hidden state, on what stands in its
window, on the plan that it holds, on the plan's age and on the time that is left; a state that leaves one of them out can give the worth of
planning the wrong sign. A function for an environment of one's own takes a `Moment` and returns named numbers, or words where states are to
be counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from unseen.errors import UserError
from unseen.planning.moments import Moment

Markov = Callable[[Moment], Mapping[str, "float | str"]]
"""(what there is before a decision) -> the state, the same names every time."""


def plan_and_clock(moment: Moment) -> Mapping[str, float]:
    """What every such state must hold: whether a plan is held, its age, for how long it may not be replaced, and the time that is left."""
    held = moment.slot.plan is not None
    locked = moment.slot.locked(moment.step)
    return {
        "held": float(held),
        "age": float(moment.age or 0),
        "locked": min(moment.slot.held_until - moment.step, float(moment.left)) if locked else 0.0,
        "left": float(moment.left),
    }


def markov_of(environment: str) -> Markov:
    """The Markov state of an environment of this package, by its name.

    Raises:
        UserError: there is none: only its owner can say what a state is.
    """
    if environment == "graph-search":
        from unseen.planning.graph_state import graph_search_state

        return graph_search_state
    raise UserError(
        f"what the Markov state of {environment} is, nobody has written down yet; give a function from a moment to named numbers, which "
        "holds its signals, the window, the held plan, its age and the time that is left"
    )
