"""Repeat-first: name the suit of the very first card, for as long as cards are dealt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray

from unseen.environments import options
from unseen.environments.cards import deck
from unseen.environments.contract import Params, References, Score, Step

KINDS = len(deck.SUITS)


@dataclass(frozen=True)
class RepeatFirst:
    """A shuffled pack of 52 D cards is dealt one by one; at every card, name the suit of the first.

    Observation: `Discrete(4)`, the suit of the last card. Actions: a suit. Reward: +1/(N-1) if right, -1/(N-1) if wrong
    (N = 52 D). Ends with the last card, after N - 1 answers.

    Signals: "first" (4: the first card's suit), "hand" (4: the card on the table, which the agent sees too), "dealt" (4: the
    share of each suit still in the pack), "expert" (the right answer, which is "first"), "state" (8: the first suit as
    one-hot, and "dealt"; POPGym's state).

    Args:
        decks: D; POPGym's easy, medium and hard are 1, 8 and 16.

    Source: Morad et al. 2023, POPGym, `RepeatFirst`. What IAAC's "hand" holds: not found.
    """

    decks: int = 1

    def __post_init__(self) -> None:
        options.require_integer("repeat-first", "decks", self.decks, 1, 100)

    @property
    def name(self) -> str:
        return options.with_difficulty("repeat-first", {1: "easy", 8: "medium", 16: "hard"}, self.decks)

    @property
    def action_names(self) -> tuple[str, ...]:
        return deck.SUITS

    @property
    def cards(self) -> int:
        return deck.CARDS * self.decks

    @property
    def levels(self) -> Mapping[str, tuple[tuple[float, Params], ...]]:
        return options.TRAIN_ONLY

    def observation_space(self, params: Params = ()) -> gymnasium.spaces.Discrete[Any]:
        return gymnasium.spaces.Discrete(KINDS)

    def action_space(self, params: Params = ()) -> gymnasium.spaces.Discrete[Any]:
        return gymnasium.spaces.Discrete(KINDS)

    def signal_spaces(self, params: Params = ()) -> Mapping[str, gymnasium.Space[Any]]:
        suit = gymnasium.spaces.Discrete(KINDS)
        return {"first": suit, "hand": suit, "dealt": options.unit_box(KINDS), "expert": suit, "state": options.unit_box(2 * KINDS)}

    def horizon(self, params: Params = ()) -> int:
        """One step beyond the last card: the game's end is no time limit."""
        return self.cards

    def reset(self, key: PRNGKeyArray, params: Params = ()) -> tuple[Int[Array, ""], deck.Pack]:
        return self.begin(deck.shuffled(key, self.decks, "suits"))

    def begin(self, suits: Int[Array, "N"]) -> tuple[Int[Array, ""], deck.Pack]:
        """The first card of a given pack."""
        state = deck.Pack.opened(suits, KINDS)
        return state.card, state

    def step(self, key: PRNGKeyArray, state: deck.Pack, action: Int[Array, ""], params: Params = ()) -> Step:
        reward = jnp.where(action == state.deck[0], 1.0, -1.0) / (self.cards - 1)
        after = state.after_dealing()
        return Step(after.card, after, reward, after.dealt == self.cards)

    def action_mask(self, state: deck.Pack, params: Params = ()) -> None:
        return None

    def signals(self, key: PRNGKeyArray, state: deck.Pack, params: Params = ()) -> Mapping[str, Array]:
        first = state.deck[0]
        left = (self.cards // KINDS - state.counts).astype(jnp.float32) / (self.cards // KINDS)
        return {
            "first": first,
            "hand": state.card,
            "dealt": left,
            "expert": first,
            "state": jnp.concatenate([jax.nn.one_hot(first, KINDS, dtype=jnp.float32), left]),
        }

    def references(self, level: str) -> References:
        """Exact. memoryless: naming the card on the table is right at once, then with probability (N/4 - 1) / (N - 1)."""
        options.require_train(self.name, level)
        n = self.cards
        again = 2.0 * (n / KINDS - 1.0) / (n - 1.0) - 1.0
        certain = deck.per_step(1.0 / (n - 1), 0, n - 1, "exact: always right")
        later = deck.per_step(again / (n - 1), 1, n - 1, "exact: the card on the table")
        at_once, (discount, then) = 1.0 / (n - 1), later[1]
        table = Score(later[0].mean + at_once, source=then.source), (discount, Score(then.mean + at_once, source=then.source))
        random = deck.per_step(-0.5 / (n - 1), 0, n - 1, "exact: right once in four")
        return deck.references({"random": random, "memoryless": table, "perfect_memory": certain, "oracle": certain})

    def draw(self, state: deck.Pack, params: Params = ()) -> np.ndarray:
        from unseen.environments.cards import drawing

        dealt = int(state.dealt)
        table = drawing.Table(2, 13)
        recent = [deck.LETTERS[int(s)] for s in np.asarray(state.deck)[max(1, dealt - 11) : dealt]]
        table.row(0, [deck.LETTERS[int(state.deck[0])], "", *recent], shown=0)
        table.words(1, f"card {dealt} of {self.cards}; the first of all is the marked one")
        return table.array()
