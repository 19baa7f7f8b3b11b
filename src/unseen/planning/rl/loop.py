"""Reinforcement of when to plan: play, look back, learn; resumable to the bit, in one process or several.

Source: Paglieri et al. 2025 for the stage, PPO from an SFT checkpoint with a possible price of plan tokens; nearly all else about their
training was not found, and is the specification's §11.4.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import polars as pl

from unseen.environments.text.contract import TextEnvironment
from unseen.environments.text.registry import make
from unseen.errors import UserError
from unseen.planning.agent import Agent
from unseen.planning.checkpoints import compare, recalled, resume, save
from unseen.planning.models.contract import LanguageModel
from unseen.planning.models.local import LocalModel
from unseen.planning.models.small import needed
from unseen.planning.prompts import Prompts
from unseen.planning.rl.batch import Learner, Seen, rows_of
from unseen.planning.rl.critic import TextCritic, Values, unknown_share
from unseen.planning.rl.identity import digest_of, settings_of
from unseen.planning.rl.passes import precisely
from unseen.planning.rl.prices import check_told
from unseen.planning.rl.processes import Processes, by_the_first, processes
from unseen.planning.rl.rollouts import Rollout, Rollouts
from unseen.planning.rl.settings import RL
from unseen.planning.rl.silence import in_words, stopped_planning
from unseen.planning.rl.tags import with_tags
from unseen.planning.rl.update import Diverged, Losses, kl_to_reference, learn
from unseen.planning.schedules import Schedule
from unseen.planning.steps import AskHuman
from unseen.planning.training import adapted, drawing

Say = Callable[[str], None]
FOREIGN, FOREIGN_ROUNDED = 0.05, 0.2  # mean difference of log-probabilities between who writes and who learns; what rounding does in 32
# bits, and where anything is computed in 16, is far below it


@runtime_checkable
class Writer(LanguageModel, Protocol):
    """Who writes in rollouts instead of the model itself, such as a server."""

    def load(self, model: LocalModel) -> None:
        """Take over the model's weights; the first time see that the tokens are the same."""
        ...


@dataclass(frozen=True)
class Reinforced:
    """What came of a training.

    Attributes:
        model: trained; the last good one where the run was stopped.
        curves: a row per update: update, env_steps, wall_s, episodes, return (the environment's own, of the episodes that ended; null where
            none did; while the first episodes are still being played, of the short ones only), price (of the plans in those episodes, in
            the unit of their return, from which it is not taken), score (progression), planning_frequency, plan_tokens and output_tokens
            per step, kl (to the policy the run started from, per token, of the rollout), decision_entropy and plan_probability (of the
            first token), policy_loss, value_loss (of values in the returns' running mean and deviation), explained_variance, drift (from
            the rollout's policy), clipped (share of tokens), mismatch (of log-probabilities between rollout and training), and
            generation_share, environment_share, update_share of the time.
        stopped: why the run ended early; empty where it did not.
        silent: whether planning has stopped: where plans are allowed, the last three rollouts planned in less than 2 % as many steps as
            the first three, or in none.
    """

    model: LocalModel
    curves: pl.DataFrame
    stopped: str
    silent: bool


def reinforce(
    model: LocalModel,
    environment: TextEnvironment | str,
    settings: RL,
    directory: str | os.PathLike[str] | None = None,
    *,
    prompts: Prompts | str = "compact",
    history: int = 2,
    max_plan_tokens: int = 64,
    max_action_tokens: int = 4,
    temperature: float = 1.0,
    schedule: Schedule | str | None = None,
    ask_human: AskHuman | None = None,
    critic: TextCritic | None = None,
    writer: Writer | None = None,
    accepted: Callable[[], object] | None = None,
    say: Say = print,
    watch: Callable[[Mapping[str, Any]], object] | None = None,
) -> Reinforced:
    """Train a model by PPO on what its steps brought, less what its plans cost.

    r_t = scale · (R_t − λ_c · plan tokens − λ_i · illegal),  loss: see `unseen.planning.rl.update.loss_of`

    Args:
        model: it is changed; best taught before (`fine_tune`). Where a run goes on, the one that it began with.
        environment: copied for every track; or its name.
        settings: see `RL`.
        directory: for checkpoints; a run that was interrupted there goes on, and ends with the same weights as one that was not.
        prompts, history, max_plan_tokens, max_action_tokens, temperature: of the agent; as it was taught.
        schedule: of the agent; default: as the model likes, or never where `settings.plans` says so.
        ask_human: who is asked under the schedule "ask-human"; steps under somebody else's plan are not learned from.
        critic: what the critic is told; see `TextCritic`.
        writer: who writes in rollouts; default: the model.
        accepted: called once, by the first process, when the directory is known to be this run's: time to write beside the checkpoints.
        say: told about progress.
        watch: told each update's row of the curves.

    Returns:
        The trained model with its curves; in `directory` it can be loaded with `LocalModel.load(directory / "checkpoint" / "model")`.

    Raises:
        UserError: settings that do not fit, a directory of another run or with a damaged checkpoint, prices that the model cannot read, a
            writer with other tokens or other weights, or rollouts without any output.
    """
    torch, _, _ = needed()
    if not (math.isfinite(temperature) and temperature > 0):
        raise UserError(f"temperature = {temperature} of reinforcement must be above 0: from likeliest tokens alone nothing is learned")
    others = processes()
    if settings.live < others.count:
        raise UserError(f"live = {settings.live} environments of RL are fewer than {others.count} processes; give more")
    folder = None if directory is None else Path(directory)
    world = make(environment) if isinstance(environment, str) else environment
    critic = critic or TextCritic()
    if critic.signals and not settings.critic:
        raise UserError('signals of a critic are of no use with group advantages, which have none; give advantages = "turn" or "dual"')
    if settings.told:
        check_told(model, settings.prices)
    when = schedule or ("never" if settings.plans == "never" else "dynamic")
    agent = Agent(writer or model, when, prompts, history, max_plan_tokens, max_action_tokens, temperature)
    said = _said(agent, critic, world, settings, model)
    by_the_first(others, lambda: _same_run(folder, said))  # before anything is written there
    added = with_tags(model, None if folder is None or settings.lora is None else folder / "base", others) if settings.add_tags else ()
    model.model = adapted(model.model, settings.lora, seed=settings.seed, saved=folder is not None, of="RL", tokens=added)
    network = model.model.eval()  # no dropout: the probabilities of the rollout and of the update must be the same
    values = Values(network, settings, critic)
    reference = {name: p.detach().clone() for name, p in network.named_parameters() if p.requires_grad}
    numbers = range(others.rank, settings.live, others.count)
    rollouts = Rollouts(agent, model, world, settings, critic.signals, numbers, ask_human)
    learner = Learner(network, values, reference, rollouts.speech, temperature)
    groups = [{"params": [p for p in network.parameters() if p.requires_grad], "lr": settings.learning_rate}]
    groups += [{"params": values.parameters, "lr": settings.critic_learning_rate}]
    optimiser = torch.optim.AdamW(groups, weight_decay=settings.weight_decay)
    run = _Run(folder, model, rollouts, learner, optimiser, settings, others, said)
    first = run.resume()
    by_the_first(others, accepted or (lambda: None))
    if writer is not None:
        by_the_first(others, lambda: writer.load(model))
    heard = say if others.rank == 0 else lambda _: None
    for name, text in rollouts.told().items():
        if share := unknown_share(model, {name: text}):
            many = f"{share:.0%}" if share >= 0.01 else "less than 1%"
            heard(f"{many} of the words that tell the critic {name!r} are unknown to the model's tokenizer, and look alike to it")
    try:
        return run.go(first, writer, heard, watch if others.rank == 0 and watch is not None else lambda row: None)
    finally:  # whatever happened, the weights have changed
        model.forget()


def _same_run(folder: Path | None, said: Mapping[str, Any]) -> None:
    there = None if folder is None else recalled(folder, "rl.json")
    if folder is not None and there is not None:
        compare(folder, there["run"], said)


def _said(agent: Agent, critic: TextCritic, world: TextEnvironment, settings: RL, model: LocalModel) -> dict[str, Any]:
    """What tells one run from another; more updates are the same run."""
    how = {name: getattr(agent, name) for name in ("history", "max_plan_tokens", "max_action_tokens", "temperature")}
    how |= {"schedule": str(agent.when), "prompts": asdict(agent.wording), "signals": critic.signals, "critic": critic.where}
    said = {"environment": world.name, **how, **{name: value for name, value in asdict(settings).items() if name != "updates"}}
    said |= {f"environment's {name}": value for name, value in settings_of(world, settings.first_seed).items()}
    return json.loads(json.dumps(said | digest_of(model)))


class _Run:
    """A training under way."""

    def __init__(
        self,
        folder: Path | None,
        model: LocalModel,
        rollouts: Rollouts,
        learner: Learner,
        optimiser: Any,
        settings: RL,
        others: Processes,
        said: Mapping[str, Any],
    ):
        self.folder, self.model, self.rollouts, self.learner, self.optimiser = folder, model, rollouts, learner, optimiser
        self.settings, self.others, self.said = settings, others, said
        self.curves: list[dict[str, Any]] = []
        self.stopped = ""
        self.good = self._weights()

    def resume(self) -> int:
        """Load the last checkpoint, and say how many updates it had seen."""
        if self.folder is None:
            return 0
        folder = self.folder
        there = resume(
            folder,
            "rl.json",
            lambda found: compare(folder, found["run"], self.said),
            self.learner.network,
            self.optimiser,
            ("critic", "reference", "good"),
        )
        if there is None:
            return 0
        found, tensors = there
        self.learner.values.load(tensors["critic"])
        for name, value in self.learner.reference.items():
            value.copy_(tensors["reference"][name])
        self.rollouts.restore(found["tracks"])
        self.curves, self.stopped, self.good = found["curves"], found["stopped"], tensors["good"]
        self.learner.values.returns = tuple(found["returns"])
        return int(found["updates"])

    def go(self, first: int, writer: Writer | None, say: Say, watch: Callable[[Mapping[str, Any]], object]) -> Reinforced:
        """All updates that are left."""
        settings, silent = self.settings, self._silent()
        if first < settings.updates and not self.stopped:
            say(self._plan(first))
        for update in range(first, settings.updates):
            if self.stopped:
                break
            tracks = self.rollouts.state()  # a run that goes on from here plays the same rollout again
            with drawing(settings.seed, update), precisely(self.learner.network, settings.precision):
                played = self.rollouts.play()
            begun = time.perf_counter()
            rows, seen = rows_of(played.moves, self.learner, settings, self.others)
            self._check_writer(seen)
            kl = self._checked(self._mean_kl(seen.kl, seen.tokens), f"update {update}", say)
            if self.stopped:
                self._save(update, tracks)
                break
            if update % settings.save_every == 0:
                self.good = self._weights()
                if update > first:
                    self._save(update, tracks)
            self._take_in(seen)
            try:
                with drawing(settings.seed, update):
                    told = learn(rows, self.learner, self.optimiser, settings, update, self.others)
            except Diverged as error:
                self._stop(f"update {update}: {error}", say)
                self._save(update, tracks)
                break
            self._checked(self._mean_kl(*kl_to_reference(rows, self.learner, settings)), f"after update {update}", say)  # after each: so
            # that no weights are handed out unchecked, and a run in slices is stopped where a whole one is
            if writer is not None:
                by_the_first(self.others, lambda: writer.load(self.model))
            self._log(update, played, seen, told, kl, time.perf_counter() - begun)
            watch(self.curves[-1])
            if self._silent() and not silent:
                say(f"update {update:,}: planning has stopped: {in_words(self.curves)}")
            silent = self._silent()
            if (update + 1) % settings.save_every == 0 or update + 1 == settings.updates:
                say(self._line())
            if self.stopped or update + 1 == settings.updates:
                self._save(update + 1, self.rollouts.state())
        return Reinforced(self.model, pl.DataFrame(self.curves, infer_schema_length=None), self.stopped, self._silent())

    # --- what may go wrong

    def _mean_kl(self, total: float, tokens: int) -> float:
        """Per token, over all processes."""
        whole = np.sum(self.others.everyone((total, tokens)), axis=0)
        return float(whole[0] / max(whole[1], 1.0))

    def _check_writer(self, seen: Seen) -> None:
        """Before anything is learned: what others than the trained model have written is not its own to learn from."""
        mismatch, compared = np.sum(self.others.everyone((seen.mismatch, seen.compared)), axis=0).tolist()
        exact = self.settings.precision == "float32" and all(p.dtype.itemsize >= 4 for p in self.learner.network.parameters())
        if compared and not mismatch / compared <= (FOREIGN if exact else FOREIGN_ROUNDED):
            raise UserError(
                f"log-probabilities of the rollout differ from the trained model's by {mismatch / compared:.3g} per token on average: who "
                "writes has other weights than who learns; see that the server loads new weights, and computes in the same precision"
            )

    def _take_in(self, seen: Seen) -> None:
        """Let the critic know how large returns are, in all processes."""
        if not self.settings.critic:
            return
        targets = np.concatenate(seen.targets)
        mine = (len(targets), float(np.sum(targets)), float(np.sum(targets**2)))
        count, total, squares = np.sum(self.others.everyone(mine), axis=0).tolist()
        self.learner.values.take_in(int(count), total, squares)

    def _checked(self, kl: float, when: str, say: Say) -> float:
        limit = self.settings.kl_limit
        if not math.isfinite(kl) or (limit is not None and kl > limit):
            why = f"{when}: the divergence from the policy the run started from is {kl:.3g} per token, above kl_limit = {limit}"
            self._stop(why, say)
        return kl

    def _stop(self, why: str, say: Say) -> None:
        """Back to the last good weights, and no further."""
        import torch

        with torch.no_grad():
            for name, p in self.learner.network.named_parameters():
                if name in self.good:
                    p.copy_(self.good[name])
        self.stopped = why
        say(f"{why}; stopped with the last good weights")

    def _weights(self) -> dict[str, Any]:
        return {name: p.detach().clone() for name, p in self.learner.network.named_parameters() if p.requires_grad}

    def _silent(self) -> bool:
        return self.settings.plans == "may" and stopped_planning(self.curves)

    # --- what is told and kept

    def _log(self, update: int, played: Rollout, seen: Seen, told: Losses, kl: float, update_s: float) -> None:
        mine = {
            "seen": (seen.steps, seen.decisions, seen.entropy, seen.plan_probability, seen.mismatch, seen.compared),
            "moves": [(m.planned, m.plan_tokens, m.output_tokens) for some in played.moves.values() for m in some],
            "ended": [(one.episode_return, one.score, one.price * one.plan_tokens) for one in played.ended],
            "values": np.concatenate(seen.values).tolist(),
            "targets": np.concatenate(seen.targets).tolist(),
        }
        all_of_it = self.others.everyone(mine)
        steps, decisions, entropy, planning, mismatch, compared = np.sum([one["seen"] for one in all_of_it], axis=0).tolist()
        moves = np.array([move for one in all_of_it for move in one["moves"]], np.float64)
        ended = np.array([episode for one in all_of_it for episode in one["ended"]], np.float64).reshape(-1, 3)
        values, targets = (np.array([v for one in all_of_it for v in one[name]]) for name in ("values", "targets"))
        spread = float(targets.var())
        explained = 1 - float((targets - values).var()) / spread if self.settings.critic and spread > 1e-12 else None
        before = self.curves[-1] if self.curves else {"env_steps": 0, "wall_s": 0.0}
        wall = played.generation_s + played.environment_s + update_s
        several = len(self.learner.speech.tag) > 1  # P(plan) is then no probability of one token
        self.curves.append(
            {
                "update": update,
                "env_steps": before["env_steps"] + int(steps),
                "wall_s": before["wall_s"] + wall,
                "episodes": len(ended),
                "return": float(ended[:, 0].mean()) if len(ended) else None,
                "score": float(ended[:, 1].mean()) if len(ended) else None,
                "price": float(ended[:, 2].mean()) if len(ended) else None,
                "planning_frequency": float(moves[:, 0].mean()),
                "plan_tokens": float(moves[:, 1].mean()),
                "output_tokens": float(moves[:, 2].mean()),
                "kl": kl,
                "decision_entropy": entropy / decisions if decisions else None,
                "plan_probability": planning / decisions if decisions and not several else None,
                "policy_loss": told.policy,
                "value_loss": told.value if self.settings.critic else None,
                "explained_variance": explained,
                "drift": told.drift,
                "clipped": told.clipped,
                "mismatch": mismatch / compared if compared else None,
                "generation_share": played.generation_s / wall,
                "environment_share": played.environment_s / wall,
                "update_share": update_s / wall,
            }
        )

    def _plan(self, first: int) -> str:
        """What is about to be done."""
        settings, weights = self.settings, sum(p.numel() for p in self.learner.network.parameters() if p.requires_grad)
        each = "whole episodes" if settings.advantages == "group" else f"{settings.steps} steps"
        return (
            f"{settings.updates - first:,} updates of {settings.live} environments by {each}, {weights:,} weights are trained; "
            f"a line every {settings.save_every}"
        )

    def _line(self) -> str:
        row = self.curves[-1]
        reached = [one["return"] for one in self.curves[-self.settings.save_every :] if one["return"] is not None]
        shown = f"return {np.mean(reached):.3g}" if reached else "no episode ended"
        return (
            f"update {row['update'] + 1:,} of {self.settings.updates:,}, {row['env_steps']:,} steps: {shown}, planned in "
            f"{row['planning_frequency']:.1%} of steps, divergence {row['kl']:.3f}"
        )

    def _save(self, updates: int, tracks: list[dict[str, Any]]) -> None:
        whole = [track for some in self.others.everyone(tracks) for track in some]
        if self.folder is not None and self.others.rank == 0:
            values = self.learner.values
            said = {"run": self.said, "updates": updates, "stopped": self.stopped, "returns": values.returns}
            said |= {"curves": self.curves, "tracks": whole}
            more = {"critic": values.tensors(), "reference": self.learner.reference, "good": self.good}
            save(self.folder, "rl.json", said, self.model, self.optimiser, more)
        self.others.everyone(None)  # nobody goes on before it is written
