"""Constructions that are known to be wrong are refused before anything is compiled."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, Union

from unseen.agents.settings import CPC, MEM, Agent, FeedForward, GTrXL
from unseen.errors import UserError, unknown
from unseen.learning.settings import A2C, PPO, Algorithm


class Range(NamedTuple):
    """The values that a setting may have, in words and as a test."""

    allowed: str
    holds: Callable[[Any], bool]


def whole(low: int, high: int = 2**31 - 1) -> Range:
    """Whole numbers; compiled programs count in 32 bits."""
    return Range(f"a whole number from {low:,} to {high:,}", lambda x: low <= x <= high)


_COUNT, _BATCH, _WIDTH = whole(1), whole(1, 2**20), whole(1, 2**16)
_FRACTION = Range("between 0 and 1", lambda x: 0.0 <= x <= 1.0)
_POSITIVE = Range("above 0 and finite", lambda x: 0.0 < x < math.inf)
_NOT_NEGATIVE = Range("at least 0 and finite", lambda x: 0.0 <= x < math.inf)
NOT_EMPTY = Range("a name, not empty", bool)

# By the field's name, which means the same wherever it occurs; in a tuple, of each entry. None is a matter of the field's type.
RANGES: dict[str, Range] = {
    **dict.fromkeys(("discount", "lambda_", "rms_decay"), _FRACTION),
    **dict.fromkeys(("learning_rate", "adam_epsilon", "rms_epsilon", "clip", "value_clip", "max_gradient_norm", "reward_clip"), _POSITIVE),
    **dict.fromkeys(("clip_ratio", "clip_trace", "clip_policy"), _POSITIVE),
    **dict.fromkeys(("entropy", "entropy_end", "value_weight", "policy_scale", "weight"), _NOT_NEGATIVE),
    "lag": whole(0, 1_000),
    **dict.fromkeys(("n", "entropy_steps", "target_period", "anneal_steps", "epochs", "minibatches"), _COUNT),
    **dict.fromkeys(("episodes_per_update", "environments", "rollout"), _BATCH),
    **dict.fromkeys(("embedding", "layer", "size", "head", "key_size", "channels"), _WIDTH),
    **dict.fromkeys(("capacity", "neighbours"), whole(1, 2**20)),
    **dict.fromkeys(("every", "steps"), _COUNT),
    "window": whole(1, 2**20),
    **dict.fromkeys(("layers", "heads"), whole(1, 256)),
    "blocks": Range("1 or 2", lambda x: x in (1, 2)),
    **dict.fromkeys(("model", "signals"), NOT_EMPTY),
}


def refuse_biased(agent: Agent, algorithm: Algorithm) -> None:
    """Refuse a critic without the history whose target bootstraps: E[V(s') | h] is not V(h), so the policy gradient is biased.

    An agent without a memory has no history to give to its critic: with a partial signal it is V(o, i), and refused too. V(o), the
    usual agent where the observation is the state, and V(o, s), sound for a policy that reacts to o alone, are not.

    Raises:
        UserError: unless `critic.allow_biased`, or the target is the Monte-Carlo return to a true end.

    Source: Baisero & Amato 2022, theorem 4.2; exact figures in tests/reference/test_unbiasedness.py.
    """
    critic = agent.critic
    memoryless = isinstance(agent.memory, FeedForward) and bool(critic.signals) and "state" not in critic.signals
    if critic.allow_biased or (critic.history and not memoryless):
        return
    if isinstance(algorithm, A2C):
        bootstraps = algorithm.estimator != "monte-carlo" or algorithm.time_limit == "bootstrap"
        fix = 'algorithm.estimator="monte-carlo" with algorithm.time_limit="terminate"'
    else:
        bootstraps, fix = True, "A2C with Monte-Carlo returns"
    if bootstraps:
        what, keep = ("critic.history=False", "keep critic.history=True")
        if critic.history:
            what, keep = f"memory FeedForward() and critic.signals={critic.signals}", "give the agent a memory, as in GRU(128)"
        raise UserError(
            f"{what} with a bootstrapped target gives a biased policy gradient (the value of a state or signal alone "
            f"is not the value of the history); {keep}, use {fix}, or set critic.allow_biased=True to study the bias"
        )


def refuse_impossible(algorithm: Algorithm, agent: Agent | None = None) -> None:
    """Settings that no run could honour.

    Raises:
        UserError: naming the field, its value and what is allowed.
    """
    refuse_values(algorithm, "algorithm.")
    if isinstance(algorithm, PPO):
        m = algorithm.minibatches
        if algorithm.environments % m != 0:
            raise UserError(f"algorithm.minibatches = {m!r}; it must be a divisor of environments = {algorithm.environments}")
    if not isinstance(algorithm, A2C) and algorithm.environments * algorithm.rollout > 2**27:
        raise UserError(
            f"algorithm.rollout = {algorithm.rollout} with algorithm.environments = {algorithm.environments}; "
            f"their product must be at most {2**27:,}, the most steps between two updates: lower either"
        )
    if agent is not None:
        refuse_values(agent, "agent.")
        if isinstance(agent.memory, MEM) and agent.memory.neighbours > agent.memory.capacity:
            raise UserError(
                f"agent.memory.neighbours = {agent.memory.neighbours}; it must be at most agent.memory.capacity = {agent.memory.capacity}"
            )
        if isinstance(agent.memory, GTrXL) and agent.memory.size % agent.memory.heads != 0:
            raise UserError(f"agent.memory.heads = {agent.memory.heads}; it must be a divisor of agent.memory.size = {agent.memory.size}")
        if isinstance(agent.auxiliary, CPC) and not isinstance(algorithm, A2C) and agent.auxiliary.steps >= algorithm.rollout:
            raise UserError(
                f"agent.auxiliary.steps = {agent.auxiliary.steps}; it must be below algorithm.rollout = {algorithm.rollout}, "
                "beyond which nothing is known of what follows: lower it, or raise the rollout"
            )
        twice = [name for name in agent.critic.signals if agent.critic.signals.count(name) > 1]
        if twice:
            raise UserError(f"agent.critic.signals = {agent.critic.signals!r}; it must name {twice[0]!r} once")


def forgotten(agent: Agent, longest: int, environment: str) -> str | None:
    """What an episodic memory cannot hold of the longest episodes, in one line; None where it holds everything."""
    memory = agent.memory
    if not isinstance(memory, MEM) or memory.capacity * memory.every >= longest:
        return None
    held = memory.capacity * memory.every
    return (
        f"agent.memory.capacity = {memory.capacity} with every = {memory.every} holds the last {held:,} steps, and episodes of "
        f"{environment} may last {longest:,}: what is older is forgotten; capacity = {-(-longest // memory.every)} holds all"
    )


def refuse_values(settings: Any, path: str = "", ranges: Mapping[str, Range] = RANGES) -> None:
    """Refuse settings, and settings inside them, that are of another kind than declared or out of range.

    Args:
        settings: a dataclass.
        path: what to put before the names of its fields, as in "agent.".
        ranges: what fields may hold, by name.

    Raises:
        UserError: naming the field, its value and what is allowed.
    """
    hints = typing.get_type_hints(type(settings))
    for field in dataclasses.fields(settings):
        name, value = f"{path}{field.name}", getattr(settings, field.name)
        refuse_kind(hints[field.name], value, name)
        if dataclasses.is_dataclass(value):
            refuse_values(value, f"{name}.", ranges)
        elif field.name in ranges and value is not None:
            allowed, holds = ranges[field.name]
            if not all(map(holds, value if isinstance(value, tuple | list) else (value,))):
                raise UserError(f"{name} = {value!r}; it must be {allowed}{', each' if isinstance(value, tuple | list) else ''}")


def refuse_kind(hint: Any, value: Any, name: str) -> None:
    """Refuse a value that is not what its field is declared to hold.

    Args:
        hint: the field's type: a plain one, a dataclass, Literal, `tuple[..., ...]`, `dict[str, Any]`, or a union of these.
        value: what the user gave.
        name: what to call the field.

    Raises:
        UserError: naming the field, its value and what is allowed.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        if value not in arguments:
            raise unknown(f"value of {name}", str(value), map(str, arguments))
    elif origin in (Union, types.UnionType):
        kinds = [kind for kind in arguments if kind is not type(None)]
        if len(kinds) == 1:
            if value is not None:
                refuse_kind(kinds[0], value, name)
        elif value is None and type(None) in arguments:
            pass
        elif not isinstance(value, tuple(kinds)):
            raise _of_another_kind(name, value, "one of " + ", ".join(f"{kind.__name__}()" for kind in kinds))
    elif origin is tuple:
        if not isinstance(value, tuple | list):
            raise _of_another_kind(name, value, f"a tuple, as in ({value!r},)")
        for k, entry in enumerate(value):
            refuse_kind(arguments[0], entry, f"{name}[{k}]")
    elif origin is dict:
        if not isinstance(value, dict):
            raise _of_another_kind(name, value, "a dictionary")
        for key, entry in value.items():
            if not (isinstance(key, str) and _plain(entry)):
                raise _of_another_kind(f"{name}[{key!r}]", entry, "a name with a number, a string, a truth value, or a list of these")
    elif hint is float and isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**1023:
        pass  # a whole number will do, where a float can hold it
    elif not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        exact = f", as in {int(value)}" if hint is int and isinstance(value, float) and value.is_integer() else ""
        raise _of_another_kind(name, value, f"of type {hint.__name__}{exact}")


def _plain(value: Any) -> bool:
    """Whether a file of settings can hold it."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _plain(entry) for key, entry in value.items())
    return all(map(_plain, value)) if isinstance(value, tuple | list) else type(value) in (bool, int, float, str)


def _of_another_kind(name: str, value: Any, allowed: str) -> UserError:
    shown = f"{type(value).__name__}(...)" if dataclasses.is_dataclass(value) and not isinstance(value, type) else repr(value)
    shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
    return UserError(f"{name} = {' '.join(shown.split())}; it must be {allowed}")
