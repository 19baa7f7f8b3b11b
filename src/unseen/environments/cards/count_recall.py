"""Count-recall: how often has this kind of card been dealt so far?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray

from unseen.environments import options
from unseen.environments.cards import deck
from unseen.environments.contract import Params, References, Score, Step

DIFFICULTIES = {(1, "colours"): "easy", (2, "suits"): "medium", (4, "ranks"): "hard"}


class CountRecallState(NamedTuple):
    """Attributes: the pack dealt and the pack of questions; cards dealt of each; how many of each kind each has shown."""

    deck: Int[Array, "N"]
    questions: Int[Array, "N"]
    dealt: Int[Array, ""]
    counts: Int[Array, "K"]
    asked: Int[Array, "K"]


@dataclass(frozen=True)
class CountRecall:
    """One pack of 52 D cards is dealt, another asks: how many cards of the kind asked for have been dealt, this one included?

    Observation: `MultiDiscrete([K, K])`: the kind dealt, the kind asked for. Actions: a count from 0 to N/K (N = 52 D).
    Reward: +1/(N-1) if right, -1/(N-1) if wrong. Ends with the last card, after N - 1 answers.

    Signals: "frequency" (1: the count asked for, as a share of N/K), "counts" (K shares), "asked" (K: how often each kind was
    asked for, as shares), "expert" (the right answer), "state" (3 K: "counts", "asked" and the kind asked for as one-hot).

    Args:
        decks: D.
        kind: what counts: "colours" (K = 2), "suits" (4) or "ranks" (13). POPGym's easy, medium and hard are
            (D, kind) = (1, colours), (2, suits) and (4, ranks).

    Source: Morad et al. 2023, POPGym, `CountRecall`. Which further signals IAAC tells: not found.
    """

    decks: int = 1
    kind: deck.Print = "colours"

    def __post_init__(self) -> None:
        options.require_integer("count-recall", "decks", self.decks, 1, 100)
        deck.require_print("count-recall", "kind", self.kind, list(deck.NAMES))

    @property
    def name(self) -> str:
        return options.with_difficulty("count-recall", DIFFICULTIES, (self.decks, self.kind))

    @property
    def cards(self) -> int:
        return deck.CARDS * self.decks

    @property
    def kinds(self) -> int:
        return len(deck.NAMES[self.kind])

    @property
    def most(self) -> int:
        """Cards of one kind."""
        return self.cards // self.kinds

    @property
    def levels(self) -> Mapping[str, tuple[tuple[float, Params], ...]]:
        return options.TRAIN_ONLY

    def observation_space(self, params: Params = ()) -> gymnasium.spaces.MultiDiscrete:
        return gymnasium.spaces.MultiDiscrete([self.kinds, self.kinds])

    def action_space(self, params: Params = ()) -> gymnasium.spaces.Discrete[Any]:
        return gymnasium.spaces.Discrete(self.most + 1)

    def signal_spaces(self, params: Params = ()) -> Mapping[str, gymnasium.Space[Any]]:
        return {
            "frequency": options.unit_box(1),
            "counts": options.unit_box(self.kinds),
            "asked": options.unit_box(self.kinds),
            "expert": gymnasium.spaces.Discrete(self.most + 1),
            "state": options.unit_box(3 * self.kinds),
        }

    def horizon(self, params: Params = ()) -> int:
        """One step beyond the last card: the game's end is no time limit."""
        return self.cards

    def reset(self, key: PRNGKeyArray, params: Params = ()) -> tuple[Int[Array, "2"], CountRecallState]:
        k_deck, k_questions = jax.random.split(key)
        return self.begin(deck.shuffled(k_deck, self.decks, self.kind), deck.shuffled(k_questions, self.decks, self.kind))

    def begin(self, cards: Int[Array, "N"], questions: Int[Array, "N"]) -> tuple[Int[Array, "2"], CountRecallState]:
        """The first card and question of given packs."""
        none = jnp.zeros((self.kinds,), jnp.int32)
        return self._shown(CountRecallState(cards, questions, jnp.int32(0), none, none))

    def step(self, key: PRNGKeyArray, state: CountRecallState, action: Int[Array, ""], params: Params = ()) -> Step:
        reward = jnp.where(action == self._answer(state), 1.0, -1.0) / (self.cards - 1)
        observation, after = self._shown(state)
        return Step(observation, after, reward, after.dealt == self.cards)

    def action_mask(self, state: CountRecallState, params: Params = ()) -> None:
        return None

    def signals(self, key: PRNGKeyArray, state: CountRecallState, params: Params = ()) -> Mapping[str, Array]:
        answer = self._answer(state)
        counts, asked = (x.astype(jnp.float32) / self.most for x in (state.counts, state.asked))
        question = jax.nn.one_hot(self._question(state), self.kinds, dtype=jnp.float32)
        return {
            "frequency": answer.astype(jnp.float32)[None] / self.most,
            "counts": counts,
            "asked": asked,
            "expert": answer,
            "state": jnp.concatenate([counts, asked, question]),
        }

    def references(self, level: str) -> References:
        """Exact. memoryless: the best constant answer where both kinds are equal, and the best where they differ.

        After t + 1 cards the count of the kind on the table is 1 + Hypergeometric(N - 1, N/K - 1, t), of another
        Hypergeometric(N - 1, N/K, t); questions are independent of the cards.
        """
        options.require_train(self.name, level)
        n = self.cards
        certain = deck.per_step(1.0 / (n - 1), 0, n - 1, "exact: always right")
        random = deck.per_step((2.0 / (self.most + 1) - 1.0) / (n - 1), 0, n - 1, "exact: right once in N/K + 1")
        scores = []
        for weights in (np.ones(n - 1), deck.DISCOUNT ** np.arange(n - 1)):
            *_, right = self.likeliest(weights / weights.sum())
            scores.append(Score((2.0 * right - 1.0) * float(weights.sum()) / (n - 1), source="exact: the two likeliest counts"))
        memoryless = scores[0], (deck.DISCOUNT, scores[1])
        return deck.references({"random": random, "memoryless": memoryless, "perfect_memory": certain, "oracle": certain})

    def likeliest(self, weights: np.ndarray) -> tuple[int, int, float]:
        """The best constant answers where the kinds shown are equal and where they differ, and how often they are right.

        Args:
            weights: of the N - 1 steps, with sum 1.
        """
        n, most = self.cards, self.most
        same = weights @ np.asarray([_hypergeometric(n - 1, most - 1, t, np.arange(most + 1) - 1) for t in range(n - 1)])
        other = weights @ np.asarray([_hypergeometric(n - 1, most, t, np.arange(most + 1)) for t in range(n - 1)])
        right = same.max() / self.kinds + other.max() * (1.0 - 1.0 / self.kinds)
        return int(same.argmax()), int(other.argmax()), float(right)

    def draw(self, state: CountRecallState, params: Params = ()) -> np.ndarray:
        from unseen.environments.cards import drawing

        names = deck.NAMES[self.kind]
        short = [name[:2] if self.kind == "ranks" else name[0] for name in names]
        table = drawing.Table(3, 13)
        table.row(0, [short[int(state.deck[int(state.dealt) - 1])]], shown=0)
        table.words(1, f"card {int(state.dealt)} of {self.cards}: how many {names[int(self._question(state))]}?")
        table.bars(2, np.asarray(state.counts) / self.most, short, chosen=int(self._question(state)))
        return table.array()

    def _shown(self, state: CountRecallState) -> tuple[Int[Array, "2"], CountRecallState]:
        card, question = deck.at(state.deck, state.dealt), deck.at(state.questions, state.dealt)
        one_more = [jax.nn.one_hot(x, self.kinds, dtype=jnp.int32) for x in (card, question)]
        after = CountRecallState(state.deck, state.questions, state.dealt + 1, state.counts + one_more[0], state.asked + one_more[1])
        return jnp.stack([card, question]), after

    def _question(self, state: CountRecallState) -> Int[Array, ""]:
        return deck.at(state.questions, state.dealt - 1)

    def _answer(self, state: CountRecallState) -> Int[Array, ""]:
        return state.counts.at[self._question(state)].get(mode="promise_in_bounds")


def _hypergeometric(cards: int, marked: int, drawn: int, found: np.ndarray) -> np.ndarray:
    """Probabilities of so many marked cards among those drawn."""

    def ways(k: int) -> float:
        possible = 0 <= k <= marked and 0 <= drawn - k <= cards - marked
        return math.comb(marked, k) * math.comb(cards - marked, drawn - k) / math.comb(cards, drawn) if possible else 0.0

    return np.asarray([ways(int(k)) for k in found])
