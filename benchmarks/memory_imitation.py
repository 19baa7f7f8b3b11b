"""Can an agent's memory hold what a task asks for? It imitates the perfect-memory player, and then plays by itself.

    python benchmarks/memory_imitation.py                       # the tasks that reinforcement learning left at chance; resumes task by task
    python benchmarks/memory_imitation.py --tasks spot-diff --memory mem
    python benchmarks/memory_page.py

Where an agent that is rewarded stays at chance, either it cannot represent the task's memory, or rewards tell it too little, too late.
Imitation tells the two apart: at every step the same agent is told what perfect memory would do (loss = −mean log π(a_player | h)), on
windows of 128 steps of that player's training-level episodes, the carry kept from window to window. It is then scored as the reference
players are: whole episodes, actions drawn from its policy. Nothing of this is reinforcement learning, and no score of it is compared with
one. Writes docs/results/memory/imitation.json.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

import unseen
from memory_learning import RESULTS, device, experiment
from unseen.agents.actor import Seen
from unseen.agents.build import build
from unseen.agents.distributions import gumbel
from unseen.environments.memory_suite.players.cast import players
from unseen.environments.memory_suite.players.measure import _mixture, played
from unseen.environments.memory_suite.players.player import Reads, look
from unseen.environments.memory_suite.suite import TASKS

LEFT_AT_CHANCE = (
    "change-detection",
    "continuous-recognition",
    "transitive-inference",
    "spot-diff",
    "spot-diff-multi",
    "spot-diff-motion",
)
LEVELS = ("train", "holdout_interpolate", "holdout_extrapolate")
FILE = RESULTS / "imitation.json"
EPISODES_AT_ONCE, WINDOW = 64, 128


class Episode(NamedTuple):
    """One that goes on: the environment, the player's memory, and what the agent perceives beside the observation."""

    state: Any
    params: Any
    horizon: Any
    memory: Any
    reward: Any
    action: Any
    start: Any
    time: Any
    running: Any


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=list(LEFT_AT_CHANCE), choices=list(TASKS), metavar="TASK")
    parser.add_argument("--memory", choices=("shared", "mem"), default="shared", help="a GRU, or an LSTM with an episodic memory")
    parser.add_argument("--updates", type=int, default=2_000)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--episodes", type=int, default=500)
    parser.add_argument("--out", type=Path, default=FILE)
    options = parser.parse_args()
    for task in options.tasks:
        name = task if options.memory == "shared" else f"{task}-{options.memory}"
        found = json.loads(options.out.read_text()) if options.out.exists() else {}
        how = {"updates": options.updates, "learning_rate": options.learning_rate, "episodes": options.episodes}
        if found.get(name, {}).get("how") == how:
            continue
        result = {"how": how, "device": device()} | imitated(task, options)
        found = json.loads(options.out.read_text()) if options.out.exists() else {}
        options.out.write_text(json.dumps(found | {name: result}, indent=1) + "\n", encoding="utf-8")
        print(name, json.dumps(result), flush=True)


def imitated(task: str, options: argparse.Namespace) -> dict[str, Any]:
    """Train, and score on every kind of level."""
    environment = unseen.make(f"memory/{task}")
    settings = experiment(task, options.memory, 1, 1, 1).agent
    params = environment.levels["train"][0][1]
    spaces = environment.observation_space(params), environment.action_space(params), dict(environment.signal_spaces(params))
    agent = build(settings, *spaces, jax.random.key(0), environment=environment.name)
    begun = time.monotonic()
    actor, losses = trained(environment, agent.actor, options.updates, options.learning_rate)
    scores = {}
    for level in LEVELS:
        score = played(environment, level, Imitator(actor, int(spaces[1].n)), options.episodes, jax.random.key(1)).score
        scores[level] = {"mean": round(score.mean, 3), "standard_error": round(score.standard_error, 4)}
    steps = options.updates * EPISODES_AT_ONCE * WINDOW
    return {"steps": steps, "seconds": round(time.monotonic() - begun), "losses": losses, "scores": scores}


def trained(environment: Any, actor: Any, updates: int, learning_rate: float) -> tuple[Any, list[float]]:
    """The actor after so many updates, and the loss at twenty moments."""
    player = players(environment)["perfect_memory"]
    reset, advance = stepping(environment, player)
    optimiser = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(learning_rate, updates)))
    moments = optimiser.init(eqx.filter(actor, eqx.is_inexact_array))

    def loss(actor: Any, carry: Any, seen: Seen, action: Any, running: Any) -> tuple[Any, Any]:
        carry, distribution, _ = actor.unroll(carry, seen)
        nll = -distribution.log_probability(action)
        return jnp.sum(jnp.where(running, nll, 0.0)) / jnp.sum(running), carry

    @eqx.filter_jit(donate="all")
    def update(actor: Any, moments: Any, episodes: Episode, carry: Any, key: Any) -> tuple[Any, ...]:
        k_reset, k_steps = jax.random.split(key)
        fresh = reset(k_reset)
        episodes = jax.tree.map(lambda new, old: _where(~episodes.running, new, old), fresh, episodes)
        episodes, (seen, action, running) = jax.lax.scan(advance, episodes, jax.random.split(k_steps, WINDOW))
        (value, carry), gradient = eqx.filter_value_and_grad(loss, has_aux=True)(actor, actor.refreshed(carry), seen, action, running)
        change, moments = optimiser.update(gradient, moments)
        return eqx.apply_updates(actor, change), moments, episodes, jax.lax.stop_gradient(carry), value

    episodes, carry = jax.jit(reset)(jax.random.key(2)), actor.initial(EPISODES_AT_ONCE)
    losses = []
    for k in range(updates):
        actor, moments, episodes, carry, value = update(actor, moments, episodes, carry, jax.random.fold_in(jax.random.key(3), k))
        losses.append(value)
    means = [float(np.mean([float(x) for x in part])) for part in np.array_split(np.asarray(losses, object), 20)]
    return actor, [round(mean, 4) for mean in means]


def stepping(environment: Any, player: Any) -> tuple[Any, Any]:
    """Functions that begin a batch of episodes, and take one step in each."""
    log_weights, entries, horizons = _mixture(environment, "train")

    def begin(key: Any) -> Episode:
        k_entry, k_reset = jax.random.split(key)
        entry = jax.random.categorical(k_entry, log_weights)
        params = jax.tree.map(lambda leaf: leaf[entry], entries)
        state = environment.reset(k_reset, params)[1]
        memory = jax.tree.map(jnp.asarray, player.begin())
        return Episode(
            state, params, horizons[entry], memory, jnp.float32(0), jnp.int32(0), jnp.asarray(True), jnp.int32(0), jnp.asarray(True)
        )

    def step(e: Episode, key: Any) -> tuple[Episode, tuple[Any, ...]]:
        k_act, k_step = jax.random.split(key)
        memory, action = player.act(k_act, e.memory, look(environment, player.reads, e.state, e.reward), e.params)
        seen = Seen(environment.observe(e.state), e.action, e.start, None, e.reward)
        _, state, reward, terminated = environment.step(k_step, e.state, action, e.params)
        goes_on = e.running & ~terminated & (e.time + 1 < e.horizon)
        after = Episode(state, e.params, e.horizon, memory, jnp.float32(reward), jnp.int32(action), jnp.asarray(False), e.time + 1, goes_on)
        return after, (seen, action, e.running)

    def reset(key: Any) -> Episode:
        return jax.vmap(begin)(jax.random.split(key, EPISODES_AT_ONCE))

    def advance(episodes: Episode, key: Any) -> tuple[Episode, tuple[Any, ...]]:
        return jax.vmap(step)(episodes, jax.random.split(key, EPISODES_AT_ONCE))

    return reset, advance


def _where(which: Any, new: Any, old: Any) -> Any:
    return jnp.where(which.reshape(which.shape + (1,) * (new.ndim - 1)), new, old)


@dataclass(frozen=True, eq=False)
class Imitator:
    """A trained actor as a reference player: it is shown what agents are shown, the reward of the last step included."""

    actor: Any
    actions: int
    reads: Reads = field(default="place", init=False)

    def begin(self) -> Any:
        carry = jax.tree.map(lambda leaf: leaf[0], self.actor.refreshed(self.actor.initial(1)))
        return carry, jnp.int32(0), jnp.asarray(True)

    def act(self, key: Any, memory: Any, seen: Any, params: Any) -> tuple[Any, Any]:
        carry, action, start = memory
        one = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], (carry, seen.words, action, start, seen.reward))
        carry, distribution, _ = self.actor.step(one[0], Seen(one[1], one[2], one[3], None, one[4]))
        action = distribution.sample(gumbel(key, (1, self.actions)))[0].astype(jnp.int32)
        return (jax.tree.map(lambda leaf: leaf[0], carry), action, jnp.asarray(False)), action


if __name__ == "__main__":
    main()
