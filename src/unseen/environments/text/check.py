"""Does an environment in words keep the promises of `unseen.environments.text.contract`? Each is one small function in `PROMISES`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from unseen.environments.text.contract import TextEnvironment, TextObservation, TextStep
from unseen.errors import UserError

NONSENSE = ("", " ", "\n", "no such action", "\0", "🜂 ÿ İ", "-1", "no " * 2_000)
CONTINUATION = 50  # steps that are played again from a snapshot


class Broken(Exception):
    """A promise does not hold; the message says what was seen."""


class BrokenTextPromise(UserError):
    """An environment in words broke a promise of the contract; `promise` is its name in `PROMISES`."""

    def __init__(self, environment: str, promise: str, detail: str):
        super().__init__(f"{environment} breaks the promise {promise!r}: {detail}")
        self.promise = promise


class Turn(NamedTuple):
    """A moment of an episode, what was said at it, and what that led to: all as the environment gave it, of the right kind or not."""

    legal: Any
    signals: Any
    word: str
    step: Any


class Play(NamedTuple):
    """An episode by random legal words."""

    seed: int
    first: Any
    turns: list[Turn]

    @property
    def over(self) -> bool:
        return bool(self.turns) and bool(self.turns[-1].step.terminated or self.turns[-1].step.truncated)


def check_text_environment(
    factory: Callable[[], TextEnvironment], *, episodes: int = 3, seed: int = 0, words: Sequence[str] = ("look", "help")
) -> None:
    """Check an environment in words against the contract, with random legal words and with nonsense.

    Every episode is played to its end, and about six times. Whether two processes agree is not looked at: run a script in two.

    Args:
        factory: makes the environment; it is called more than once, and each must be one of its own.
        episodes: how many seeds.
        seed: the first of them.
        words: what is said where `legal` names nothing, in an environment whose `actions` are open, that is none.

    Raises:
        BrokenTextPromise: the first promise that does not hold, by name, with what was seen.
    """
    if episodes < 1 or seed < 0:
        raise UserError(f"episodes = {episodes}, seed = {seed}: give at least one episode, and a seed of 0 or more")
    subject = _Subject(factory, episodes, seed, tuple(words))
    name = type(subject.environment).__name__
    for promise, check in PROMISES.items():
        try:
            check(subject)
        except Broken as broken:
            raise BrokenTextPromise(name, promise, str(broken)) from None
        except Exception as error:
            raise BrokenTextPromise(name, promise, f"{type(error).__name__}: {error}") from error


@dataclass(frozen=True)
class _Subject:
    """The environment, and episodes of it that several checks look at."""

    factory: Callable[[], Any]  # whether it makes a TextEnvironment is the first thing to be checked
    episodes: int
    seed: int
    words: tuple[str, ...]

    @cached_property
    def environment(self) -> Any:
        return self.factory()

    @cached_property
    def plays(self) -> list[Play]:
        return [self.play(self.environment, seed) for seed in range(self.seed, self.seed + self.episodes)]

    def play(self, environment: Any, seed: int) -> Play:
        """An episode, at most one step longer than allowed, or as far as there is something to say."""
        generator, turns = np.random.default_rng(seed), []
        play = Play(seed, environment.reset(seed), turns)
        while not play.over and len(turns) <= environment.max_steps:
            legal = environment.legal()
            choice = legal or (() if environment.actions else self.words)
            if not choice:
                break
            turns.append(_turn(environment, choice[int(generator.integers(len(choice)))]))
        return play

    def moments(self) -> Iterator[tuple[str, Turn]]:
        """Every step of every episode, and where that was."""
        for play in self.plays:
            for t, turn in enumerate(play.turns):
                yield f"at step {t + 1} of seed {play.seed}", turn


def _turn(environment: Any, word: str) -> Turn:
    legal, signals = environment.legal(), environment.signals()
    return Turn(legal, signals, word, environment.step(word))


# ---- the promises, in the order they are checked -----------------------------------------------------------------------


def has_every_member(subject: _Subject) -> None:
    members = [m for m in dir(TextEnvironment) if not m.startswith("_")]
    if missing := [m for m in members if not hasattr(subject.environment, m)]:
        raise Broken(f"it has no {', '.join(missing)}")


def settings_are_words_and_a_limit(subject: _Subject) -> None:
    environment = subject.environment
    for field in ("name", "instructions"):
        _require_text(field, getattr(environment, field))
    actions = environment.actions
    if not isinstance(actions, tuple) or not all(isinstance(word, str) and word.strip() for word in actions):
        raise Broken(f"actions are {actions!r:.200}; give a tuple of words, none of them blank")
    if len(set(actions)) < len(actions):
        raise Broken(f"actions name {next(w for w in actions if actions.count(w) > 1)!r} more than once")
    if type(environment.max_steps) is not int or environment.max_steps < 1:
        raise Broken(f"max_steps is {environment.max_steps!r}; give a whole number, 1 or more")


def nothing_goes_on_before_the_first_reset(subject: _Subject) -> None:
    _require_refused("before the first reset", subject.factory(), subject)


def observations_are_texts(subject: _Subject) -> None:
    for play in subject.plays:
        _require_observation(f"at the start of seed {play.seed}", play.first)
    for where, turn in subject.moments():
        if not isinstance(turn.step, TextStep):
            raise Broken(f"step gave a {type(turn.step).__name__} {where}; give a TextStep")
        _require_observation(where, turn.step.observation)


def rewards_events_and_flags_are_what_they_should_be(subject: _Subject) -> None:
    for where, turn in subject.moments():
        step = turn.step
        for field in ("terminated", "truncated", "illegal"):
            if not isinstance(getattr(step, field), bool):
                raise Broken(f"{field} is {getattr(step, field)!r} {where}; give True or False")
        if not isinstance(step.reward, int | float) or not math.isfinite(step.reward):
            raise Broken(f"the reward is {step.reward!r} {where}; give a finite number")
        if not isinstance(step.events, tuple) or not all(isinstance(event, str) and event for event in step.events):
            raise Broken(f"events are {step.events!r:.200} {where}; give a tuple of texts")


def terminated_and_truncated_are_kept_apart(subject: _Subject) -> None:
    for where, turn in subject.moments():
        if turn.step.terminated and turn.step.truncated:
            raise Broken(f"both are true {where}; an episode that ends by itself was not cut")


def progression_is_a_share(subject: _Subject) -> None:
    for where, turn in subject.moments():
        progression = turn.step.progression
        if not isinstance(progression, int | float) or not 0.0 <= progression <= 1.0:
            raise Broken(f"progression is {progression!r} {where}; give a number from 0 to 1")


def signals_are_texts(subject: _Subject) -> None:
    for where, turn in subject.moments():
        if not isinstance(turn.signals, Mapping):
            raise Broken(f"signals are a {type(turn.signals).__name__} before the step {where}; give texts by name")
        for name, text in turn.signals.items():
            if not isinstance(name, str) or not isinstance(text, str):
                raise Broken(f"signal {name!r} is {text!r:.80} before the step {where}; give a text")


def legal_words_are_actions(subject: _Subject) -> None:
    """Before the end there is something to say, and nobody who says it is told that it is illegal."""
    environment = subject.environment
    for play in subject.plays:
        if not play.over and len(play.turns) < environment.max_steps:
            raise Broken(f"nothing is legal after {len(play.turns)} steps of seed {play.seed}, and the episode goes on")
    for where, turn in subject.moments():
        if not isinstance(turn.legal, tuple) or not all(isinstance(word, str) for word in turn.legal):
            raise Broken(f"legal() is {turn.legal!r:.200} before the step {where}; give a tuple of words")
        if environment.actions and (alien := set(turn.legal) - set(environment.actions)):
            raise Broken(f"legal() names {sorted(alien)[0]!r} before the step {where}, which is none of the actions")
        if turn.step.illegal and turn.word in turn.legal:
            raise Broken(f"{turn.word!r} was called illegal {where}, and legal() names it")


def players_stop_by_the_limit(subject: _Subject) -> None:
    for play in subject.plays:
        if not play.over:
            raise Broken(f"max_steps is {subject.environment.max_steps}, and seed {play.seed} goes on after {len(play.turns)} steps")
        if len(play.turns) > subject.environment.max_steps:
            raise Broken(f"max_steps is {subject.environment.max_steps}, and seed {play.seed} took {len(play.turns)} steps")


def nothing_goes_on_after_the_end(subject: _Subject) -> None:
    environment = subject.factory()
    subject.play(environment, subject.seed)
    _require_refused("after the end of an episode", environment, subject)


def illegal_words_are_answered(subject: _Subject) -> None:
    """Nonsense never raises, is called illegal unless the actions are open, and takes a step."""
    environment = subject.environment
    environment.reset(subject.seed)
    for t in range(environment.max_steps):
        word = NONSENSE[t % len(NONSENSE)]
        legal = environment.legal()
        step = environment.step(word)
        if not isinstance(step, TextStep):
            raise Broken(f"{word!r:.40} was answered with a {type(step).__name__}; give a TextStep")
        _require_observation(f"after {word!r:.40}", step.observation)
        known = {each.strip().casefold() for each in (*legal, *environment.actions)}
        if environment.actions and not step.illegal and word.strip().casefold() not in known:
            raise Broken(f"{word!r:.40} is none of the actions and was not called illegal")
        if step.terminated or step.truncated:
            return
    raise Broken(f"max_steps is {environment.max_steps}, and as many illegal words did not end the episode")


def a_seed_is_an_episode(subject: _Subject) -> None:
    """In another environment, and in the same after other episodes."""
    other = subject.factory()
    if other is subject.environment:
        raise Broken("factory gave the same environment twice; give a new one each time")
    for which, environment in (("two environments", other), ("two turns of one environment", subject.environment)):
        for play in reversed(subject.plays):
            _require_same(f"with seed {play.seed} {which} differ", play, subject.play(environment, play.seed))


def a_snapshot_is_a_moment(subject: _Subject) -> None:
    """What follows is the same each time, here and in another environment, whatever has been done in between."""
    other = subject.factory()
    for play in subject.plays:
        for cut in sorted({0, len(play.turns) // 2, len(play.turns) - 1}):
            environment, words = subject.environment, [turn.word for turn in play.turns]
            environment.reset(play.seed)
            for word in words[:cut]:
                environment.step(word)
            moment = environment.snapshot()
            seen = play.turns[cut - 1].step.observation if cut else play.first
            rest = words[cut : cut + CONTINUATION]
            expected = Play(play.seed, seen, play.turns[cut : cut + CONTINUATION])
            where = f"from a snapshot after {cut} steps of seed {play.seed}"
            followed = Play(play.seed, seen, [_turn(environment, word) for word in rest])
            _require_same(f"taking a snapshot changed what follows {where}", expected, followed)
            other.reset(play.seed + 1)  # another episode is under way there
            for which, chosen in (("what follows differs", environment), ("what follows differs the second time", environment)):
                _require_same(f"{which} {where}", expected, _again(chosen, moment, play.seed, rest))
            _require_same(f"what follows in another environment differs {where}", expected, _again(other, moment, play.seed, rest))


def _again(environment: Any, moment: Any, seed: int, words: Sequence[str]) -> Play:
    try:
        return Play(seed, environment.restore(moment), [_turn(environment, word) for word in words])
    except Exception as error:
        raise Broken(f"going back to a snapshot of seed {seed} and on raised {type(error).__name__}: {error}") from error


PROMISES: Mapping[str, Callable[[_Subject], None]] = {
    promise.__name__: promise
    for promise in (
        has_every_member,
        settings_are_words_and_a_limit,
        nothing_goes_on_before_the_first_reset,
        observations_are_texts,
        rewards_events_and_flags_are_what_they_should_be,
        terminated_and_truncated_are_kept_apart,
        progression_is_a_share,
        signals_are_texts,
        legal_words_are_actions,
        players_stop_by_the_limit,
        nothing_goes_on_after_the_end,
        illegal_words_are_answered,
        a_seed_is_an_episode,
        a_snapshot_is_a_moment,
    )
}


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _require_text(what: str, text: Any) -> None:
    if not _is_text(text) or not text.strip():
        raise Broken(f"{what} is {text!r:.80}; give a text that says something")


def _require_observation(where: str, observation: Any) -> None:
    if not isinstance(observation, TextObservation):
        raise Broken(f"the observation {where} is a {type(observation).__name__}; give a TextObservation")
    _require_text(f"the long-term observation {where}", observation.long_term)
    if not _is_text(observation.short_term):
        raise Broken(f"the short-term observation {where} is {observation.short_term!r:.80}; give a text, which may be empty")


def _require_refused(when: str, environment: Any, subject: _Subject) -> None:
    word = (*environment.actions, *subject.words, "look")[0]
    try:
        environment.step(word)
    except UserError:
        return
    except Exception as error:
        raise Broken(f"a step {when} raised {type(error).__name__} ({error}); raise a UserError that says what to do") from error
    raise Broken(f"a step {when} was taken; raise a UserError that says what to do")


def _require_same(what: str, one: Play, two: Play) -> None:
    if one.first != two.first:
        raise Broken(f"{what}: what is seen first is {one.first.text!r:.200} in one and {two.first.text!r:.200} in the other")
    for t, (a, b) in enumerate(zip(one.turns, two.turns, strict=False)):  # the shorter one has ended
        for field in Turn._fields:
            if getattr(a, field) != getattr(b, field):
                raise Broken(
                    f"{what}: {field} of step {t + 1} is {getattr(a, field)!r:.200} in one and {getattr(b, field)!r:.200} in the other"
                )
    if len(one.turns) != len(two.turns):
        raise Broken(f"{what}: one has {len(one.turns)} steps and the other {len(two.turns)}")
