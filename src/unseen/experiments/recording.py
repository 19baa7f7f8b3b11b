"""Recording trained agents: whole episodes as `Episodes`, and pictures of an external environment's."""

from __future__ import annotations

import warnings
from typing import Any

import jax
import numpy as np

from unseen.agents.build import ActorCritic
from unseen.data import Episodes
from unseen.environments import adapters
from unseen.errors import UserError
from unseen.experiments.host import longest, open_external
from unseen.experiments.policy import log_probability_of_taken
from unseen.experiments.recalled import reads
from unseen.experiments.watched import spread
from unseen.experiments.watching import action_name
from unseen.learning.levels import mixture
from unseen.learning.rollout import BatchLoop
from unseen.learning.source import Generated

BATCH = 256  # episodes played together
EVALUATION_SEEDS = 0x7E57_0000  # external environments are reset with these; training draws its seeds elsewhere


def episodes(environment: Any, agent: ActorCritic, n: int, *, level: str, key: Any, greedy: bool) -> Episodes:
    """`n` whole episodes with every signal the environment names, and what the memory recalled; raw observations, not normalised ones."""
    levels = mixture(environment, level)
    loop = BatchLoop(environment, levels, tuple(environment.signal_spaces(levels.entries[0])), 1.0, recalling=True)
    batch = min(n, BATCH)

    @jax.jit
    def play(key: Any) -> Any:
        _, slots = loop.episodes(agent, Generated(), key, batch, greedy=greedy)
        head = agent.actor.head
        log_probability = log_probability_of_taken(head, slots.log_probability, greedy)
        return slots._replace(action=head.to_environment(slots.action)), log_probability

    parts = []
    for k in range(-(-n // batch)):
        slots, log_probability = jax.device_get(play(jax.random.fold_in(key, k)))
        seen = slots.seen.observation
        parts.append(
            Episodes.from_padded(
                observations=seen if isinstance(seen, dict) else {"observation": seen},
                actions=slots.action,
                rewards=slots.reward,
                terminated=slots.terminated,
                truncated=slots.truncated,
                valid=slots.valid,
                behaviour_log_probability=log_probability,
                signals=slots.signals,
                reads=reads(agent.actor.trunk.memory, slots.recalled, slots.time),
            )
        )
    return Episodes.concatenate(parts).select(np.arange(n))


def _played(policy: Any, host: Any, seeds: list[int], greedy: bool) -> Episodes:
    """One episode for each seed, played together on a batched external environment; lanes that are done rest."""
    going = np.ones(len(seeds), bool)
    observation, signals = host.reset(seeds, going)
    carry, start, reward = policy.initial(len(seeds)), going, None
    shown, rows = [(observation, signals)], []
    while going.any():
        action, log_probability, carry, read = policy.recalled(observation, carry, start, greedy, host.action_mask(), reward)
        step = host.step(action, going)
        terminated = going & step.terminated
        truncated = going & ~terminated & (step.truncated | (len(rows) + 1 >= longest(host)))
        rows.append((action, log_probability, step.reward, terminated, truncated, going, read))
        shown.append((step.observation, step.signals))
        observation, start, reward = step.observation, np.zeros(len(seeds), bool), step.reward
        going = going & ~terminated & ~truncated
    actions, log_probabilities, rewards, terminated, truncated, valid, read = jax.tree.map(lambda *xs: np.stack(xs), *rows)
    time = np.broadcast_to(np.arange(len(rows))[:, None], valid.shape)
    observations, signals = jax.tree.map(lambda *xs: np.stack(xs), *shown)
    return Episodes.from_padded(
        observations=observations,
        actions=actions,
        rewards=rewards,
        terminated=terminated,
        truncated=truncated,
        valid=valid,
        behaviour_log_probability=log_probabilities,
        signals=signals,
        reads=reads(policy.agent.actor.trunk.memory, read, time),
    )


def external_episodes(experiment: Any, policy: Any, n: int, *, greedy: bool) -> Episodes:
    """`n` whole episodes of an external environment, with every signal, on seeds that training does not use."""
    batch = min(n, 16)
    workers = min(int(experiment.environment_options.get("workers", 0)), batch)
    host = open_external(experiment, batch, workers=workers)
    try:
        parts = [_played(policy, host, [EVALUATION_SEEDS + first + k for k in range(batch)], greedy) for first in range(0, n, batch)]
    finally:
        host.close()
    return Episodes.concatenate(parts).select(np.arange(n))


def external_frames(experiment: Any, policy: Any, most: int) -> list[tuple[np.ndarray, str]]:
    """Pictures of one episode of an external environment that can draw itself; none otherwise."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*render_mode")  # Gymnasium's, where the environment names no such mode
            host = open_external(experiment, 1, workers=0, render_mode="rgb_array")
    except (TypeError, UserError, adapters.EnvironmentCrash):
        return []  # it takes no render_mode: there is nothing to show
    try:
        return spread(_drawn(policy, host, most), most)
    finally:
        host.close()


def _drawn(policy: Any, host: Any, most: int) -> list[tuple[np.ndarray, str]]:
    """Up to 2 `most` pictures, evenly spread: the longer the episode turns out to be, the fewer of its steps are drawn."""
    shown: list[tuple[np.ndarray, str]] = []
    observation, _ = host.reset([EVALUATION_SEEDS], np.ones(1, bool))
    carry, start, reward, over, t, every = policy.initial(1), np.ones(1, bool), None, False, 0, 1
    while not over:
        picture = _picture(host) if t % every == 0 else None
        if picture is None and not shown:
            return []
        action, carry = policy.act(observation, carry, start, action_mask=host.action_mask(), reward=reward)
        step = host.step(action)
        if picture is not None:
            shown.append((picture, f"step {t}: {action_name(None, host.action_space, action[0])}, reward {float(step.reward[0]):+.2f}"))
        if len(shown) >= 2 * most:
            shown, every = shown[::2], 2 * every
        observation, start, reward, t = step.observation, np.zeros(1, bool), step.reward, t + 1
        over = bool(step.terminated[0] or step.truncated[0]) or t >= longest(host)
    last = _picture(host)
    return shown if last is None else [*shown, (last, "end")]


def _picture(host: Any) -> np.ndarray | None:
    """What the environment draws; None where it cannot, for want of a window system or a package of its own."""
    try:
        return host.render()
    except adapters.EnvironmentCrash:
        return None
