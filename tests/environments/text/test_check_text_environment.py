"""Environments in words that keep every promise pass; each that breaks one is caught, by the name of that promise."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

from unseen.environments.text import Crafter, GraphSearch, TextObservation, TextStep, check_text_environment
from unseen.environments.text.check import PROMISES, BrokenTextPromise
from unseen.errors import UserError


def test_ours_keep_their_promises():
    check_text_environment(GraphSearch, episodes=10)
    check_text_environment(lambda: GraphSearch(8, 1, min_backtracks=0, form="compact"))
    check_text_environment(lambda: Crafter(max_steps=20, area=(16, 16)), episodes=2)


class Moment(NamedTuple):
    total: int
    age: int
    generator: dict[str, Any]
    over: bool


class Dice:
    """Add dice until the sum is 7 or more: a right environment, of which every bad one below changes one thing."""

    name, instructions, actions, max_steps = "dice", "Roll until you have 7.", ("roll", "double", "stay"), 6

    def __init__(self) -> None:
        self.generator, self.total, self.age, self.over, self.begun = np.random.default_rng(), 0, 0, True, False

    def seen(self) -> Any:
        return TextObservation(f"You have {self.total} of 7.", f"{self.max_steps - self.age} left")

    def reset(self, seed: int) -> Any:
        self.generator = np.random.default_rng(seed)
        self.total, self.age, self.over, self.begun = 0, 0, False, True
        return self.seen()

    def step(self, action: str) -> Any:
        if self.over:
            raise UserError("begin an episode with reset(seed)")
        word = action.strip()
        illegal = word not in self.legal()
        if not illegal and word != "stay":
            self.total += int(self.generator.integers(1, 3)) * (2 if word == "double" else 1)
        self.age += 1
        done = self.total >= 7
        cut = not done and self.age >= self.max_steps
        self.over = done or cut
        return TextStep(self.seen(), float(done), done, cut, illegal, (), min(1.0, self.total / 7))

    def legal(self) -> Any:
        return self.actions if self.total < 5 else ("roll", "stay")

    def snapshot(self) -> Any:
        return Moment(self.total, self.age, self.generator.bit_generator.state, self.over)

    def restore(self, snapshot: Any) -> Any:
        self.total, self.age, self.over = snapshot.total, snapshot.age, snapshot.over
        self.generator.bit_generator.state = snapshot.generator
        return self.seen()

    def signals(self) -> Any:
        return {"next": str(self.generator.bit_generator.state["state"]["state"])}


def test_the_good_one_is_good():
    check_text_environment(Dice, episodes=20)


def changed(**changes: Any) -> type[Dice]:
    """The right environment with something else in place of some of it."""
    return type("Bad", (Dice,), changes)


def stepping(**fields: Any) -> type[Dice]:
    """Steps of which some fields are others: values, or functions of the step."""

    def step(self: Dice, action: str) -> Any:
        right = Dice.step(self, action)
        return right._replace(**{name: value(right) if callable(value) else value for name, value in fields.items()})

    return changed(step=step)


def raising(self: Dice, action: str) -> Any:
    if action.strip() not in self.actions:
        raise KeyError(action)
    return Dice.step(self, action)


def generous(self: Dice, action: str) -> Any:
    """Illegal words take no time."""
    age, over = self.age, self.over
    right = Dice.step(self, action)
    if right.illegal and not over:
        self.age, self.over = age, False
        return right._replace(truncated=False)
    return right


def endless(self: Dice, action: str) -> Any:
    self.age, self.total = 0, 0
    return Dice.step(self, action)


def late(self: Dice, action: str) -> Any:
    """Cuts one step too late."""
    if self.age == self.max_steps - 1 and not hasattr(self, "extra"):
        self.extra = True
        self.age -= 1
    elif self.age == 0 and hasattr(self, "extra"):
        del self.extra
    self.total = 0
    return Dice.step(self, action)


def going_on(self: Dice, action: str) -> Any:
    if not self.begun:
        raise UserError("begin an episode with reset(seed)")
    self.over = False
    return Dice.step(self, action)


def crashing_at_the_end(self: Dice, action: str) -> Any:
    if self.begun and self.over:
        raise IndexError("no more dice")
    return Dice.step(self, action)


def early(self: Dice, action: str) -> Any:
    self.over = self.over and self.begun
    return Dice.step(self, action)


def unseeded(self: Dice, seed: int) -> Any:
    seen = Dice.reset(self, seed)
    self.generator = np.random.default_rng()
    return seen


def carrying_on(self: Dice, seed: int) -> Any:
    """The generator of the first episode serves for all."""
    generator = self.generator
    begun, seen = self.begun, Dice.reset(self, seed)
    if begun:
        self.generator = generator
    return seen


def rolling(self: Dice) -> Any:
    """Taking a snapshot uses the generator."""
    moment = Dice.snapshot(self)
    self.generator.integers(2)
    return moment


def blind(self: Dice, snapshot: Any) -> Any:
    Dice.restore(self, snapshot)
    return TextObservation("You are back.")


def without_chance(self: Dice, snapshot: Any) -> Any:
    """The generator is not put back."""
    self.total, self.age, self.over = snapshot.total, snapshot.age, snapshot.over
    return self.seen()


def at_home(self: Dice, snapshot: Any) -> Any:
    """Only in the environment that made the snapshot the generator is put back."""
    seen = Dice.restore(self, snapshot)
    if snapshot is not getattr(self, "own", None):
        self.generator = np.random.default_rng(0)
    return seen


def remembered(self: Dice) -> Any:
    self.own = Dice.snapshot(self)
    return self.own


class Alive(Dice):
    """Its snapshot is itself, and goes on with it."""

    def snapshot(self) -> Any:
        return self

    def restore(self, snapshot: Any) -> Any:
        self.total, self.age, self.over, self.generator = snapshot.total, snapshot.age, snapshot.over, snapshot.generator
        return self.seen()


BAD: list[tuple[str, type[Dice], str]] = [
    ("settings_are_words_and_a_limit", changed(instructions=""), "instructions is ''"),
    ("settings_are_words_and_a_limit", changed(name=None), "name is None"),
    ("settings_are_words_and_a_limit", changed(actions=["roll"]), "give a tuple of words"),
    ("settings_are_words_and_a_limit", changed(actions=("roll", " ")), "none of them blank"),
    ("settings_are_words_and_a_limit", changed(actions=("roll", "stay", "roll")), "'roll' more than once"),
    ("settings_are_words_and_a_limit", changed(max_steps=0), "max_steps is 0"),
    ("settings_are_words_and_a_limit", changed(max_steps=6.0), r"max_steps is 6\.0"),
    ("nothing_goes_on_before_the_first_reset", changed(step=early), "before the first reset was taken"),
    ("observations_are_texts", changed(seen=lambda self: "You have some."), "is a str; give a TextObservation"),
    ("observations_are_texts", changed(seen=lambda self: TextObservation("")), "at the start of seed 0 is ''"),
    ("observations_are_texts", stepping(observation=TextObservation(" \n")), "at step 1 of seed 0 is"),
    ("observations_are_texts", changed(seen=lambda self: TextObservation("x", None)), "short-term observation at the start"),  # type: ignore[arg-type]
    ("observations_are_texts", changed(step=lambda self, action: tuple(Dice.step(self, action))), "AttributeError"),
    ("rewards_events_and_flags_are_what_they_should_be", stepping(reward=float("nan")), "reward is nan"),
    ("rewards_events_and_flags_are_what_they_should_be", stepping(illegal=0), "illegal is 0"),
    ("rewards_events_and_flags_are_what_they_should_be", stepping(events=["rolled"]), "events are"),
    ("rewards_events_and_flags_are_what_they_should_be", stepping(events=(1,)), "events are"),
    ("terminated_and_truncated_are_kept_apart", stepping(truncated=lambda s: s.terminated or s.truncated), "both are true"),
    ("progression_is_a_share", stepping(progression=1.5), r"progression is 1\.5 at step 1 of seed 0"),
    ("progression_is_a_share", stepping(progression=float("nan")), "progression is nan"),
    ("signals_are_texts", changed(signals=lambda self: {"next": 3}), "signal 'next' is 3"),
    ("signals_are_texts", changed(signals=lambda self: "3"), "signals are a str"),
    ("legal_words_are_actions", changed(legal=lambda self: () if self.total >= 3 else self.actions), "nothing is legal after"),
    ("legal_words_are_actions", changed(legal=lambda self: (*self.actions, "cheat")), "names 'cheat'"),
    ("legal_words_are_actions", changed(legal=lambda self: list(self.actions)), "give a tuple of words"),
    ("legal_words_are_actions", stepping(illegal=True), "called illegal at step 1"),
    ("players_stop_by_the_limit", changed(step=endless), "goes on after 7 steps"),
    ("players_stop_by_the_limit", changed(step=late), "took 7 steps"),
    ("nothing_goes_on_after_the_end", changed(step=going_on), "after the end of an episode was taken"),
    ("nothing_goes_on_after_the_end", changed(step=crashing_at_the_end), "raised IndexError"),
    ("illegal_words_are_answered", changed(step=raising), "KeyError"),
    ("illegal_words_are_answered", changed(step=generous), "as many illegal words did not end the episode"),
    ("illegal_words_are_answered", stepping(illegal=False), "was not called illegal"),
    ("a_seed_is_an_episode", changed(reset=unseeded), "with seed 2 two environments differ: signals of step 1"),
    ("a_seed_is_an_episode", changed(reset=carrying_on), "differ"),
    ("a_snapshot_is_a_moment", changed(snapshot=rolling), "taking a snapshot changed what follows"),
    ("a_snapshot_is_a_moment", changed(restore=blind), "what is seen first is"),
    ("a_snapshot_is_a_moment", changed(restore=without_chance), "what follows differs from a snapshot"),
    ("a_snapshot_is_a_moment", changed(restore=at_home, snapshot=remembered), "what follows in another environment differs"),
    ("a_snapshot_is_a_moment", Alive, "going back to a snapshot of seed 0 and on raised UserError"),
]


@pytest.mark.parametrize(("promise", "bad", "says"), BAD)
def test_a_broken_promise_is_caught(promise: str, bad: type[Dice], says: str):
    with pytest.raises(BrokenTextPromise, match=says) as caught:
        check_text_environment(bad)
    assert caught.value.promise == promise
    assert f"breaks the promise {promise!r}" in str(caught.value)


def test_a_member_that_is_missing_is_named():
    class Bare:
        name = "bare"

    with pytest.raises(BrokenTextPromise, match="it has no actions, instructions, legal, max_steps, reset") as caught:
        check_text_environment(Bare)  # type: ignore[arg-type]
    assert caught.value.promise == "has_every_member"


def test_one_environment_twice_is_no_second_one():
    class Once(Dice):
        """Like new where the check asks for a new one before the first reset."""

    made = Once()
    fresh = iter((made, Once(), Once(), made))
    with pytest.raises(BrokenTextPromise, match="the same environment twice"):
        check_text_environment(lambda: next(fresh))


def test_every_promise_is_broken_by_some():
    assert {promise for promise, _, _ in BAD} | {"has_every_member"} == set(PROMISES)


@pytest.mark.parametrize("options", [{"episodes": 0}, {"seed": -1}])
def test_what_is_refused(options: dict[str, int]):
    with pytest.raises(UserError, match="at least one episode, and a seed of 0 or more"):
        check_text_environment(Dice, **options)
