"""External Gymnasium environments: a host loop plays, the same compiled learner learns."""

from __future__ import annotations

import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from unseen.agents.actor import Seen
from unseen.agents.build import ActorCritic, build
from unseen.agents.settings import MEM
from unseen.environments import adapters
from unseen.errors import UserError
from unseen.experiments.arrays import from_arrays, to_arrays
from unseen.experiments.compiled import refuse_not_finite
from unseen.experiments.platform import spare_devices
from unseen.experiments.settings import Experiment
from unseen.learning import vtrace
from unseen.learning.guard import forgotten, refuse_biased, refuse_impossible
from unseen.learning.learner import initial_state, learn, report
from unseen.learning.rollout import Slots
from unseen.learning.settings import A2C, PPO
from unseen.learning.sharing import Sharing, devices_for, everywhere, lanes_to_share, shared
from unseen.learning.source import Generated

LONGEST = 10_000  # steps after which an episode is cut where the environment states no longer time limit of its own


def open_external(experiment: Experiment, count: int, **changes: Any) -> Any:
    """The batch of environments that "gym:ID" names, with some of the experiment's options changed."""
    options = experiment.environment_options | changes
    return adapters.external(experiment.environment.removeprefix("gym:"), num_envs=count, **options)


def longest(host: Any) -> int:
    """Steps after which whole episodes are cut, so that one that never ends does not hold up everything."""
    return max(host.horizon or 0, LONGEST)


def refuse_level(experiment: Experiment, level: str) -> None:
    """An external environment has no levels that we know of.

    Raises:
        UserError: for any level but "train".
    """
    if level != "train":
        raise UserError(
            f"level = {level!r}; the external environment {experiment.environment!r} has only 'train': "
            "choose among levels of its own with environment_options"
        )


def spaces(experiment: Experiment) -> tuple[Any, Any, dict[str, Any]]:
    """Observation, action and signal spaces of an external environment."""
    host = open_external(experiment, 1, workers=0)
    try:
        return host.observation_space, host.action_space, dict(host.signal_spaces)
    finally:
        host.close()


class HostSeeds:
    """All seeds of an experiment on an external environment, one after the other.

    A resumed run goes on in the middle of its episodes where the environment can be saved. Otherwise it starts new ones: their
    seeds continue the recorded count, so no episode is played twice.
    """

    def __init__(self, experiment: Experiment) -> None:
        refuse_impossible(experiment.algorithm, experiment.agent)
        refuse_biased(experiment.agent, experiment.algorithm)
        refuse_level(experiment, experiment.level)
        if experiment.reset_pool:
            raise UserError(f"reset_pool = {experiment.reset_pool}; an external environment makes its own levels: set it to 0")
        self.experiment = experiment
        algorithm = experiment.algorithm
        self._warn_forgetful()
        count = algorithm.episodes_per_update if isinstance(algorithm, A2C) else algorithm.environments
        self._hosts = [_Batch(experiment, k, count) for k in range(experiment.seeds)]
        self._report = jax.jit(report)

    def _warn_forgetful(self) -> None:
        """Where the environment states how long its episodes may be, and the memory is shorter."""
        if not isinstance(self.experiment.agent.memory, MEM):
            return
        host = open_external(self.experiment, 1, workers=0)
        horizon = host.horizon
        host.close()
        if horizon is not None and (note := forgotten(self.experiment.agent, horizon, self.experiment.environment)):
            warnings.warn(note, stacklevel=3)

    def start(self) -> None:
        """Every seed starts from its own key when it is made."""

    def advance(self, mark: int) -> dict[str, np.ndarray]:
        rows = []
        for host in self._hosts:
            while int(host.state.env_steps) < mark and int(host.state.fault) == 0:
                host.update()
            metrics, host.state = self._report(host.state)
            rows.append(metrics)
        return {name: np.asarray([row[name] for row in rows]) for name in rows[0]}

    def env_steps(self) -> np.ndarray:
        return np.asarray([int(host.state.env_steps) for host in self._hosts], np.int64)

    def arrays(self) -> dict[str, np.ndarray]:
        each = [to_arrays(host.state) | {"episodes_begun": np.asarray(host.begun, np.int64)} for host in self._hosts]
        stacked = {name: np.stack([arrays[name] for arrays in each]) for name in each[0]}
        # What runs is not the same in every seed (an ended environment has no state), so it cannot be stacked.
        return stacked | {f"running/{k}/{name}": a for k, host in enumerate(self._hosts) for name, a in host.running().items()}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        stacked = {name: values for name, values in arrays.items() if not name.startswith("running/")}
        begun = stacked.pop("episodes_begun")
        for k, host in enumerate(self._hosts):
            restored = from_arrays(host.state, {name: values[k] for name, values in stacked.items()})
            host.state = everywhere(restored, host.devices)
            host.go_on(_under(arrays, f"running/{k}/"))
            host.begun = int(begun[k])

    def refuse_not_finite(self) -> None:
        for k, host in enumerate(self._hosts):
            refuse_not_finite(jax.tree.map(lambda x: x[None], host.state), self.experiment.first_seed + k, 1)

    def close(self) -> None:
        for host in self._hosts:
            host.env.close()


class _Batch:
    """One seed: its environments, its learner's state, and what its lanes are doing."""

    def __init__(self, experiment: Experiment, k: int, count: int) -> None:
        self.experiment, self.count = experiment, count
        algorithm = experiment.algorithm
        self.env = open_external(experiment, count)
        if isinstance(algorithm, A2C) and self.env.horizon is None:
            self.env.close()
            raise UserError(
                f"{self.env.name} states no time limit, and A2C plays whole episodes, which may never end: register it with "
                "max_episode_steps, set environment_options max_episode_steps=1000 (say), or use PPO"
            )
        k_agent, k_run = jax.random.split(jax.random.key(experiment.first_seed + k))
        model = build(
            experiment.agent,
            self.env.observation_space,
            self.env.action_space,
            dict(self.env.signal_spaces),
            k_agent,
            environment=experiment.environment,
        )
        self.state = initial_state(model, algorithm, k_run, Generated())
        if isinstance(algorithm, PPO) and algorithm.carries == "recomputed":
            raise UserError('algorithm.carries="recomputed" is for compiled environments; use "stored" with an external one')
        self.begun = 0  # episodes, each with a seed of its own
        self._seeds = np.random.SeedSequence([experiment.first_seed + k, 0x5EED])
        self._lanes: dict[str, Any] | None = None
        self._act = jax.jit(_act)
        # Seeds take turns here, so that each has all devices for its lanes.
        self.devices = devices_for(lanes_to_share(algorithm), spare_devices(1))
        self._learn = jax.jit(shared(self._learned, self.devices))
        self.state = everywhere(self.state, self.devices)  # where the learner leaves it: it is compiled once

    def _learned(self, sharing: Sharing, state: Any, slots: Slots, carry: Any) -> Any:
        return learn(self.experiment.algorithm, state, carry, slots, sharing)

    def update(self) -> None:
        """Play, then learn."""
        algorithm = self.experiment.algorithm
        if isinstance(algorithm, A2C):
            self._lanes = None  # whole episodes: nothing runs on
            slots, carry = self._play(None)
        else:
            slots, carry = self._play(algorithm.rollout)
        self.state = self._learn(self.state, slots, everywhere(carry, self.devices))

    def running(self) -> dict[str, np.ndarray]:
        """The episodes under way, where the environment can be saved; nothing where they must begin anew, or whole ones are played."""
        if self._lanes is None or isinstance(self.experiment.algorithm, A2C) or not self.env.supports_save:
            return {}
        lanes = {f"lanes/{name}": array for name, array in to_arrays(self._lanes).items()}
        return lanes | {f"environments/{name}": array for name, array in self.env.save().items()}

    def go_on(self, arrays: dict[str, np.ndarray]) -> None:
        """Go on with the episodes that `running` gave, if any."""
        if not arrays or not self.env.supports_save:
            return
        lanes = self._begin()  # for its shapes
        self.env.load(_under(arrays, "environments/"))
        lanes = from_arrays(lanes, _under(arrays, "lanes/"))
        self._lanes = {name: value if name == "carry" else jax.tree.map(np.asarray, value) for name, value in lanes.items()}

    def _next_seeds(self) -> np.ndarray:
        """A seed for every lane; those that reset use theirs."""
        first = self.begun
        self.begun += self.count
        return np.asarray([int(self._seeds.generate_state(1)[0]) ^ ((first + i) * 2654435761 % 2**31) for i in range(self.count)]) % 2**31

    def _begin(self) -> dict[str, Any]:
        n = self.count
        observation, signals = self.env.reset(self._next_seeds(), np.ones(n, bool))
        actor = self.state.agent.actor
        action = np.asarray(actor.head(jnp.zeros((n, actor.trunk.features), jnp.float32)).mode())
        zeros = np.zeros(n, np.float32)
        return {
            "observation": observation,
            "signals": signals,
            "previous": np.zeros_like(action),
            "previous_reward": zeros if actor.trunk.reward else None,
            "start": np.ones(n, bool),
            "valid": np.ones(n, bool),
            "time": np.zeros(n, np.int32),
            "score": zeros,
            "discounted": zeros,
            "carry": actor.initial(n),
        }

    def _play(self, slots: int | None) -> tuple[Slots, Any]:
        """`slots` slots of lanes that restart, or (None) one whole episode a lane; laid out as `rollout.Slots`."""
        lanes = self._lanes or self._begin()
        agent = jax.device_put(vtrace.acting(self.state), jax.devices()[0])  # one device acts
        first_carry = lanes["carry"] = agent.actor.refreshed(lanes["carry"])
        names = self.experiment.agent.critic.signals
        discount = self.experiment.algorithm.discount
        self.state = self.state._replace(key=jax.random.split(self.state.key)[0])
        k_noise = jax.device_put(jax.random.fold_in(self.state.key, 7), jax.devices()[0])
        rows: list[dict[str, Any]] = []
        while (len(rows) < slots) if slots is not None else lanes["valid"].any():
            seen = self._seen(lanes)
            drawn, action, log_probability, carry = self._act(agent, seen, lanes["carry"], jax.random.fold_in(k_noise, len(rows)))
            drawn, valid = np.asarray(drawn), lanes["valid"]
            step = self.env.step(np.asarray(action), valid)
            reward = np.where(valid, step.reward, 0.0).astype(np.float32)
            terminated = valid & step.terminated
            cut = step.truncated | (slots is None and len(rows) + 1 >= longest(self.env))
            truncated = valid & cut & ~terminated
            score = lanes["score"] + reward
            discounted = lanes["discounted"] + reward * discount ** lanes["time"].astype(np.float32)
            rows.append(
                {
                    "seen": seen,
                    "signals": {n: lanes["signals"][n] for n in names},
                    "action": drawn,
                    "log_probability": np.asarray(log_probability),
                    "reward": reward,
                    "terminated": terminated,
                    "truncated": truncated,
                    "valid": valid,
                    "time": lanes["time"],
                    "score": score,
                    "discounted": discounted.astype(np.float32),
                }
            )
            lanes = {
                "observation": step.observation,
                "signals": step.signals,
                "previous": drawn,
                "previous_reward": None if lanes["previous_reward"] is None else reward,
                "start": np.zeros(self.count, bool),
                "valid": valid & ~terminated & ~truncated,
                "time": (lanes["time"] + valid).astype(np.int32),
                "score": score,
                "discounted": discounted.astype(np.float32),
                "carry": carry,
            }
            if slots is not None:
                self._restart(lanes, terminated | ~valid)
        self._lanes = lanes
        return self._stacked(rows, lanes, names, slots), first_carry

    def _restart(self, lanes: dict[str, Any], over: np.ndarray) -> None:
        """After a termination at once; after a cut once its final observation has been shown."""
        if not over.any():
            return
        lanes["observation"], lanes["signals"] = self.env.reset(self._next_seeds(), over)
        lanes["start"], lanes["valid"] = over.copy(), lanes["valid"] | over
        for name in ("time", "score", "discounted"):
            lanes[name] = np.where(over, 0, lanes[name]).astype(lanes[name].dtype)

    def _seen(self, lanes: dict[str, Any]) -> Seen:
        return Seen(lanes["observation"], lanes["previous"], lanes["start"], self.env.action_mask(), lanes["previous_reward"])

    def _stacked(self, rows: list[dict[str, Any]], lanes: dict[str, Any], names: tuple[str, ...], slots: int | None) -> Slots:
        """Time-major arrays; whole episodes are padded to a power of two, so that few lengths are ever compiled."""
        last = {"seen": self._seen(lanes), "signals": {n: lanes["signals"][n] for n in names}}
        length = slots if slots is not None else max(16, 1 << (len(rows) - 1).bit_length())

        def padded(*xs: Any) -> Any:
            stacked = np.stack([np.asarray(x) for x in xs])
            wanted = length + (len(xs) - len(rows))
            return np.concatenate([stacked, np.zeros((wanted - len(xs), *stacked.shape[1:]), stacked.dtype)])

        seen, signals = (jax.tree.map(padded, *[row[n] for row in rows], last[n]) for n in ("seen", "signals"))
        rest = {n: padded(*[row[n] for row in rows]) for n in rows[0] if n not in ("seen", "signals")}
        return Slots(seen=seen, signals=signals, **rest)


def _under(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _act(agent: ActorCritic, seen: Seen, carry: Any, key: Any) -> Any:
    carry, distribution, _ = agent.actor.step(carry, agent.perceived(seen))
    drawn = distribution.sample(agent.actor.head.noise(key, seen.start.shape))
    return drawn, agent.actor.head.to_environment(drawn), distribution.log_probability(drawn), carry
