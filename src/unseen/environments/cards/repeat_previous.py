"""Repeat-previous: name the suit dealt k cards ago, the one on the table being the first of them."""

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
from unseen.environments.contract import Params, References, Step
from unseen.errors import UserError

KINDS = len(deck.SUITS)
DIFFICULTIES = {(1, 4): "easy", (2, 32): "medium", (3, 64): "hard"}


@dataclass(frozen=True)
class RepeatPrevious:
    """A shuffled pack of 52 D cards is dealt one by one; name the suit of the k-th newest card (k = 1: the one on the table).

    Observation: `Discrete(4)`, the suit of the last card. Actions: a suit. Reward: 0 until k cards lie there, then +1/(N-k) if
    right, -1/(N-k) if wrong (N = 52 D). Ends with the last card, after N - 1 answers.

    Signals: "target" (5: the suit asked for, 4 while there is none), "recent" (the k newest suits, newest first, 4 where there
    is none), "dealt" (4: the share of each suit still in the pack), "state" (5 k + 4: "recent" as one-hot, and "dealt").

    Args:
        decks: D.
        k: which card; POPGym's easy, medium and hard are (D, k) = (1, 4), (2, 32) and (3, 64).

    Source: Morad et al. 2023, POPGym, `RepeatPrevious`. Chosen here as IAAC's sixth POPGym task, whose name was not found.
    """

    decks: int = 1
    k: int = 4

    def __post_init__(self) -> None:
        options.require_integer("repeat-previous", "decks", self.decks, 1, 100)
        options.require_integer("repeat-previous", "k", self.k, 1)
        if self.k >= self.cards:
            raise UserError(f"repeat-previous: k={self.k} is not allowed with {self.cards} cards; give at most {self.cards - 1}")

    @property
    def name(self) -> str:
        return options.with_difficulty("repeat-previous", DIFFICULTIES, (self.decks, self.k))

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
        return {
            "target": gymnasium.spaces.Discrete(KINDS + 1),
            "recent": gymnasium.spaces.MultiDiscrete([KINDS + 1] * self.k),
            "dealt": options.unit_box(KINDS),
            "state": options.unit_box((KINDS + 1) * self.k + KINDS),
        }

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
        target = self._recent(state)[-1]
        reward = jnp.where(target == KINDS, 0.0, jnp.where(action == target, 1.0, -1.0)) / (self.cards - self.k)
        after = state.after_dealing()
        return Step(after.card, after, reward, after.dealt == self.cards)

    def action_mask(self, state: deck.Pack, params: Params = ()) -> None:
        return None

    def signals(self, key: PRNGKeyArray, state: deck.Pack, params: Params = ()) -> Mapping[str, Array]:
        recent = self._recent(state)
        left = (self.cards // KINDS - state.counts).astype(jnp.float32) / (self.cards // KINDS)
        seen = jax.nn.one_hot(recent, KINDS + 1, dtype=jnp.float32).reshape(-1)
        return {"target": recent[-1], "recent": recent, "dealt": left, "state": jnp.concatenate([seen, left])}

    def references(self, level: str) -> References:
        """Exact. memoryless (k > 1): any other suit than the one on the table is right with probability (N/4) / (N - 1)."""
        options.require_train(self.name, level)
        n, first, last = self.cards, self.k - 1, self.cards - 1
        certain = deck.per_step(1.0 / (n - self.k), first, last, "exact: always right")
        other = (2.0 * (n / KINDS) / (n - 1.0) - 1.0) / (n - self.k)
        guess = deck.per_step(other, first, last, "exact: another suit than the one on the table")
        random = deck.per_step(-0.5 / (n - self.k), first, last, "exact: right once in four")
        memoryless = certain if self.k == 1 else guess
        return deck.references({"random": random, "memoryless": memoryless, "perfect_memory": certain, "oracle": certain})

    def draw(self, state: deck.Pack, params: Params = ()) -> np.ndarray:
        from unseen.environments.cards import drawing

        recent = [int(s) for s in np.asarray(self._recent(state))[:13]]
        table = drawing.Table(2, 13)
        table.row(0, [deck.LETTERS[s] if s < KINDS else "" for s in recent], shown=min(self.k, 13) - 1)
        table.words(1, f"card {int(state.dealt)} of {self.cards}, newest on the left; number {self.k} is asked for")
        return table.array()

    def _recent(self, state: deck.Pack) -> Int[Array, "k"]:
        """The k newest suits, newest first; 4 where there is none."""
        place = state.dealt - 1 - jnp.arange(self.k, dtype=jnp.int32)
        suits = state.deck.at[jnp.maximum(place, 0)].get(mode="clip")
        return jnp.where(place >= 0, suits, KINDS)
