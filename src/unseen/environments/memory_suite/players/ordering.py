"""Reference players of transitive inference: what is chosen (a mind), and how the body gets there in either embodiment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from unseen.environments.contract import Params
from unseen.environments.memory_suite import compact_ordering, ordering_view, scenery
from unseen.environments.memory_suite.compact_ordering import LEFT_LIT, RIGHT_LIT, THING
from unseen.environments.memory_suite.players import walking
from unseen.environments.memory_suite.players.player import Reads, Seen
from unseen.environments.memory_suite.players.screens import number_of
from unseen.environments.memory_suite.transitive_inference import CHALLENGE, DEMONSTRATION, LEFT, LONGEST, RIGHT
from unseen.environments.memory_suite.walker import Pose

NUMBERS = int(np.prod(THING))  # of objects by their categories; 0 is nothing


class Shown(NamedTuple):
    """The words.

    Attributes:
        phase: `DEMONSTRATION`, `BLANK` or `CHALLENGE`.
        light: index of the lit pedestal + 1, 0 for none.
        left, right: numbers of the objects, 0 for none.
    """

    phase: Int[Array, ""]
    light: Int[Array, ""]
    left: Int[Array, ""]
    right: Int[Array, ""]

    @property
    def lit(self) -> Int[Array, ""]:
        """The object on the lit pedestal."""
        return jnp.where(self.light == LEFT_LIT, self.left, self.right)

    @property
    def unlit(self) -> Int[Array, ""]:
        return jnp.where(self.light == LEFT_LIT, self.right, self.left)

    @property
    def demonstrates(self) -> Bool[Array, ""]:
        return (self.light == LEFT_LIT) | (self.light == RIGHT_LIT)


class Mind(Protocol):
    """What a player makes of what it sees."""

    def begin(self) -> Any: ...

    def choice(self, key: PRNGKeyArray, memory: Any, shown: Shown) -> tuple[Any, Int[Array, ""]]:
        """Its memory, and the pedestal it would choose now; asked at every step, heard in a challenge."""
        ...


@dataclass(frozen=True)
class OrderingPlayer:
    """Watches the alcoves, and in a challenge goes to what its mind chooses."""

    environment: Any
    mind: Mind

    @property
    def reads(self) -> Reads:
        """In the compact embodiment it has no place."""
        return "place" if _first_person(self.environment) else "observation"

    def begin(self) -> Any:
        return self.mind.begin()

    def act(self, key: PRNGKeyArray, memory: Any, seen: Seen, params: Params = ()) -> tuple[Any, Int[Array, ""]]:
        shown = read(seen.words)
        memory, side = self.mind.choice(key, memory, shown)
        return memory, moved(shown.phase, side, seen.place)


@dataclass(frozen=True)
class OrderingOracle:
    """Knows the order."""

    environment: Any
    reads: Reads = field(default="state", init=False)

    def begin(self) -> tuple[()]:
        return ()

    def act(self, key: PRNGKeyArray, memory: tuple[()], seen: Any, params: Params = ()) -> tuple[tuple[()], Int[Array, ""]]:
        higher = self.environment.task.pair(seen.chains, seen.progress).higher
        return memory, moved(seen.progress.phase, higher, seen.pose if _first_person(self.environment) else None)


def read(words: Int[Array, "10"]) -> Shown:
    """The parts of the words."""
    left, right = (number_of(words[first : first + len(THING)], THING) for first in (2, 2 + len(THING)))
    return Shown(words[0], words[1], left, right)


def moved(phase: Int[Array, ""], side: Int[Array, ""], place: Pose | None) -> Int[Array, ""]:
    """The action that chooses a pedestal in a challenge and does nothing otherwise.

    Args:
        phase: of the round.
        side: which pedestal.
        place: in first person; None in the compact embodiment, where a choice is one action.
    """
    asked = phase == CHALLENGE
    if place is None:
        return jnp.where(asked, side + 1, compact_ordering.WAIT).astype(jnp.int32)
    to: Float[Array, "2"] = jnp.asarray(ordering_view.PEDESTALS, jnp.float32).at[side].get(mode="clip")
    off = (place.heading + jnp.pi) % (2 * jnp.pi) - jnp.pi  # from north, to the right
    to_and_fro = jnp.where(off < -walking.SWING / 2, walking.LOOK_RIGHT, walking.LOOK_LEFT)
    walls = jnp.asarray(scenery.room(ordering_view.SIDE) > 0)
    return jnp.where(asked, walking.steer(place, to, walls), to_and_fro).astype(jnp.int32)


# ---- minds -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AlwaysLeft:
    """Without memory both are as good."""

    def begin(self) -> tuple[()]:
        return ()

    def choice(self, key: PRNGKeyArray, memory: tuple[()], shown: Shown) -> tuple[tuple[()], Int[Array, ""]]:
        return memory, jnp.asarray(LEFT, jnp.int32)


class Counts(NamedTuple):
    """Attributes:

    lit: by number, demonstrations of this round in which the object was lit, less those in which it was not.
    before: what was shown at the last step.
    coin: side for ties, tossed anew for every pair.
    """

    lit: Int[Array, "numbers"]
    before: Shown
    coin: Int[Array, ""]


@dataclass(frozen=True)
class LitCounter:
    """Chooses what was lit more often, which says nothing about inner objects: each is lit once and unlit once."""

    def begin(self) -> Counts:
        zero = jnp.zeros((), jnp.int32)
        return Counts(jnp.zeros((NUMBERS,), jnp.int8), Shown(zero, zero, zero, zero), zero)

    def choice(self, key: PRNGKeyArray, memory: Counts, shown: Shown) -> tuple[Counts, Int[Array, ""]]:
        new = (shown.phase != memory.before.phase) | (shown.left != memory.before.left) | (shown.right != memory.before.right)
        counts = forgotten(memory.lit, memory.before.phase, shown)
        counts = counts.at[shown.lit].add((new & shown.demonstrates).astype(jnp.int8))
        counts = counts.at[shown.unlit].add(-(new & shown.demonstrates).astype(jnp.int8))
        coin = jnp.where(new, jax.random.bernoulli(key).astype(jnp.int32), memory.coin)
        left, right = (counts.at[number].get(mode="clip") for number in (shown.left, shown.right))
        side = jnp.where(left > right, LEFT, jnp.where(right > left, RIGHT, coin)).astype(jnp.int32)
        return Counts(counts, shown, coin), side


class Links(NamedTuple):
    """Attributes:

    below: by number of an object the one that it was shown to be higher than, 0 for none.
    phase: at the last step.
    """

    below: Int[Array, "numbers"]
    phase: Int[Array, ""]


@dataclass(frozen=True)
class FollowsLinks:
    """Remembers which object of every pair of the round was lit, and goes down from one object to find the other."""

    def begin(self) -> Links:
        return Links(jnp.zeros((NUMBERS,), jnp.int16), jnp.zeros((), jnp.int32))

    def choice(self, key: PRNGKeyArray, memory: Links, shown: Shown) -> tuple[Links, Int[Array, ""]]:
        below = forgotten(memory.below, memory.phase, shown)
        known = below.at[shown.lit].get(mode="clip")
        below = below.at[shown.lit].set(jnp.where(shown.demonstrates, shown.unlit.astype(jnp.int16), known))
        under, finds = shown.left, jnp.asarray(False)
        for _ in range(LONGEST - 1):
            under = below.at[under].get(mode="clip").astype(jnp.int32)
            finds = finds | (under == shown.right)
        return Links(below, shown.phase), jnp.where(finds, LEFT, RIGHT).astype(jnp.int32)


def forgotten(remembered: Int[Array, "numbers"], phase: Int[Array, ""], shown: Shown) -> Int[Array, "numbers"]:
    """What is left of a memory: nothing when a demonstration follows a challenge, which begins a round."""
    return jnp.where((phase == CHALLENGE) & (shown.phase == DEMONSTRATION), 0, remembered).astype(remembered.dtype)


def _first_person(environment: Any) -> bool:
    return isinstance(environment, ordering_view.FirstPersonOrdering)
