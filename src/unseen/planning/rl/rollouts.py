"""Playing: many episodes at once, which go on from rollout to rollout, one call of the model for all of them."""

from __future__ import annotations

import copy
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from unseen.environments.text.contract import TextEnvironment
from unseen.errors import UserError, unknown
from unseen.planning.agent import Agent
from unseen.planning.models.contract import Message
from unseen.planning.models.local import LocalModel
from unseen.planning.play import answers
from unseen.planning.prompts import Turn
from unseen.planning.rl.critic import context
from unseen.planning.rl.prices import priced
from unseen.planning.rl.samples import Sample, Speech, sample
from unseen.planning.rl.settings import RL
from unseen.planning.slot import Slot
from unseen.planning.steps import NO_ACTION, AskHuman, Live, ask, begin, take

PRICES = 2  # marks the draws of prices: no others give the same
APART = 1_000_000  # seeds of episodes that a training has for itself; so many trainings have seeds of their own
TRAININGS = 1_000


class Move(NamedTuple):
    """A step of an environment, and what it brought.

    Attributes:
        sample: what was read and written.
        context: what the critic reads of the state.
        reward: prices taken off, scaled.
        terminated: whether the episode ended by itself.
        after: where it was cut, by the step limit or the end of the rollout: what the critic reads of the state behind it.
        planned, plan_tokens, output_tokens: for the curves.
    """

    sample: Sample
    context: tuple[int, ...]
    reward: float
    terminated: bool
    after: tuple[int, ...] | None
    planned: bool
    plan_tokens: int
    output_tokens: int


class Ended(NamedTuple):
    """An episode that has ended: the environment's own return, progression, price, steps, and how many of them planned."""

    episode_return: float
    score: float
    price: float
    steps: int
    planned: int
    plan_tokens: int


@dataclass
class Track:
    """A place in which one episode follows the other.

    Attributes:
        number: among all.
        live: the episode.
        price: of a plan's token in it; its place among the prices.
        begun: episodes so far, the present one included.
        actions: that were taken in it.
        total, planned: so far.
        score: the last progression.
    """

    number: int
    live: Live
    price: int
    begun: int
    actions: list[str] = field(default_factory=list)
    total: float = 0.0
    planned: int = 0
    score: float = 0.0


class Rollout(NamedTuple):
    """What was played.

    Attributes:
        moves: by track, in the order of time.
        ended: the episodes that ended.
        generation_s, environment_s: seconds.
    """

    moves: dict[int, list[Move]]
    ended: list[Ended]
    generation_s: float
    environment_s: float


class Rollouts:
    """The tracks of this process."""

    def __init__(
        self,
        agent: Agent,
        model: LocalModel,
        environment: TextEnvironment,
        settings: RL,
        signals: Sequence[str],
        numbers: Sequence[int],
        ask_human: AskHuman | None = None,
    ):
        """
        Args:
            agent: who plays; its model is who writes.
            model: that is trained.
            environment: copied for every track.
            settings: of the training.
            signals: names of what the critic is told.
            numbers: of the tracks.
            ask_human: see `evaluate`.

        Raises:
            UserError: a signal that the environment does not have.
        """
        self.settings, self.model, self.speech, self.signals = settings, model, Speech.of(model), tuple(signals)
        told = [replace(agent, prompts=priced(agent.wording, price)) for price in settings.prices] if settings.told else [agent]
        self.agents, self._ask_human = told, ask_human
        self.tracks = [self._track(copy.deepcopy(environment), number, 0) for number in numbers]
        for name in signals:
            known = self.tracks[0].live.environment.signals()
            if name not in known:
                raise unknown(f"signal of {environment.name}", name, known)

    def _track(self, environment: TextEnvironment, number: int, begun: int) -> Track:
        """The next episode of a track. Its seed, and with several prices its own, follow from its number and how many came before; what is
        drawn in it follows from the training's seed too, of which a replicate has the place."""
        live, group = self.settings.live, self.settings.group
        first = self.settings.first_seed + APART * (self.settings.seed % TRAININGS)
        if self.settings.critic:
            seed, replicate, groups = first + number + live * begun, self.settings.seed, number
        else:
            groups = number // group
            seed, replicate = first + groups + live // group * begun, self.settings.seed * group + number % group
        draws = np.random.default_rng((self.settings.seed, groups, begun, PRICES))
        price = int(draws.integers(len(self.settings.prices)))
        episode = begin(self.agents[price], environment, seed)
        episode.replicate = replicate
        return Track(number, episode, price, begun + 1)

    def play(self) -> Rollout:
        """A rollout: so many steps of every track; with group advantages one episode of each."""
        self.model.forget()  # the weights have changed; a run that goes on from a checkpoint has nothing read either
        moves: dict[int, list[Move]] = {track.number: [] for track in self.tracks}
        ended: list[Ended] = []
        spent = np.zeros(2)
        if self.settings.critic:
            for _ in range(self.settings.steps):
                spent += self._step(self.tracks, moves, ended)
            last = {track.number: moves[track.number][-1] for track in self.tracks}
            going = [track for track in self.tracks if not last[track.number].terminated and last[track.number].after is None]
            self._cut(going, moves)
        else:
            going = list(self.tracks)
            while going:
                before = {track.number: track.begun for track in going}
                spent += self._step(going, moves, ended)
                going = [track for track in going if track.begun == before[track.number]]
        return Rollout(moves, ended, *spent)

    def _step(self, tracks: Sequence[Track], moves: dict[int, list[Move]], ended: list[Ended]) -> np.ndarray:
        """One step of these tracks; seconds of generation and of all else."""
        begun = time.perf_counter()
        asked = [ask(self.agents[track.price], track.live, self._ask_human) for track in tracks]
        hidden = [self._hidden(track) for track in tracks]  # before anything is written
        held = [(track.live.slot, track.live.step) for track in tracks]
        asking = time.perf_counter()
        came = answers(self.agents[0], asked, tracks[0].live.environment.actions)
        answered = time.perf_counter()
        cut: list[Track] = []
        for track, request, completion, told, (slot, at) in zip(tracks, asked, came, hidden, held, strict=True):
            if completion.finish_reason == "failed":
                raise UserError(f"a rollout ended because nothing was written: {completion.error}")
            one = sample(self.speech, request, completion, slot, at)
            step = take(self.agents[track.price], track.live, request, completion, 0.0, 0.0)
            assert step is not None
            row = track.live.record.pop()
            track.live.observations.clear()
            accounts = row["accounts"]
            price = self.settings.prices[track.price]
            reward = step.reward - price * accounts["plan_tokens"] - self.settings.illegal_price * step.illegal
            moves[track.number].append(
                Move(
                    one,
                    context(self.model, one.prompt, told) if self.settings.critic else (),
                    self.settings.reward_scale * reward,
                    step.terminated,
                    None,
                    bool(accounts["planned"]),
                    int(accounts["plan_tokens"]),
                    len(one.output),
                )
            )
            track.actions.append(row["action"])
            track.total += step.reward
            track.planned += bool(accounts["planned"])
            track.score = step.progression
            if step.truncated:
                cut.append(track)
        if self.settings.critic:
            self._cut(cut, moves)
        for track in tracks:
            if track.live.over:
                self._next(track, ended)
        return np.array([answered - asking, time.perf_counter() - begun - (answered - asking)])

    def told(self) -> dict[str, str]:
        """What the critic is told at the beginning, of all tracks together, by name."""
        known = [self._hidden(track) for track in self.tracks]
        return {name: " ".join(one[name] for one in known) for name in self.signals}

    def _next(self, track: Track, ended: list[Ended]) -> None:
        """End an episode and begin another."""
        live = track.live
        price = self.settings.prices[track.price]
        ended.append(Ended(track.total, track.score, price, live.step, track.planned, live.plan_tokens))
        fresh = self._track(live.environment, track.number, track.begun)
        vars(track).update(vars(fresh))

    def _hidden(self, track: Track) -> Mapping[str, str]:
        """What the critic is told of a track's state."""
        if not self.signals:
            return {}
        known = track.live.environment.signals()
        return {name: known[name] for name in self.signals}

    def _cut(self, tracks: Sequence[Track], moves: dict[int, list[Move]]) -> None:
        """Note what the critic reads of the states that these tracks have come to."""
        read = self.model.read([self._prompt(track) for track in tracks])
        for track, prompt in zip(tracks, read, strict=True):
            after = context(self.model, prompt, self._hidden(track))
            moves[track.number][-1] = moves[track.number][-1]._replace(after=after)

    def _prompt(self, track: Track) -> list[Message]:
        """What the actor will be asked next, as the schedule decides from seed and step; a person is not asked for it."""
        return ask(self.agents[track.price], track.live, lambda *_: None).prompt

    # --- what a checkpoint holds of it: an episode is its seed, its actions, and the slot; the rest is played again

    def state(self) -> list[dict[str, Any]]:
        """The tracks, in JSON."""
        return [
            {
                "number": track.number,
                "begun": track.begun,
                "actions": list(track.actions),
                "slot": {**track.live.slot._asdict(), "held_until": str(track.live.slot.held_until)},
                "plan_tokens": track.live.plan_tokens,
                "total": track.total,
                "planned": track.planned,
                "score": track.score,
            }
            for track in self.tracks
        ]

    def restore(self, state: Sequence[Mapping[str, Any]]) -> None:
        """Play the tracks back to where they were."""
        said = {one["number"]: one for one in state}
        self.tracks = [self._played_back(track.live.environment, said[track.number]) for track in self.tracks]

    def _played_back(self, environment: TextEnvironment, said: Mapping[str, Any]) -> Track:
        track = self._track(environment, said["number"], said["begun"] - 1)
        live, agent = track.live, self.agents[track.price]
        live.past = deque(maxlen=agent.history - 1)
        for action in said["actions"]:
            step = environment.step(action)
            live.past.append(Turn(live.now.long_term, action or NO_ACTION))
            live.events, live.illegal, live.now = step.events, step.illegal, step.observation
            live.step += 1
        live.slot = Slot(**{**said["slot"], "held_until": float(said["slot"]["held_until"])})
        live.plan_tokens = said["plan_tokens"]
        track.actions, track.total, track.planned = list(said["actions"]), said["total"], said["planned"]
        track.score = said["score"]
        return track
