"""Any Gymnasium environment that is played in words, as a text environment."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import gymnasium

from unseen.environments.text.contract import TextObservation, TextStep
from unseen.errors import UserError, unknown

# What gymnasium.make puts around an environment. The step limit, the order of calls and illegal actions are kept track of here.
MADE = (gymnasium.wrappers.TimeLimit, gymnasium.wrappers.OrderEnforcing, gymnasium.wrappers.PassiveEnvChecker)

Game = gymnasium.Env[Any, Any]
Describe = Callable[[Any, Mapping[str, Any], Game], str | TextObservation]


class GymnasiumTurn(NamedTuple):
    """What the game has answered, for those who judge it.

    Attributes:
        action: the word that was acted on; empty at the start of an episode.
        observation: the game's own.
        reward: of this step; 0 at the start.
        terminated: whether the episode ended by itself.
        truncated: whether the game or the step limit cut it.
        info: the game's own.
        environment: the game.
    """

    action: str
    observation: Any
    reward: float
    terminated: bool
    truncated: bool
    info: Mapping[str, Any]
    environment: Game


class Status(NamedTuple):
    """An episode at one time, but for the game."""

    told: TextObservation
    notice: str  # that answers an illegal action
    legal: tuple[str, ...]
    steps: int
    progression: float
    over: bool


class Moment(NamedTuple):
    """An episode at one time."""

    settings: tuple[Any, ...]
    status: Status
    saved: Any


class GymnasiumText:
    """A game whose observations and actions are texts, or can be told and named.

    A word that is no legal action is answered, counts as a step and never raises: nothing is done, or what `default` names. In a game that
    reads any text, what lies in its action space goes to the game, which answers it; it is `illegal` where words are named and it is none.
    """

    def __init__(
        self,
        environment: Game,
        *,
        name: str,
        instructions: str,
        max_steps: int | None = None,
        describe: Describe | None = None,
        actions: Sequence[str] | Mapping[str, int] | None = None,
        default: str | None = None,
        progression: Callable[[GymnasiumTurn], float] | None = None,
        signals: Callable[[Game], Mapping[str, str]] | None = None,
        events: Callable[[GymnasiumTurn], Iterable[str]] | None = None,
        legal: Callable[[Mapping[str, Any], Game], Iterable[str]] | None = None,
        save: Callable[[Game], Any] | None = None,
        load: Callable[[Game, Any], None] | None = None,
    ):
        """
        Args:
            environment: the game, reseeded by every `reset`. The wrappers that `gymnasium.make` adds are taken off; all others stay.
            name: of the environment.
            instructions: the task, its rules and its actions, for somebody who has never seen it.
            max_steps: after which the episode is cut; illegal words count. Left out, what the game was registered with.
            describe: an observation in words, from it, the game's info and the game. It can be left out where the observation space is
                Text, or a Dict with one Text.
            actions: the word of each number of a Discrete action space, in order, or numbers by word, where not all are to be used; of a
                Text space, what may be said, or nothing where that is open. Case and blanks at the ends of what is said do not matter.
            default: the action that is done instead of an illegal one; left out, nothing is done.
            progression: from 0 to 1, how much of the task has been done; left out, always 0.
            signals: what is hidden, in words, by name; left out, nothing.
            events: what a plan may have to answer to; left out, nothing.
            legal: the words that are legal now, from the game's info and the game; left out, all `actions`.
            save: a copy of the state of the game, its generators included, that nothing done later changes; with `load`. Left out, the
                whole game is copied with `copy.deepcopy`.
            load: puts the game into a state that `save` gave, as often as one likes.

        Raises:
            UserError: a space that is neither words nor told in words, words that are missing, doubled or blank, or no step limit.
        """
        limit = max_steps if max_steps is not None else environment.spec.max_episode_steps if environment.spec else None
        if limit is None:
            raise UserError(f"{name} was registered without a step limit; give max_steps, 1 or more")
        if type(limit) is not int or limit < 1:
            raise UserError(f"max_steps = {limit!r} of {name} must be a whole number, 1 or more")
        if not instructions.strip():
            raise UserError(f"instructions of {name} are empty; say what the task is, its rules and its actions")
        if (save is None) != (load is None):
            raise UserError(f"{name} has {'load' if save is None else 'save'} alone; give both save and load, or neither")
        self._environment = _bare(environment)
        self._text = isinstance(environment.action_space, gymnasium.spaces.Text)
        self._numbers = _numbers(environment.action_space, actions, name)
        self._spelling = _spelling(tuple(self._numbers) if not self._text else tuple(actions or ()), name)
        self._actions = tuple(self._spelling.values())
        if default is not None and _plain(default) not in self._spelling:
            raise unknown(f"default action of {name}", default, self._actions)
        self._default = None if default is None else self._spelling[_plain(default)]
        self._describe = describe or _describer(environment.observation_space, name)
        self._progression, self._signals, self._events, self._legal = progression, signals, events, legal
        self._save, self._load = save, load
        self._name, self._instructions, self._max_steps = name, instructions, limit
        self._status: Status | None = None

    @property
    def name(self) -> str:
        return self._name

    @property
    def actions(self) -> tuple[str, ...]:
        """None where any text may be said."""
        return self._actions

    @property
    def max_steps(self) -> int:
        return self._max_steps

    @property
    def instructions(self) -> str:
        return self._instructions

    @property
    def environment(self) -> Game:
        """The game as it is now; after `restore` it may be another object than before."""
        return self._environment

    def reset(self, seed: int) -> TextObservation:
        if seed < 0:
            raise UserError(f"seed = {seed} of {self._name} must be 0 or more")
        observation, info = self._environment.reset(seed=seed)
        turn = GymnasiumTurn("", observation, 0.0, False, False, info, self._environment)
        self._status = Status(self._told(turn), "", self._allowed(info), 0, self._progress(turn), False)
        return self._seen(self._status)

    def step(self, action: str) -> TextStep:
        now = self._now()
        if now.over:
            raise UserError("the episode is over; begin another with reset(seed)")
        word, illegal = self._understood(action, now.legal)
        steps = now.steps + 1
        if word is None:
            over = steps >= self._max_steps
            self._status = now._replace(notice="Your last output was not one of the actions; nothing was done.", steps=steps, over=over)
            return TextStep(self._seen(self._status), 0.0, False, over, True, (), now.progression)
        played = self._environment.step(word if self._text else self._numbers[word])
        observation, reward, terminated, cut, info = played
        truncated = not terminated and (bool(cut) or steps >= self._max_steps)
        turn = GymnasiumTurn(word, observation, float(reward), bool(terminated), truncated, info, self._environment)
        replaced = illegal and word == self._default and _plain(action) != _plain(word)
        notice = f"Your last output was not one of the actions; {word!r} was done instead." if replaced else ""
        over = turn.terminated or truncated
        self._status = Status(self._told(turn), notice, self._allowed(info), steps, self._progress(turn), over)
        events = tuple(self._events(turn)) if self._events else ()
        return TextStep(self._seen(self._status), turn.reward, turn.terminated, truncated, illegal, events, self._status.progression)

    def legal(self) -> tuple[str, ...]:
        """The words that are legal actions now; none where any text may be said and nothing names some."""
        return self._now().legal

    def snapshot(self) -> Moment:
        """Raises:
        UserError: the game can neither be copied nor saved.
        """
        return Moment(self._settings, self._now(), self._kept())

    def restore(self, snapshot: Moment) -> TextObservation:
        """Raises:
        UserError: a moment of an environment with other settings.
        """
        if snapshot.settings != self._settings:
            raise UserError(
                f"the moment is of {snapshot.settings[0]!r} with max_steps = {snapshot.settings[1]} and actions {snapshot.settings[2]}; "
                f"this is {self._name!r} with max_steps = {self._max_steps} and actions {self._actions}, and both must have the same"
            )
        if self._load:
            self._load(self._environment, snapshot.saved)
        else:
            self._environment = copy.deepcopy(snapshot.saved)  # a copy again: one may come back more than once
        self._status = snapshot.status
        return self._seen(snapshot.status)

    def signals(self) -> Mapping[str, str]:
        self._now()
        return dict(self._signals(self._environment)) if self._signals else {}

    @property
    def _settings(self) -> tuple[Any, ...]:
        return self._name, self._max_steps, self._actions, self._save is None

    def _now(self) -> Status:
        if self._status is None:
            raise UserError("there is no episode yet; begin one with reset(seed)")
        return self._status

    def _kept(self) -> Any:
        way = "copied with copy.deepcopy" if self._save is None else "saved with its save"
        try:
            return copy.deepcopy(self._environment) if self._save is None else self._save(self._environment)
        except Exception as error:  # whatever a game is made of may refuse in its own way
            raise UserError(
                f"{self._name} cannot be {way} ({type(error).__name__}: {error}), so that there is no snapshot of it; give "
                "GymnasiumText functions save(environment) and load(environment, saved) that can, or play it without snapshots"
            ) from error

    def _understood(self, action: str, legal: tuple[str, ...]) -> tuple[str | None, bool]:
        """The word that goes to the game, if any does, and whether what was said is illegal."""
        said = _plain(action)
        allowed = said in map(_plain, legal)
        if not self._text:
            return (self._spelling[said], False) if allowed and said in self._spelling else (self._default, True)
        # A legal word may lie outside of `actions`, and is said as it is spelled.
        word = next((known for known in (*self._actions, *legal) if _plain(known) == said), action.strip())
        if not self._environment.action_space.contains(word):
            return self._default, True
        return word, bool(legal) and not allowed

    def _allowed(self, info: Mapping[str, Any]) -> tuple[str, ...]:
        return self._actions if self._legal is None else tuple(self._legal(info, self._environment))

    def _told(self, turn: GymnasiumTurn) -> TextObservation:
        told = self._describe(turn.observation, turn.info, turn.environment)
        if isinstance(told, TextObservation):
            return told
        if not isinstance(told, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UserError(f"an observation of {self._name} was described as {told!r:.80}; describe must give a text or a TextObservation")
        return TextObservation(told)

    def _progress(self, turn: GymnasiumTurn) -> float:
        progress = float(self._progression(turn)) if self._progression else 0.0
        if not 0.0 <= progress <= 1.0:
            raise UserError(f"progression of {self._name} gave {progress}; it must be from 0 to 1")
        return progress

    def _seen(self, status: Status) -> TextObservation:
        if not status.notice:
            return status.told
        return status.told._replace(long_term=f"{status.notice}\n\n{status.told.long_term}")


def _plain(word: str) -> str:
    return word.strip().casefold()


def _bare(environment: Game) -> Game:
    while isinstance(environment, gymnasium.Wrapper) and type(environment) in MADE:
        environment = environment.env
    return environment


def _numbers(space: gymnasium.Space[Any], actions: Sequence[str] | Mapping[str, int] | None, name: str) -> Mapping[str, int]:
    """Of every word the number it stands for; nothing where the game reads texts."""
    if isinstance(space, gymnasium.spaces.Text):
        if isinstance(actions, Mapping):
            raise UserError(f"actions of {name} give numbers, and its action space is {space}, which reads texts; give words alone")
        return {}
    if not isinstance(space, gymnasium.spaces.Discrete):
        raise UserError(f"the action space of {name} is {space}; it must be Discrete or Text: put a wrapper around it that makes it one")
    first, count = int(space.start), int(space.n)
    if not actions:
        raise UserError(f"the actions of {name} are {count} numbers; give actions, the word of each")
    if isinstance(actions, Mapping):
        for word, number in actions.items():
            if not first <= number < first + count:
                raise UserError(f"action {word!r} of {name} stands for {number}; it must be from {first} to {first + count - 1}")
        return actions
    if len(actions) != count:
        raise UserError(
            f"{name} has {count} actions, and {len(actions)} words for them; give one for each, or a mapping of words to numbers"
        )
    _spelling(tuple(actions), name)  # before a word that is there twice gets lost
    return {word: first + i for i, word in enumerate(actions)}


def _spelling(words: tuple[str, ...], name: str) -> Mapping[str, str]:
    """Of every word, without case, how it is spelled."""
    found: dict[str, str] = {}
    for word in words:
        key = _plain(word)
        if not key or word != word.strip():
            raise UserError(f"action {word!r} of {name} must be a word without blanks at its ends")
        if key in found:
            raise UserError(f"actions {found[key]!r} and {word!r} of {name} are the same but for case; give each a word of its own")
        found[key] = word
    return found


def _describer(space: gymnasium.Space[Any], name: str) -> Describe:
    """How observations are told that are texts already."""
    if isinstance(space, gymnasium.spaces.Text):
        return lambda observation, info, environment: observation
    if isinstance(space, gymnasium.spaces.Dict):
        texts = [key for key, inner in space.spaces.items() if isinstance(inner, gymnasium.spaces.Text)]
        if len(texts) == 1:
            return lambda observation, info, environment: observation[texts[0]]
    raise UserError(
        f"the observation space of {name} is {space}, and neither Text nor a Dict with one Text; "
        "give describe(observation, info, environment)"
    )
