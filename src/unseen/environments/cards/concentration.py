"""Concentration (pairs, memory): turn cards over two at a time and find those that match."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import gymnasium
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, PRNGKeyArray

from unseen.environments import measured, options
from unseen.environments.cards import deck
from unseen.environments.contract import Params, References, Score, Step

DIFFICULTIES = {(1, "colours"): "easy", (2, "colours"): "medium", (1, "ranks"): "hard"}
KINDS = ("colours", "ranks")  # there are 13 cards of each suit: one would be left over


class ConcentrationState(NamedTuple):
    """Attributes:

    values: what is printed on each card on the table.
    up: which cards have been matched and stay face up.
    waiting: the card turned over that waits for its second, N if there is none.
    first, second: the cards of the latest attempt, N where there is none (as its critic may be told).
    """

    values: Int[Array, "N"]
    up: Bool[Array, "N"]
    waiting: Int[Array, ""]
    first: Int[Array, ""]
    second: Int[Array, ""]


@dataclass(frozen=True)
class Concentration:
    """N = 52 D cards lie face down. Turn two over: a pair stays face up, others are turned back after having been shown.

    Observation: `MultiDiscrete([K + 1] * N)`: the value of each card that is face up or has just been turned, K for one face
    down. Actions: a card's place. Reward, with f = -1/E and E = ceil(2 N - N / (2 N - 1)) the time limit: a pair +2/N; two
    cards that do not match, or twice the same, 2 f; a card that is already up f for each card in the attempt, which ends.
    Ends when all cards are up.

    Signals: "first", "second" (N + 1 values: the places of the latest attempt, N for none), "flipped" (both), "values" (the
    value of every card), "state" (values, face-up flags, both places: POPGym's state, with N where it writes its face-down
    code).

    Args:
        decks: D.
        kind: what must match: "colours" (K = 2) or "ranks" (13). POPGym's easy, medium and hard are (D, kind) =
            (1, colours), (2, colours) and (1, ranks).

    The previous action belongs to the input (POPGym says so too): what was turned is not marked in the observation.

    Source: Morad et al. 2023, POPGym, `Concentration`.
    """

    decks: int = 1
    kind: deck.Print = "colours"

    def __post_init__(self) -> None:
        options.require_integer("concentration", "decks", self.decks, 1, 100)
        deck.require_print("concentration", "kind", self.kind, KINDS)

    @property
    def name(self) -> str:
        return options.with_difficulty("concentration", DIFFICULTIES, (self.decks, self.kind))

    @property
    def cards(self) -> int:
        return deck.CARDS * self.decks

    @property
    def kinds(self) -> int:
        return len(deck.NAMES[self.kind])

    @property
    def levels(self) -> Mapping[str, tuple[tuple[float, Params], ...]]:
        return options.TRAIN_ONLY

    def observation_space(self, params: Params = ()) -> gymnasium.spaces.MultiDiscrete:
        return gymnasium.spaces.MultiDiscrete([self.kinds + 1] * self.cards)

    def action_space(self, params: Params = ()) -> gymnasium.spaces.Discrete[Any]:
        return gymnasium.spaces.Discrete(self.cards)

    def signal_spaces(self, params: Params = ()) -> Mapping[str, gymnasium.Space[Any]]:
        n, k = self.cards, self.kinds
        place = gymnasium.spaces.Discrete(n + 1)
        return {
            "first": place,
            "second": place,
            "flipped": gymnasium.spaces.MultiDiscrete([n + 1] * 2),
            "values": gymnasium.spaces.MultiDiscrete([k] * n),
            "state": gymnasium.spaces.MultiDiscrete([k] * n + [2] * n + [n + 1] * 2),
        }

    def horizon(self, params: Params = ()) -> int:
        n = self.cards
        return math.ceil(2 * n - n / (2 * n - 1))

    def reset(self, key: PRNGKeyArray, params: Params = ()) -> tuple[Int[Array, "N"], ConcentrationState]:
        return self.begin(deck.shuffled(key, self.decks, self.kind))

    def begin(self, values: Int[Array, "N"]) -> tuple[Int[Array, "N"], ConcentrationState]:
        """Given cards, all face down."""
        none = jnp.int32(self.cards)
        return jnp.full((self.cards,), self.kinds, jnp.int32), ConcentrationState(values, jnp.zeros((self.cards,), bool), none, none, none)

    def step(self, key: PRNGKeyArray, state: ConcentrationState, action: Int[Array, ""], params: Params = ()) -> Step:
        n, fine = self.cards, -1.0 / self.horizon()
        place = jnp.arange(n, dtype=jnp.int32)
        action = action.astype(jnp.int32)
        alone = state.waiting == n
        turned = state.up | (place == action) | (place == state.waiting)
        observation = jnp.where(turned, state.values, self.kinds)

        already_up = deck.at(state.up, action)
        other = jnp.minimum(state.waiting, n - 1)
        match = (deck.at(state.values, action) == deck.at(state.values, other)) & (action != state.waiting)
        found = ~already_up & ~alone & match
        reward = jnp.where(
            already_up,
            jnp.where(alone, 1.0, 2.0) * fine,
            jnp.where(alone, 0.0, jnp.where(match, 2.0 / n, 2.0 * fine)),
        )
        up = state.up | (found & ((place == action) | (place == state.waiting)))
        waiting = jnp.where(alone & ~already_up, action, n)
        first, second = jnp.where(alone, action, state.waiting), jnp.where(alone, n, action)
        return Step(observation, ConcentrationState(state.values, up, waiting, first, second), reward, jnp.all(up))

    def action_mask(self, state: ConcentrationState, params: Params = ()) -> None:
        return None

    def signals(self, key: PRNGKeyArray, state: ConcentrationState, params: Params = ()) -> Mapping[str, Array]:
        flipped = jnp.stack([state.first, state.second])
        return {
            "first": state.first,
            "second": state.second,
            "flipped": flipped,
            "values": state.values,
            "state": jnp.concatenate([state.values, state.up.astype(jnp.int32), flipped]),
        }

    def references(self, level: str) -> References:
        """oracle: exact, a pair with every second action. random and perfect memory: measured; the latter turns an unknown card
        and then, if its match is known, that one, else another unknown one, and takes known pairs first."""
        options.require_train(self.name, level)
        n, source = self.cards, "exact: every pair at once"
        pairs = deck.DISCOUNT, Score(2.0 / n * deck.discounted(1, n, 2), source=source)
        exact = deck.references({"oracle": (Score(1.0, source=source), pairs)})
        return measured.joined(exact, measured.references("cards", self.name, self.horizon()))

    def draw(self, state: ConcentrationState, params: Params = ()) -> np.ndarray:
        from unseen.environments.cards import drawing

        short = [name[:2] if self.kind == "ranks" else name[0] for name in deck.NAMES[self.kind]]
        table = drawing.Table(4 * self.decks + 1, 13)
        up, latest = np.asarray(state.up), {int(state.first), int(state.second)}
        for place, value in enumerate(np.asarray(state.values)):
            table.card(divmod(place, 13), short[int(value)], "up" if up[place] else "turned" if place in latest else "down")
        table.words(4 * self.decks, f"{int(up.sum())} of {self.cards} found")
        return table.array()
