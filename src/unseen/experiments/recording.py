"""Recording trained agents: whole episodes as `Episodes`, and pictures of one of them."""

from __future__ import annotations

from typing import Any

import gymnasium
import jax
import numpy as np

from unseen.agents.build import ActorCritic
from unseen.data import Episodes
from unseen.environments import adapters
from unseen.errors import UserError
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
        return slots._replace(action=agent.actor.head.to_environment(slots.action))

    parts = []
    for k in range(-(-n // batch)):
        slots = jax.device_get(play(jax.random.fold_in(key, k)))
        seen = slots.seen.observation
        parts.append(
            Episodes.from_padded(
                observations=seen if isinstance(seen, dict) else {"observation": seen},
                actions=slots.action,
                rewards=slots.reward,
                terminated=slots.terminated,
                truncated=slots.truncated,
                valid=slots.valid,
                behaviour_log_probability=slots.log_probability,
                signals=slots.signals,
            )
        )
    return Episodes.concatenate(parts).select(np.arange(n))


def frames(environment: Any, agent: ActorCritic, key: Any, most: int, *, level: str) -> list[tuple[np.ndarray, str]]:
    """Up to `most` pictures of one episode, evenly spread, each with the step, the action and the reward."""
    levels = mixture(environment, level)
    loop = BatchLoop(environment, levels, (), 1.0)
    _, lanes = loop.fresh(agent, Generated(), key, 1)
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


def _batches(policy: Any, host: Any, seeds: list[int], greedy: bool) -> list[dict[str, Any]]:
    """One episode for each seed, played together on a batched external environment."""
    count = len(seeds)
    observation, _ = host.reset(seeds, np.ones(count, bool))
    carry, start, over = policy.initial(count), np.ones(count, bool), np.zeros(count, bool)
    logs: list[dict[str, list[Any]]] = [
        {"observations": [], "actions": [], "rewards": [], "terminated": [], "truncated": []} for _ in seeds
    ]

    def row(tree: Any, k: int) -> Any:
        return jax.tree.map(lambda x: np.asarray(x)[k], tree)

    for k in range(count):
        logs[k]["observations"].append(row(observation, k))
    while not over.all():
        action, carry = policy.act(observation, carry, start, greedy=greedy)
        step = host.step(action)
        for k in np.flatnonzero(~over).tolist():
            logs[k]["observations"].append(row(step.observation, k))
            logs[k]["actions"].append(action[k])
            logs[k]["rewards"].append(float(step.reward[k]))
            logs[k]["terminated"].append(bool(step.terminated[k]))
            logs[k]["truncated"].append(bool(step.truncated[k]) and not bool(step.terminated[k]))
        ended = np.asarray(step.terminated) | np.asarray(step.truncated)
        over |= ended
        observation, start = step.observation, np.zeros(count, bool)
        if ended.any() and not over.all():
            # Lanes that are done play on unrecorded, so that the batch keeps its shape.
            observation, _ = host.reset(seeds, ended)
            start = ended
    return [_stacked(log) for log in logs]


def _stacked(log: dict[str, list[Any]]) -> dict[str, Any]:
    observations = log["observations"]
    stacked = jax.tree.map(lambda *xs: np.stack(xs), *observations)
    return {
        "observations": stacked if isinstance(stacked, dict) else {"observation": stacked},
        "actions": np.stack(log["actions"]),
        "rewards": np.asarray(log["rewards"], np.float64),
        "terminated": np.asarray(log["terminated"], bool),
        "truncated": np.asarray(log["truncated"], bool),
    }


def external_episodes(experiment: Any, policy: Any, n: int, *, greedy: bool) -> Episodes:
    """`n` whole episodes of an external environment, on seeds that training does not use."""
    from unseen.experiments.host import open_external

    batch = min(n, 16)
    host = open_external(experiment, batch)
    try:
        played: list[dict[str, Any]] = []
        for first in range(0, n, batch):
            seeds = [EVALUATION_SEEDS + first + k for k in range(batch)]
            played += _batches(policy, host, seeds, greedy)
    finally:
        host.close()
    return Episodes.from_list(played[:n])


def external_frames(experiment: Any, policy: Any, most: int) -> list[tuple[np.ndarray, str]]:
    """Pictures of one episode of an external environment that can draw itself; none otherwise."""
    options = experiment.environment_options | {"render_mode": "rgb_array"}
    try:
        host = adapters.external(experiment.environment.removeprefix("gym:"), num_envs=1, **options)
    except (TypeError, UserError, adapters.EnvironmentCrash):
        return []  # it takes no render_mode: there is nothing to show
    shown: list[tuple[np.ndarray, str]] = []
    try:
        observation, _ = host.reset([EVALUATION_SEEDS], np.ones(1, bool))
        carry, start, over, t = policy.initial(1), np.ones(1, bool), False, 0
        while not over:
            picture = host.render()
            if picture is None:
                return []
            action, carry = policy.act(observation, carry, start)
            step = host.step(action)
            shown.append((picture, f"step {t}: {action_name(None, host.action_space, action[0])}, reward {float(step.reward[0]):+.2f}"))
            observation, start, t = step.observation, np.zeros(1, bool), t + 1
            over = bool(step.terminated[0] or step.truncated[0])
        shown.append((host.render(), "end"))
    finally:
        host.close()
    return spread(shown, most)
