"""Decks of 52 cards: numbers of cards, what is printed on them, shuffling.

Card c of a deck has rank (c mod 52) // 4 (ace 0, king 12), suit c mod 4 (spades, diamonds, clubs, hearts) and colour c mod 2 (black,
red). Environments keep a shuffled deck in the order in which it is dealt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray, Shaped

from unseen.environments.contract import References, Score
from unseen.errors import UserError

CARDS = 52
RANKS = ("A", "2", "3", "4", "5", "6", "7", "8", "9", "10", "J", "Q", "K")
SUITS = ("spades", "diamonds", "clubs", "hearts")
COLOURS = ("black", "red")
LETTERS = ("S", "D", "C", "H")

Print = Literal["colours", "suits", "ranks"]  # what of a card counts
NAMES: dict[str, Sequence[str]] = {"colours": COLOURS, "suits": SUITS, "ranks": RANKS}


def require_print(environment: str, option: str, value: str, allowed: Sequence[str]) -> None:
    """Raise `UserError` unless `value` is one of the prints that the game can be played with."""
    if value not in allowed:
        raise UserError(f"{environment}: {option}={value!r} is not allowed; give one of {', '.join(allowed)}")


def printed(decks: int, what: Print) -> np.ndarray:
    """What is printed on each card of this many decks, unshuffled: int32 of shape (52 decks,)."""
    card = np.arange(CARDS * decks, dtype=np.int32)
    return {"colours": card % 2, "suits": card % 4, "ranks": card % CARDS // 4}[what]


def shuffled(key: PRNGKeyArray, decks: int, what: Print) -> Int[Array, "N"]:
    """The print of every card in the order of dealing."""
    return jax.random.permutation(key, jnp.asarray(printed(decks, what)))


class Pack(NamedTuple):
    """A pack that is dealt card by card, and what has gone.

    Attributes: prints in the order of dealing; how many have been dealt; how many of each kind have been.
    """

    deck: Int[Array, "N"]
    dealt: Int[Array, ""]
    counts: Int[Array, "K"]

    @staticmethod
    def opened(prints: Int[Array, "N"], kinds: int) -> Pack:
        """With the first card on the table."""
        return Pack(prints, jnp.int32(0), jnp.zeros((kinds,), jnp.int32)).after_dealing()

    @property
    def card(self) -> Int[Array, ""]:
        """The one on the table."""
        return at(self.deck, self.dealt - 1)

    def after_dealing(self) -> Pack:
        """With one more card dealt."""
        more = jax.nn.one_hot(at(self.deck, self.dealt), self.counts.shape[0], dtype=jnp.int32)
        return Pack(self.deck, self.dealt + 1, self.counts + more)


DISCOUNT = 0.99  # of the discounted reference scores


def discounted(first: int, last: int, every: int = 1) -> float:
    """Sum of DISCOUNT^t over t = first, first + every, ... below last: what 1 at each of these steps is worth."""
    return float(np.sum(DISCOUNT ** np.arange(first, last, every)))


def per_step(value: float, first: int, last: int, source: str) -> tuple[Score, tuple[float, Score]]:
    """The scores of a player who expects `value` at each of the steps first to last - 1: undiscounted, and with its discount."""
    return Score(value * (last - first), source=source), (DISCOUNT, Score(value * discounted(first, last), source=source))


def references(players: Mapping[str, tuple[Score, tuple[float, Score]]]) -> References:
    """Of players given as `per_step` gives them."""
    plain: dict[str, Any] = {name: pair[0] for name, pair in players.items()}
    return References(**plain, discounted={name: pair[1] for name, pair in players.items()})


def at(deck: Shaped[Array, "N"], place: Int[Array, ""]) -> Shaped[Array, ""]:
    """The card at a place; the last one behind the end, where lanes whose game is over may still be stepped."""
    return deck.at[place].get(mode="clip")
