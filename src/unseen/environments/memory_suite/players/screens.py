"""Reference players of the screen tasks: what is answered (a mind), and how the gaze gets there in either embodiment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from unseen.environments.contract import Params
from unseen.environments.memory_suite import screen
from unseen.environments.memory_suite.players.player import Reads, Seen, look
from unseen.environments.memory_suite.screen import GREEN, HIDDEN, MIDDLE, RED, ScreenTask
from unseen.environments.memory_suite.screen_view import DOWN, LEFT, RIGHT, STAY, UP

ANY = -1  # a wish for any button
NEAR = 12  # 480ths within which the gaze counts as being where it should be: half of what an action moves it


class Shown(NamedTuple):
    """The words of a screen.

    Attributes:
        look: index in `screen.looks`.
        tints: of the buttons.
        categories: of what is shown, as the task's `features`.
        asked: whether an answer is awaited.
        told: whether feedback is given.
    """

    look: Int[Array, ""]
    tints: Int[Array, "buttons"]
    categories: Int[Array, "features"]
    asked: Bool[Array, ""]
    told: Bool[Array, ""]


@runtime_checkable
class Mind(Protocol):
    """What a player of one task makes of what it sees."""

    def begin(self) -> Any: ...

    def answer(self, memory: Any, shown: Shown) -> tuple[Any, Int[Array, ""]]:
        """Its memory, and the button that it would choose now, or `ANY`; asked at every step, heard when an answer is awaited."""
        ...


@dataclass(frozen=True)
class ScreenPlayer:
    """Looks at the middle, at its answer once one is asked for, and at the middle again."""

    environment: Any
    mind: Mind
    reads: Reads = field(default="observation", init=False)

    def begin(self) -> Any:
        return self.mind.begin()

    def act(self, key: PRNGKeyArray, memory: Any, seen: Seen, params: Params = ()) -> tuple[Any, Int[Array, ""]]:
        shown = read(self.environment.task, seen.words)
        memory, button = self.mind.answer(memory, shown)
        return memory, gazed(key, self.environment.task, shown, button, seen.gaze)


@dataclass(frozen=True)
class ScreenOracle:
    """Knows every answer."""

    environment: Any
    reads: Reads = field(default="state", init=False)

    def begin(self) -> tuple[()]:
        return ()

    def act(self, key: PRNGKeyArray, memory: tuple[()], seen: Any, params: Params = ()) -> tuple[tuple[()], Int[Array, ""]]:
        task, words = self.environment.task, look(self.environment, "observation", seen, jnp.zeros(()))
        button = task.trial(seen.drawn, seen.progress).correct
        return memory, gazed(key, task, read(task, words.words), button, words.gaze)


def read(task: ScreenTask, words: Int[Array, "n"]) -> Shown:
    """The parts of a screen's words."""
    tints, categories = words[1 : 1 + len(task.buttons)], words[1 + len(task.buttons) :]
    told = jnp.any((tints == GREEN) | (tints == RED))
    return Shown(words[0], tints, categories, jnp.any(tints != HIDDEN) & ~told, told)


def gazed(key: PRNGKeyArray, task: ScreenTask, shown: Shown, button: Int[Array, ""], gaze: Float[Array, "2"] | None) -> Int[Array, ""]:
    """The action that looks at a button when an answer is awaited and at the middle otherwise.

    Args:
        button: `ANY` leaves it to chance, and in first person, once the gaze is on its way, to where it is.
        gaze: x and y in 480ths, in first person; None in the compact embodiment, where a look is one action.
    """
    anyone = jax.random.randint(key, (), 0, len(task.buttons), jnp.int32)
    if gaze is None:
        return jnp.where(shown.asked, jnp.where(button == ANY, anyone, button) + 1, 0)
    centres = jnp.asarray([((b.left + b.right) / 2, (b.top + b.bottom) / 2) for b in task.buttons], jnp.float32)
    from_middle = gaze - MIDDLE
    towards = jnp.argmax((centres - MIDDLE) @ from_middle).astype(jnp.int32)
    some = jnp.where(jnp.any((from_middle < -NEAR) | (from_middle >= NEAR)), towards, anyone)
    target = jnp.where(shown.asked, centres.at[jnp.where(button == ANY, some, button)].get(mode="clip"), jnp.float32(MIDDLE))
    right, down = target - gaze  # zones hold their left and upper edge, not the others
    sideways = jnp.where(right <= -NEAR, LEFT, jnp.where(right > NEAR, RIGHT, STAY))
    vertical = jnp.where(down <= -NEAR, UP, jnp.where(down > NEAR, DOWN, STAY))
    # To a button first sideways and then up or down, and back the other way round: no other button is on that way.
    first, second = jnp.where(shown.asked, sideways, vertical), jnp.where(shown.asked, vertical, sideways)
    return jnp.where(first == STAY, second, first).astype(jnp.int32)


# ---- minds -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Constant:
    """Always the same button, or any."""

    button: int = ANY

    def begin(self) -> tuple[()]:
        return ()

    def answer(self, memory: tuple[()], shown: Shown) -> tuple[tuple[()], Int[Array, ""]]:
        return memory, jnp.asarray(self.button, jnp.int32)


@dataclass(frozen=True)
class ReadsTints:
    """Visuomotor mapping without memory: the answer where it is shown, any button elsewhere."""

    def begin(self) -> tuple[()]:
        return ()

    def answer(self, memory: tuple[()], shown: Shown) -> tuple[tuple[()], Int[Array, ""]]:
        return memory, tinted(shown, screen.DULL_GREEN)


@dataclass(frozen=True)
class Associates:
    """Visuomotor mapping: for every image met, 1 + the button that turned green."""

    images: tuple[int, ...]  # sizes of the categories of an image

    def begin(self) -> Int[Array, "images"]:
        return jnp.zeros((int(np.prod(self.images)),), jnp.int8)

    def answer(self, memory: Int[Array, "images"], shown: Shown) -> tuple[Int[Array, "images"], Int[Array, ""]]:
        image = number_of(shown.categories, self.images)
        known = memory.at[image].get(mode="clip").astype(jnp.int32) - 1
        green = tinted(shown, GREEN)
        memory = memory.at[image].set(jnp.where(shown.told, green + 1, known + 1).astype(jnp.int8))
        return memory, jnp.where(known == ANY, tinted(shown, screen.DULL_GREEN), known)


@dataclass(frozen=True)
class Recognises:
    """Continuous recognition: which images have been shown in earlier trials."""

    images: tuple[int, ...]

    def begin(self) -> Bool[Array, "images"]:
        return jnp.zeros((int(np.prod(self.images)),), bool)

    def answer(self, memory: Bool[Array, "images"], shown: Shown) -> tuple[Bool[Array, "images"], Int[Array, ""]]:
        image = number_of(shown.categories, self.images)
        old = memory.at[image].get(mode="clip")
        return memory.at[image].set(old | shown.told), old.astype(jnp.int32)


@dataclass(frozen=True)
class Compares:
    """Change detection: the first array seen since the cross. The blank can be too short to be seen, so it is not waited for."""

    features: int
    fixation: int  # its look
    symbols: int  # the look of both arrays

    def begin(self) -> Int[Array, "features"]:
        return jnp.zeros((self.features,), jnp.int32)

    def answer(self, memory: Int[Array, "features"], shown: Shown) -> tuple[Int[Array, "features"], Int[Array, ""]]:
        first = (shown.look == self.symbols) & jnp.all(memory == 0)
        memory = jnp.where(shown.look == self.fixation, 0, jnp.where(first, shown.categories, memory))
        return memory, jnp.all(memory == shown.categories).astype(jnp.int32)  # button 0 is "different", 1 "same"


@dataclass(frozen=True)
class FindsAgain:
    """What then where: the digit in the middle, then where it stood. Memory: 1 + the digit, 1 + the place; 0 for nothing."""

    parts: int  # words about one digit, its class first

    def begin(self) -> Int[Array, "2"]:
        return jnp.zeros((2,), jnp.int32)

    def answer(self, memory: Int[Array, "2"], shown: Shown) -> tuple[Int[Array, "2"], Int[Array, ""]]:
        middle, around = shown.categories[0], shown.categories[self.parts :: self.parts]
        digit = jnp.where(middle > 0, middle, memory[0])
        place = jnp.where(jnp.any(around > 0), 1 + jnp.argmax(around == digit).astype(jnp.int32), memory[1])
        return jnp.stack([digit, place]), place - 1


def tinted(shown: Shown, tint: int) -> Int[Array, ""]:
    """The button of that look, `ANY` where none has it."""
    mine = shown.tints == tint
    return jnp.where(jnp.any(mine), jnp.argmax(mine).astype(jnp.int32), ANY)


def number_of(categories: Int[Array, "n"], sizes: tuple[int, ...]) -> Int[Array, ""]:
    """One number for several categories."""
    place_values = np.cumprod((1, *sizes[:0:-1]), dtype=np.int32)[::-1]
    return jnp.sum(categories * jnp.asarray(place_values), dtype=jnp.int32)
