"""Higher-lower: is the next card higher or lower than this one? Who counts the cards that have gone guesses better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray

from unseen.environments import measured, options
from unseen.environments.cards import deck
from unseen.environments.contract import Params, References, Step

HIGHER, LOWER = range(2)
KINDS = len(deck.RANKS)


@dataclass(frozen=True)
class HigherLower:
    """A shuffled pack of 52 D cards is dealt one by one; guess whether the next rank is higher or lower.

    Observation: `Discrete(13)`, the rank of the last card. Actions: 0 higher, 1 lower. Reward: +1/N for a right guess, -1/N for
    a wrong one, 0 when the ranks are equal (N = 52 D). Ends with the last card, after N - 1 guesses.

    Signals: "previous" (14 values: the card before this one, 13 at the start), "both" (previous and current),
    "counts" (13: the share of each rank that has been dealt; POPGym's state), "expert" (the guess that the remaining cards
    favour; higher on a draw), "state" (26: "counts" and the current rank as one-hot).

    Args:
        decks: D; POPGym's easy, medium and hard are 1, 2 and 3.

    Source: Morad et al. 2023, POPGym, `HigherLower`. What IAAC calls "full state" and how it encodes signals: not found.
    """

    decks: int = 1

    def __post_init__(self) -> None:
        options.require_integer("higher-lower", "decks", self.decks, 1, 100)

    @property
    def name(self) -> str:
        return options.with_difficulty("higher-lower", {1: "easy", 2: "medium", 3: "hard"}, self.decks)

    @property
    def action_names(self) -> tuple[str, ...]:
        return "higher", "lower"

    @property
    def cards(self) -> int:
        return deck.CARDS * self.decks

    @property
    def levels(self) -> Mapping[str, tuple[tuple[float, Params], ...]]:
        return options.TRAIN_ONLY

    def observation_space(self, params: Params = ()) -> gymnasium.spaces.Discrete[Any]:
        return gymnasium.spaces.Discrete(KINDS)

    def action_space(self, params: Params = ()) -> gymnasium.spaces.Discrete[Any]:
        return gymnasium.spaces.Discrete(2)

    def signal_spaces(self, params: Params = ()) -> Mapping[str, gymnasium.Space[Any]]:
        return {
            "previous": gymnasium.spaces.Discrete(KINDS + 1),
            "both": gymnasium.spaces.MultiDiscrete([KINDS + 1, KINDS]),
            "counts": options.unit_box(KINDS),
            "expert": gymnasium.spaces.Discrete(2),
            "state": options.unit_box(2 * KINDS),
        }

    def horizon(self, params: Params = ()) -> int:
        """One step beyond the last card: the game's end is no time limit."""
        return self.cards

    def reset(self, key: PRNGKeyArray, params: Params = ()) -> tuple[Int[Array, ""], deck.Pack]:
        return self.begin(deck.shuffled(key, self.decks, "ranks"))

    def begin(self, ranks: Int[Array, "N"]) -> tuple[Int[Array, ""], deck.Pack]:
        """The first card of a given pack."""
        state = deck.Pack.opened(ranks, KINDS)
        return state.card, state

    def step(self, key: PRNGKeyArray, state: deck.Pack, action: Int[Array, ""], params: Params = ()) -> Step:
        after = state.after_dealing()
        rank, following = state.card, after.card
        right = (following > rank) == (action == HIGHER)
        reward = jnp.where(following == rank, 0.0, jnp.where(right, 1.0, -1.0)) / self.cards
        return Step(following, after, reward, after.dealt == self.cards)

    def action_mask(self, state: deck.Pack, params: Params = ()) -> None:
        return None

    def signals(self, key: PRNGKeyArray, state: deck.Pack, params: Params = ()) -> Mapping[str, Array]:
        rank = state.card
        previous = jnp.where(state.dealt >= 2, deck.at(state.deck, jnp.maximum(state.dealt - 2, 0)), KINDS)
        share = state.counts.astype(jnp.float32) / (4 * self.decks)
        left, kinds = 4 * self.decks - state.counts, jnp.arange(KINDS, dtype=jnp.int32)
        higher, lower = jnp.sum(jnp.where(kinds > rank, left, 0)), jnp.sum(jnp.where(kinds < rank, left, 0))
        return {
            "previous": previous,
            "both": jnp.stack([previous, rank]),
            "counts": share,
            "expert": jnp.where(higher >= lower, HIGHER, LOWER).astype(jnp.int32),
            "state": jnp.concatenate([share, jax.nn.one_hot(rank, KINDS, dtype=jnp.float32)]),
        }

    def references(self, level: str) -> References:
        """Exact but for perfect memory, which is measured.

        memoryless: sum over ranks of |12 - 2 r| / 13^2. oracle: it knows the next card, and two neighbours are equal 4 D - 1
        times on average, so (N - 4 D) / N = 12/13.
        """
        options.require_train(self.name, level)
        n = self.cards
        likelier = sum(abs(12 - 2 * r) for r in range(KINDS)) / KINDS**2 / (n - 1)
        exact = deck.references(
            {
                "random": deck.per_step(0.0, 0, n - 1, "exact: both guesses are as often right"),
                "memoryless": deck.per_step(likelier, 0, n - 1, "exact: the side with more cards"),
                "oracle": deck.per_step(12.0 / 13.0 / (n - 1), 0, n - 1, "exact: all but ties"),
            }
        )
        return measured.joined(exact, measured.references("cards", self.name, self.horizon()))

    def draw(self, state: deck.Pack, params: Params = ()) -> np.ndarray:
        from unseen.environments.cards import drawing

        rank = int(state.card)
        previous = [int(state.deck[int(state.dealt) - 2])] if int(state.dealt) >= 2 else []
        table = drawing.Table(3, KINDS)
        table.row(0, [deck.RANKS[r] for r in [*previous, rank]], shown=len(previous))
        table.words(1, f"card {int(state.dealt)} of {self.cards}")
        left = 4 * self.decks - np.asarray(state.counts)
        table.bars(2, left / (4 * self.decks), deck.RANKS, chosen=rank)
        return table.array()
