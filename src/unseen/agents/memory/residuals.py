"""The derivative of one step of a loop, kept for a loop backward without what is the same at every step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax.extend.core import Var
from jaxtyping import Array


def derived(step: Callable[..., Any], parameters: Any, inputs: tuple[Any, ...], given: tuple[Any, ...]) -> tuple[Any, Any, list[bool]]:
    """`step(parameters, *inputs, *given)`, its pullback to parameters and inputs, and which leaves of the pullback vary between steps.

    The others are made of the parameters alone, as weights are. Which is which comes from following, in the trace of the derivative,
    what is made of what.
    """

    def both(parameters: Any, inputs: tuple[Any, ...], given: tuple[Any, ...]) -> tuple[Any, Any]:
        return jax.vjp(lambda *of: step(*of, *given), parameters, *inputs)

    trace = jax.make_jaxpr(lambda *of: jax.tree.leaves(both(*of)[1]))(parameters, inputs, given).jaxpr
    made = set(trace.invars[len(jax.tree.leaves(parameters)) :])
    for equation in trace.eqns:
        if any(isinstance(part, Var) and part in made for part in equation.invars):
            made.update(equation.outvars)
    return *both(parameters, inputs, given), [isinstance(part, Var) and part in made for part in trace.outvars]


def kept(pullback: Any, vary: list[bool]) -> list[Array]:
    """What a step has to keep of its pullback."""
    return [leaf for leaf, varies in zip(jax.tree.leaves(pullback), vary, strict=True) if varies]


def restored(pullback: Any, vary: list[bool], kept: list[Array]) -> Any:
    """The pullback of a step from that of any other, and from what the step kept."""
    leaves, structure = jax.tree.flatten(pullback)
    remaining = iter(kept)
    return jax.tree.unflatten(structure, [next(remaining) if varies else leaf for leaf, varies in zip(leaves, vary, strict=True)])
