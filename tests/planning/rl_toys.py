"""A world in which it is known when a plan pays, and models that are small enough to be taught it in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from unseen.environments.text.contract import TextObservation, TextStep
from unseen.planning.grammar import CLOSE, OPEN
from unseen.planning.lessons import Pair
from unseen.planning.models.local import LocalModel
from unseen.planning.models.small import small_model, word_tokenizer
from unseen.planning.prompts import Prompts
from unseen.planning.rl.prices import priced
from unseen.planning.sft import SFT, fine_tune

WORDS = ("red", "blue", "green", "white")
SIGNS = {"red": "fire", "blue": "sea", "green": "leaf", "white": "snow"}  # that are shown for the words: easier to tell from a plan
LENGTHS = (2, 8)
WORDING = Prompts(
    "", "$observation", "$observation $held $instruction", "held $plan", act="act", act_without="act", plan="plan", choose="any"
)
PLAN_TOKENS = 3  # <plan> red </plan>
HOW: dict[str, Any] = {"prompts": WORDING, "history": 1, "max_plan_tokens": 4, "max_action_tokens": 1}


class Hints:
    """Time is cut into blocks of 2 or 8 steps. At the first step of a block the sign of its word is shown, with the length of the block;
    at the others nothing is. Saying the block's word pays 1. With one observation in view only a plan keeps the word: it goes stale with
    its block.

    A plan at a block's beginning is worth (length − 1) · (1 − 1/4), as a guess is right one time in four; elsewhere it is worth nothing.
    """

    name = "hints"
    actions = WORDS
    instructions = "Say the word."

    def __init__(self, max_steps: int = 28, lengths: tuple[int, ...] = LENGTHS):
        self.max_steps, self.lengths = max_steps, lengths
        self.reset(0)

    def reset(self, seed: int) -> TextObservation:
        draws = np.random.default_rng((seed, 99))
        self.blocks: list[tuple[str, int, bool]] = []  # for every step its word, its block's length, whether the word is shown
        while len(self.blocks) <= self.max_steps:
            word, length = str(draws.choice(WORDS)), int(draws.choice(self.lengths))
            self.blocks += [(word, length, k == 0) for k in range(length)]
        self.t = 0
        return self.seen()

    def seen(self) -> TextObservation:
        word, length, shown = self.blocks[self.t]
        return TextObservation(f"{SIGNS[word]} for {length}" if shown else "nothing")

    def step(self, action: str) -> TextStep:
        word = self.blocks[self.t][0]
        self.t += 1
        reward = float(action == word)
        return TextStep(self.seen(), reward, False, self.t >= self.max_steps, action not in WORDS, (), self.t / self.max_steps)

    def legal(self) -> tuple[str, ...]:
        return WORDS

    def snapshot(self) -> Any:
        return self.blocks, self.t

    def restore(self, snapshot: Any) -> TextObservation:
        self.blocks, self.t = snapshot
        return self.seen()

    def signals(self) -> Mapping[str, str]:
        return {"word": self.blocks[self.t][0]}


def worth(length: int) -> float:
    """What a plan at the beginning of a block of this length brings."""
    return (length - 1) * (1 - 1 / len(WORDS))


def best_frequency(cost: float, lengths: tuple[int, ...] = LENGTHS) -> float:
    """How often who knows the rules plans, where a plan costs this much: at the beginnings of blocks that are long enough."""
    return sum(worth(length) > cost for length in lengths) / sum(lengths)


def texts() -> list[str]:
    shown = [f"{SIGNS[word]} for {length}" for word in WORDS for length in LENGTHS]
    return [*shown, "nothing held any act plan word : price 0 . 1 2 3 4 5 6 7 8 9 ( no action )"]


def lessons(count: int = 1500, prices: tuple[float | None, ...] = (None,)) -> list[Pair]:
    """Steps of a teacher that plans at random: what is said and planned is right, and when teaches nothing. One of the prices is told in
    each prompt, or none."""
    draws, pairs = np.random.default_rng(0), []
    for _ in range(count):
        word, held, length = str(draws.choice(WORDS)), str(draws.choice([*WORDS, ""])), int(draws.choice(LENGTHS))
        shown = draws.random() < 0.5
        now = TextObservation(f"{SIGNS[word]} for {length}" if shown else "nothing")
        says = word if shown else held or str(draws.choice(WORDS))
        price = prices[int(draws.integers(len(prices)))]
        wording = WORDING if price is None else priced(WORDING, price)
        prompt = wording.conversation("", [], now, held or None, "choose")
        planned = draws.random() < (0.5 if shown else 0.1)
        pairs.append(Pair(prompt, f"{OPEN}{says}{CLOSE}\n{says}" if planned else says))
    return pairs


def student(hidden: int = 32, layers: int = 1, seed: int = 0) -> LocalModel:
    tokenizer = word_tokenizer(texts(), WORDS)
    return LocalModel(small_model(tokenizer, hidden=hidden, layers=layers, heads=2, context=128, seed=seed), tokenizer, name="student")


def taught(prices: tuple[float | None, ...] = (None,), updates: int = 800) -> LocalModel:
    """A student that can say what it is shown or holds, and plans at random."""
    settings = SFT(updates=updates, batch=24, learning_rate=4e-3, prompt_loss=0.0, save_every=updates)
    return fine_tune(student(hidden=48, layers=2), lessons(3000, prices), settings, say=lambda _: None)
