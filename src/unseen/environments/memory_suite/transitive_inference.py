"""Transitive inference: neighbours of a hidden order are shown in pairs; later, which of two that never met is the higher?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, Shaped

from unseen.environments.memory_suite import clock
from unseen.environments.memory_suite.stimuli import things

CHAINS: Mapping[str, int] = {"small": 5, "large": 7, "interpolate": 6, "extrapolate": 9}  # objects in a chain; proposed
SECONDS = 120
DEMONSTRATION_FRAMES, BLANK_FRAMES = clock.frames(3), clock.frames(2)
CHALLENGES = 4  # in a round
LONGEST = max(CHAINS.values())
ROUNDS = 12  # drawn for an episode, more than fit into its time
OBJECTS = len(things.T)  # of each set
DEMONSTRATION, BLANK, CHALLENGE = range(3)  # phases
LEFT, RIGHT = 0, 1


class ChainParams(NamedTuple):
    """A level.

    Attributes:
        holdout: whether objects are of set H instead of T.
        length: objects in the chain.
    """

    holdout: Bool[Array, ""]
    length: Int[Array, ""]


class Chains(NamedTuple):
    """Everything random of an episode, by round.

    Attributes:
        order: objects from the highest to the lowest, as indices in the set; the first `length` count.
        demonstration: which neighbours are shown when; pair k is the objects at k and k + 1.
        challenge: places in the order of the higher and the lower object of each challenge.
        swapped: by demonstration and challenge, whether the higher object stands on the right.
    """

    order: Int[Array, "12 9"]
    demonstration: Int[Array, "12 8"]
    challenge: Int[Array, "12 4 2"]
    swapped: Bool[Array, "12 12"]
    holdout: Bool[Array, ""]


class Progress(NamedTuple):
    """Attributes:

    round: how many rounds are over.
    item: which demonstration or challenge of the round it is.
    phase: `DEMONSTRATION`, `BLANK` or `CHALLENGE`.
    timer: frames left of a demonstration or of the blank.
    earned: right answers of this round, not paid yet.
    """

    round: Int[Array, ""]
    item: Int[Array, ""]
    phase: Int[Array, ""]
    timer: Int[Array, ""]
    earned: Int[Array, ""]


class Pair(NamedTuple):
    """What stands on the two pedestals.

    Attributes:
        left, right: places of the objects in the order.
        present: whether anything stands there.
        lit: -1, or which pedestal is lit.
        higher: which pedestal carries the higher object.
    """

    left: Int[Array, ""]
    right: Int[Array, ""]
    present: Bool[Array, ""]
    lit: Int[Array, ""]
    higher: Int[Array, ""]


@dataclass(frozen=True)
class TransitiveInference:
    """All neighbours of a random order in random sequence, each for 3 s with the higher one's pedestal lit; a blank of 2 s; four
    challenges of two inner objects that are not neighbours; a new order. The higher object pays 1, the other 0, all four together after
    the last.

    Inner objects only: with the ends, a player that counts how often an object was lit would do well (0.90 to 0.72 of all).
    Paid together: paid at once, who guesses and then prefers objects that won would do well without a look at the demonstrations (0.88
    for five objects, 0.66 for nine).

    Source: name released, everything else *proposed*: specification §3.13.
    """

    name: ClassVar[str] = "transitive-inference"

    def draw(self, key: PRNGKeyArray, params: ChainParams) -> Chains:
        order, demonstration, challenge, swapped = jax.vmap(lambda k: _round(k, params.length))(jax.random.split(key, ROUNDS))
        return Chains(order, demonstration, challenge, swapped, params.holdout)

    def begin(self) -> Progress:
        zero = jnp.zeros((), jnp.int32)
        return Progress(zero, zero, zero + DEMONSTRATION, zero + DEMONSTRATION_FRAMES, zero)

    def pair(self, chains: Chains, progress: Progress) -> Pair:
        """What stands on the pedestals now."""
        demonstrates, challenges = progress.phase == DEMONSTRATION, progress.phase == CHALLENGE
        shown = of_round(chains.demonstration, progress).at[progress.item].get(mode="clip")
        asked = of_round(chains.challenge, progress).at[progress.item].get(mode="clip")
        high, low = jnp.where(challenges, asked[0], shown), jnp.where(challenges, asked[1], shown + 1)
        place = progress.item + jnp.where(challenges, LONGEST - 1, 0)
        swapped = of_round(chains.swapped, progress).at[place].get(mode="clip")
        higher = jnp.where(swapped, RIGHT, LEFT).astype(jnp.int32)
        lit = jnp.where(demonstrates, higher, -1)
        return Pair(jnp.where(swapped, low, high), jnp.where(swapped, high, low), demonstrates | challenges, lit, higher)

    def advanced(
        self, chains: Chains, progress: Progress, params: ChainParams, chosen: Int[Array, ""], frames: int
    ) -> tuple[Progress, Float[Array, ""], Bool[Array, ""]]:
        """What so many frames do.

        Args:
            chosen: the pedestal walked onto, -1 for none; it counts in a challenge only.

        Returns:
            progress, reward, and whether a challenge was answered.
        """
        timer = progress.timer - frames
        rings = (progress.phase != CHALLENGE) & (timer <= 0)
        answers = (progress.phase == CHALLENGE) & (chosen >= 0)
        next_item = progress.item + (rings | answers).astype(jnp.int32)
        shown_all = rings & (progress.phase == DEMONSTRATION) & (next_item >= params.length - 1)
        blank_over = rings & (progress.phase == BLANK)
        round_over = answers & (next_item >= CHALLENGES)
        phase = jnp.where(shown_all, BLANK, jnp.where(blank_over, CHALLENGE, jnp.where(round_over, DEMONSTRATION, progress.phase)))
        item = jnp.where(shown_all | blank_over | round_over, 0, next_item)
        full = jnp.where(phase == BLANK, BLANK_FRAMES, DEMONSTRATION_FRAMES)
        right = answers & (chosen == self.pair(chains, progress).higher)
        earned = progress.earned + right.astype(jnp.int32)
        paid, kept = jnp.where(round_over, earned, 0), jnp.where(round_over, 0, earned)
        timer = jnp.where(rings | round_over, full, timer)
        after = Progress(progress.round + round_over.astype(jnp.int32), item, phase.astype(jnp.int32), timer, kept)
        return after, paid.astype(jnp.float32), answers


def params_of(holdout: bool, scale: str) -> ChainParams:
    return ChainParams(jnp.asarray(holdout), jnp.asarray(CHAINS[scale], jnp.int32))


def _round(key: PRNGKeyArray, length: Int[Array, ""]) -> tuple[Array, ...]:
    k_order, k_shown, k_pair, k_swap = jax.random.split(key, 4)
    order = jax.random.permutation(k_order, jnp.arange(OBJECTS, dtype=jnp.int32))[:LONGEST]
    # A random order of the pairs that there are, the others behind them.
    pairs = jnp.arange(LONGEST - 1, dtype=jnp.int32)
    late = jax.random.uniform(k_shown, (LONGEST - 1,)) + (pairs >= length - 1).astype(jnp.float32)
    demonstration = jnp.argsort(late).astype(jnp.int32)
    # Uniform over pairs of inner objects with at least one between them.
    high, low = jnp.triu_indices(LONGEST, 2)
    allowed = (high >= 1) & (low <= length - 2)
    which = jax.random.categorical(k_pair, jnp.where(allowed, 0.0, -jnp.inf), shape=(CHALLENGES,))
    challenge = jnp.stack([high[which], low[which]], axis=-1).astype(jnp.int32)
    return order, demonstration, challenge, jax.random.bernoulli(k_swap, 0.5, (LONGEST - 1 + CHALLENGES,))


def of_round(by_round: Shaped[Array, "12 *n"], progress: Progress) -> Shaped[Array, "*n"]:
    return by_round.at[progress.round % ROUNDS].get(mode="clip")


def thing(chains: Chains, progress: Progress, place: Int[Array, ""]) -> tuple[Int[Array, ""], Int[Array, ""]]:
    """Outline (index in `things.OUTLINES`) and colour (0 to 4 in the level's set) of the object at a place in the order."""
    index = of_round(chains.order, progress).at[place].get(mode="clip")
    outline, colour = jnp.asarray(things.T).at[index].get(mode="clip")
    return outline, colour  # set H has the same rows with the other set's colours
