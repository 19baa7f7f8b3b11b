"""Reference players of transitive inference: who chains the pairs seen, who only counts, who knows, and who always takes the left."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, PRNGKeyArray

from unseen.environments.memory_suite import ordering_view
from unseen.environments.memory_suite.compact_ordering import RIGHT_LIT, THING, WAIT
from unseen.environments.memory_suite.players import walking
from unseen.environments.memory_suite.players.player import Reads, Seen, place_of
from unseen.environments.memory_suite.players.screens import ANY, number_of
from unseen.environments.memory_suite.transitive_inference import CHALLENGE, DEMONSTRATION, LEFT, LONGEST, RIGHT, ChainParams
from unseen.environments.memory_suite.walker import Pose

ROOM = np.pad(np.zeros((ordering_view.SIDE - 2,) * 2, bool), 1, constant_values=True)
MIDDLE, BESIDE = ordering_view.SIDE / 2, 0.02  # metres; a body so far to a side of the middle has begun to go there


class Asked(NamedTuple):
    """The words of an observation: the phase, and the left and the right object, each as one number, 0 for none."""

    phase: Int[Array, ""]
    lit: Int[Array, ""]
    left: Int[Array, ""]
    right: Int[Array, ""]


class Pairs(NamedTuple):
    """The pairs of a round seen lit, `count` of them: the higher and the lower object of each.

    Attributes:
        phase: of the step before.
    """

    high: Int[Array, "8"]
    low: Int[Array, "8"]
    count: Int[Array, ""]  # pyright: ignore[reportIncompatibleMethodOverride]
    phase: Int[Array, ""]


@runtime_checkable
class Mind(Protocol):
    """Whether the left or the right object is the higher, or `ANY`; asked in challenges only."""

    def side(self, pairs: Pairs, asked: Asked) -> Int[Array, ""]: ...


@dataclass(frozen=True)
class OrderingPlayer:
    """Remembers the pairs seen lit since the round began, and walks to the side that its mind makes of them.

    It is told where it is; the room always looks the same, so that the picture tells it as well.
    """

    environment: Any
    mind: Mind
    reads: Reads = field(default="place", init=False)

    def begin(self) -> Pairs:
        nothing, zero = jnp.zeros((LONGEST - 1,), jnp.int32), jnp.zeros((), jnp.int32)
        return Pairs(nothing, nothing, zero, zero + DEMONSTRATION)

    def act(self, key: PRNGKeyArray, memory: Pairs, seen: Seen, params: ChainParams) -> tuple[Pairs, Int[Array, ""]]:
        asked = read(seen.words)
        pairs = noted(memory, asked)
        return pairs, _gone(key, asked, self.mind.side(pairs, asked), None if seen.gaze is None else seen.place)


@dataclass(frozen=True)
class OrderingOracle:
    """Knows the order."""

    environment: Any
    reads: Reads = field(default="state", init=False)

    def begin(self) -> tuple[()]:
        return ()

    def act(self, key: PRNGKeyArray, memory: tuple[()], seen: Any, params: ChainParams) -> tuple[tuple[()], Int[Array, ""]]:
        nobody = jnp.zeros((), jnp.int32)
        asked = Asked(seen.progress.phase, nobody, nobody, nobody)
        higher = self.environment.task.pair(seen.chains, seen.progress).higher
        return memory, _gone(key, asked, higher, place_of(seen))


@dataclass(frozen=True)
class AlwaysLeft:
    """Without memory."""

    def side(self, pairs: Pairs, asked: Asked) -> Int[Array, ""]:
        return jnp.asarray(LEFT, jnp.int32)


@dataclass(frozen=True)
class Counts:
    """Takes the object that was lit more often than it stood beside a lit one; either where these counts are equal."""

    def side(self, pairs: Pairs, asked: Asked) -> Int[Array, ""]:
        left, right = (jnp.sum(pairs.high == thing) - jnp.sum(pairs.low == thing) for thing in (asked.left, asked.right))
        return jnp.where(left == right, ANY, jnp.where(left > right, LEFT, RIGHT)).astype(jnp.int32)


@dataclass(frozen=True)
class Chains:
    """Goes down from one object, pair by pair, and sees whether it comes to the other."""

    def side(self, pairs: Pairs, asked: Asked) -> Int[Array, ""]:
        above = below(pairs, asked.left, asked.right), below(pairs, asked.right, asked.left)
        return jnp.where(above[0], LEFT, jnp.where(above[1], RIGHT, ANY)).astype(jnp.int32)


def read(words: Int[Array, "10"]) -> Asked:
    return Asked(words[0], words[1], number_of(words[2:6], THING), number_of(words[6:], THING))


def noted(pairs: Pairs, asked: Asked) -> Pairs:
    """The pair on the pedestals written down, if it is demonstrated and new; a new round begins with an empty sheet."""
    again = (asked.phase == DEMONSTRATION) & (pairs.phase == CHALLENGE)
    count = jnp.where(again, 0, pairs.count)
    lit_right = asked.lit == RIGHT_LIT
    high, low = jnp.where(lit_right, asked.right, asked.left), jnp.where(lit_right, asked.left, asked.right)
    index = jnp.arange(LONGEST - 1, dtype=jnp.int32)
    met = jnp.any((pairs.high == high) & (pairs.low == low) & (index < count))
    new = (asked.phase == DEMONSTRATION) & ~met
    write = new & (index == count)
    kept = index < count
    highs, lows = (jnp.where(write, now, jnp.where(kept, old, 0)) for now, old in ((high, pairs.high), (low, pairs.low)))
    return Pairs(highs, lows, count + new.astype(jnp.int32), asked.phase)


def below(pairs: Pairs, high: Int[Array, ""], low: Int[Array, ""]) -> Bool[Array, ""]:
    """Whether a chain of pairs leads from one object down to another."""

    def down(thing: Int[Array, ""], _: None) -> tuple[Int[Array, ""], Int[Array, ""]]:
        after = jnp.sum(jnp.where((pairs.high == thing) & (thing > 0), pairs.low, 0))
        return after, after

    _, passed = jax.lax.scan(down, high, None, length=LONGEST - 1)
    return jnp.any(passed == low)


def _gone(key: PRNGKeyArray, asked: Asked, side: Int[Array, ""], place: Pose | None) -> Int[Array, ""]:
    """The action that goes to a side in a challenge and waits otherwise; a wish for any side is kept once begun."""
    some = jnp.where(jax.random.bernoulli(key), LEFT, RIGHT)
    if place is None:
        chosen = jnp.where(side == ANY, some, side)
        return jnp.where(asked.phase == CHALLENGE, chosen + 1, WAIT).astype(jnp.int32)
    begun = jnp.where(place.x < MIDDLE - BESIDE, LEFT, jnp.where(place.x > MIDDLE + BESIDE, RIGHT, some))
    to = jnp.asarray(ordering_view.PEDESTALS, jnp.float32).at[jnp.where(side == ANY, begun, side)].get(mode="clip")
    return jnp.where(asked.phase == CHALLENGE, walking.steer(place, to, jnp.asarray(ROOM)), walking.LOOK_LEFT).astype(jnp.int32)
