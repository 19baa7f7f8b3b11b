"""Recording trained agents: whole episodes as `Episodes`, and pictures of one of them."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium
import jax
import numpy as np

from unseen.agents.build import ActorCritic
from unseen.data import Episodes
from unseen.environments import adapters
from unseen.errors import UserError
from unseen.experiments.host import longest, open_external
from unseen.experiments.policy import log_probability_of_taken
from unseen.learning.levels import mixture
from unseen.learning.rollout import BatchLoop
from unseen.learning.source import Generated

BATCH = 256  # episodes played together
EVALUATION_SEEDS = 0x7E57_0000  # external environments are reset with these; training draws its seeds elsewhere


def episodes(environment: Any, agent: ActorCritic, n: int, *, level: str, key: Any, greedy: bool) -> Episodes:
    """`n` whole episodes with every signal the environment names; raw observations, not normalised ones."""
    levels = mixture(environment, level)
    loop = BatchLoop(environment, levels, tuple(environment.signal_spaces(levels.entries[0])), 1.0)
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
            )
        )
    return Episodes.concatenate(parts).select(np.arange(n))


def frames(environment: Any, agent: ActorCritic, key: Any, most: int, *, level: str) -> list[tuple[np.ndarray, str]]:
    """Up to `most` pictures of one episode, evenly spread, each with the step, the action and the reward."""
    levels = mixture(environment, level)
    loop = BatchLoop(environment, levels, (), 1.0)
    key, k_begin = jax.random.split(key)
    _, lanes = loop.fresh(agent, Generated(), k_begin, 1)
    params = levels.entries[int(lanes.level[0])]
    space = environment.action_space(params)
    slot = jax.jit(loop.slot)
    shown = []
    for t in range(levels.longest):
        key, k = jax.random.split(key)
        picture = environment.draw(jax.tree.map(lambda x: np.asarray(x[0]), lanes.state), params)
        lanes, record = slot(agent, lanes, agent.actor.head.noise(k, (1,)))
        action = np.asarray(agent.actor.head.to_environment(record.action))[0]
        shown.append((picture, f"step {t}: {action_name(environment, space, action)}, reward {float(record.reward[0]):+.2f}"))
        if not bool(lanes.valid[0]):
            break
    shown.append((environment.draw(jax.tree.map(lambda x: np.asarray(x[0]), lanes.state), params), "end"))
    return spread(shown, most)


def action_name(environment: Any, space: gymnasium.Space, action: np.ndarray | np.generic) -> str:
    """The action's own name, where the environment names its actions."""
    names = getattr(environment, "action_names", None)
    if names is not None and isinstance(space, gymnasium.spaces.Discrete):
        return str(names[int(action) - int(space.start)])
    return np.array2string(np.asarray(action), precision=2)


def spread(shown: list[Any], most: int) -> list[Any]:
    """At most `most` entries, evenly spread, the first and the last among them."""
    if len(shown) <= most:
        return shown
    return [shown[round(k * (len(shown) - 1) / (most - 1))] for k in range(most)]


def _played(policy: Any, host: Any, seeds: list[int], greedy: bool) -> Episodes:
    """One episode for each seed, played together on a batched external environment; lanes that are done rest."""
    going = np.ones(len(seeds), bool)
    observation, signals = host.reset(seeds, going)
    carry, start = policy.initial(len(seeds)), going
    shown, rows = [(observation, signals)], []
    while going.any():
        action, log_probability, carry = policy.draw(observation, carry, start, greedy, host.action_mask())
        step = host.step(action, going)
        terminated = going & step.terminated
        truncated = going & ~terminated & (step.truncated | (len(rows) + 1 >= longest(host)))
        rows.append((action, log_probability, step.reward, terminated, truncated, going))
        shown.append((step.observation, step.signals))
        observation, start = step.observation, np.zeros(len(seeds), bool)
        going = going & ~terminated & ~truncated
    actions, log_probabilities, rewards, terminated, truncated, valid = jax.tree.map(lambda *xs: np.stack(xs), *rows)
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
    carry, start, over, t, every = policy.initial(1), np.ones(1, bool), False, 0, 1
    while not over:
        picture = _picture(host) if t % every == 0 else None
        if picture is None and not shown:
            return []
        action, carry = policy.act(observation, carry, start, action_mask=host.action_mask())
        step = host.step(action)
        if picture is not None:
            shown.append((picture, f"step {t}: {action_name(None, host.action_space, action[0])}, reward {float(step.reward[0]):+.2f}"))
        if len(shown) >= 2 * most:
            shown, every = shown[::2], 2 * every
        observation, start, t = step.observation, np.zeros(1, bool), t + 1
        over = bool(step.terminated[0] or step.truncated[0]) or t >= longest(host)
    last = _picture(host)
    return shown if last is None else [*shown, (last, "end")]


def _picture(host: Any) -> np.ndarray | None:
    """What the environment draws; None where it cannot, for want of a window system or a package of its own."""
    try:
        return host.render()
    except adapters.EnvironmentCrash:
        return None
