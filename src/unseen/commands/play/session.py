"""One person's game around an environment: episodes begun, acted in, scored and recorded. No server, no page, no clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from unseen.commands.play.recording import Folder
from unseen.commands.play.scores import Summary, summarise
from unseen.data import Episodes
from unseen.errors import UserError
from unseen.learning.levels import mixture

FASTEST = 60.0  # frames per second


@dataclass(frozen=True)
class Settings:
    """Attributes:

    level: of the environment.
    seed: with the number of an episode it decides everything that is drawn in it.
    player: who plays; recorded with every episode.
    episodes: after so many the session is over; None for no end.
    frames_per_second: time runs at that rate; 0 for a step at each key; None for the environment's own `frames_per_second`, or 0.
    reveal: show the state beside the observation; such episodes are recorded as revealed.
    """

    level: str = "train"
    seed: int = 0
    player: str = ""
    episodes: int | None = None
    frames_per_second: int | float | None = None
    reveal: bool = False

    def __post_init__(self) -> None:
        if self.episodes is not None and self.episodes < 1:
            raise UserError(f"episodes = {self.episodes} is not allowed; give 1 or more, or leave it out to play until Ctrl-C")
        rate = self.frames_per_second
        if rate is not None and not 0 <= rate <= FASTEST:
            raise UserError(f"frames_per_second = {rate} is not allowed; give a number up to {FASTEST:g}, or 0 for a step at each key")
        if not 0 <= self.seed < 2**32:
            raise UserError(f"seed = {self.seed} is not allowed; give a whole number from 0 to {2**32 - 1}")


class Stage(StrEnum):
    """Where the session stands; "ended" waits for the next episode to begin."""

    READY = "ready"
    PLAYING = "playing"
    ENDED = "ended"
    OVER = "over"


@dataclass(frozen=True)
class Keys:
    """The randomness of one episode: of its level's mixture, its reset, its steps (folded by t) and its signals (folded by t)."""

    level: PRNGKeyArray
    reset: PRNGKeyArray
    steps: PRNGKeyArray
    signals: PRNGKeyArray

    @classmethod
    def of(cls, seed: int, number: int) -> Keys:
        return cls(*jax.random.split(jax.random.fold_in(jax.random.key(seed), number), 4))


@dataclass
class Running:
    """The episode being played, and everything that is recorded of it."""

    number: int
    entry: int
    horizon: int
    keys: Keys
    state: Any
    mask: np.ndarray | None
    observations: list[Any]
    signals: list[Any]
    actions: list[int] = field(default_factory=list)
    rewards: list[np.float32] = field(default_factory=list)
    terminated: bool = False
    truncated: bool = False
    began: float = field(default_factory=time.monotonic)

    @property
    def step(self) -> int:
        return len(self.rewards)

    @property
    def score(self) -> float:
        return float(np.sum(self.rewards, dtype=np.float64))


class Session:
    """Play by `begin()` and `act(k)`, see where it stands in `stage`, `running` and `scores`; every finished episode is recorded at once.

    Args:
        environment: one of this package, with Discrete actions.
        settings: level, seed, player, ….
        folder: where episodes are recorded; without one they are kept in `finished`.

    Raises:
        UserError: a level the environment does not have, or actions that keys cannot play.
    """

    def __init__(self, environment: Any, settings: Settings, folder: Folder | None = None):
        self.environment, self.settings, self.folder = environment, settings, folder
        self.levels = mixture(environment, settings.level)
        space = environment.action_space(self.levels.entries[0])
        if not isinstance(space, gymnasium.spaces.Discrete):
            raise UserError(f"play needs Discrete actions, and those of {environment.name} are {' '.join(str(space).split())}")
        self.first_action, self.actions = int(space.start), int(space.n)
        self.references = environment.references(settings.level)
        self.scores: list[float] = []
        self.finished: list[Episodes] = []
        self.begun = 0
        self.running: Running | None = None
        self._unsaved: tuple[int, Episodes] | None = None
        self._reset, self._step = (_compiled(f, self.levels.entries) for f in (self._begin_of, self._step_of))
        self._warm_up()

    # --- playing

    @property
    def stage(self) -> Stage:
        if self.running is not None and not (self.running.terminated or self.running.truncated):
            return Stage.PLAYING
        if self.settings.episodes is not None and len(self.scores) >= self.settings.episodes and self._unsaved is None:
            return Stage.OVER
        return Stage.READY if self.running is None else Stage.ENDED

    def begin(self) -> None:
        """Reset the environment for the next episode.

        Raises:
            UserError: an episode is being played, all have been, or the last one can still not be written.
        """
        self.save()
        if self.stage not in (Stage.READY, Stage.ENDED):
            raise UserError("an episode is being played" if self.stage == Stage.PLAYING else "all episodes have been played")
        facts = {"player": self.settings.player, "level": self.settings.level, "seed": self.settings.seed}
        number = self.begun if self.folder is None else self.folder.claim(facts)
        keys = Keys.of(self.settings.seed, number)
        entry = int(self.levels.draw(keys.level))
        observation, state, mask, told = self._reset[entry](keys.reset, jax.random.fold_in(keys.signals, 0))
        self.begun += 1
        self.running = Running(number, entry, self.levels.horizons[entry], keys, state, _host(mask), [_host(observation)], [_host(told)])

    def act(self, action: int) -> None:
        """Take one step.

        Args:
            action: counted from 0.

        Raises:
            UserError: no episode is being played, the action does not exist or is not legal now, or a finished episode cannot be written.
        """
        now = self.running
        if now is None or self.stage != Stage.PLAYING:
            raise UserError("no episode is being played; begin one")
        if not 0 <= action < self.actions:
            raise UserError(f"action {action} does not exist; there are {self.actions}, counted from 0")
        if now.mask is not None and not now.mask[action]:
            raise UserError(f"action {action} is not legal now")
        t = now.step
        taken = jnp.int32(self.first_action + action)
        k_step, k_signals = jax.random.fold_in(now.keys.steps, t), jax.random.fold_in(now.keys.signals, t + 1)
        after, mask, told = self._step[now.entry](k_step, k_signals, now.state, taken)
        now.state, now.mask = after.state, _host(mask)
        now.observations.append(_host(after.observation))
        now.signals.append(_host(told))
        now.actions.append(self.first_action + action)
        now.rewards.append(np.float32(after.reward))
        now.terminated = bool(after.terminated)
        now.truncated = not now.terminated and now.step >= now.horizon
        if now.terminated or now.truncated:
            self.scores.append(now.score)
            self._unsaved = now.number, self._recorded(now)
            self.save()

    def save(self) -> None:
        """Record the finished episode that is not recorded yet, if there is one; it is kept where that fails."""
        if self._unsaved is not None:
            number, episode = self._unsaved
            self.finished.append(episode) if self.folder is None else self.folder.save(number, episode)
            self._unsaved = None

    # --- looking

    @property
    def summary(self) -> Summary:
        """Of the scores so far."""
        return summarise(self.scores, self.references)

    @property
    def frames_per_second(self) -> float:
        """Steps a second, 0 for a step at each key."""
        rate = self.settings.frames_per_second
        return float(rate if rate is not None else getattr(self.environment, "frames_per_second", None) or 0.0)

    # --- inside

    def _begin_of(self, k_reset: Any, k_signals: Any, params: Any) -> Any:
        observation, state = self.environment.reset(k_reset, params)
        return observation, state, self.environment.action_mask(state, params), self.environment.signals(k_signals, state, params)

    def _step_of(self, k_step: Any, k_signals: Any, state: Any, action: Any, params: Any) -> Any:
        after = self.environment.step(k_step, state, action, params)
        return after, self.environment.action_mask(after.state, params), self.environment.signals(k_signals, after.state, params)

    def _warm_up(self) -> None:
        """Compile before a person waits for it."""
        key = jax.random.key(0)
        for reset, step in zip(self._reset, self._step):
            _, state, _, _ = reset(key, key)
            jax.block_until_ready(step(key, key, state, jnp.int32(self.first_action)))

    def _recorded(self, now: Running) -> Episodes:
        stacked = jax.tree.map(lambda *rows: np.stack(rows), *now.observations)
        told = jax.tree.map(lambda *rows: np.stack(rows), *now.signals)
        info = {
            "environment": self.environment.name,
            "level": self.settings.level,
            "entry": now.entry,
            "seed": self.settings.seed,
            "number": now.number,
            "player": self.settings.player,
            "seconds": time.monotonic() - now.began,
            "frames_per_second": self.frames_per_second,
            "revealed": self.settings.reveal,
        }
        episode = {
            "observations": stacked,
            "actions": np.asarray(now.actions, np.int32),
            "rewards": np.asarray(now.rewards, np.float32),
            "terminated": now.terminated,
            "truncated": now.truncated,
            "signals": told,
            "info": info,
        }
        return Episodes.from_list([episode])


def _compiled(function: Callable[..., Any], entries: tuple[Any, ...]) -> list[Callable[..., Any]]:
    """`function(*arguments, params)` for each entry of a level: a single one's parameters are constants, several share a program."""
    if len(entries) == 1:
        return [jax.jit(lambda *arguments: function(*arguments, entries[0]))]
    program = jax.jit(function)
    arrays = [jax.tree.map(jnp.array, params) for params in entries]
    return [lambda *arguments, params=params: program(*arguments, params) for params in arrays]


def _host(tree: Any) -> Any:
    return jax.tree.map(np.asarray, tree)
