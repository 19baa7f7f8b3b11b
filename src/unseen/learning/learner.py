"""The learner: from an environment, an agent and an algorithm to pure functions that start, update and run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from unseen.agents.build import ActorCritic, build
from unseen.agents.normalise import ReturnScale
from unseen.agents.settings import MEM, Agent
from unseen.learning import a2c, ppo, vtrace
from unseen.learning.guard import refuse_biased, refuse_impossible
from unseen.learning.levels import mixture
from unseen.learning.rollout import BatchLoop, Slots
from unseen.learning.settings import A2C, PPO, Algorithm, VTrace
from unseen.learning.sharing import ALONE, Sharing
from unseen.learning.source import Generated, Pool
from unseen.learning.state import EpisodeLog, TrainState, losses_of


class Learner(NamedTuple):
    """Pure functions of one seed, jit- and vmap-able.

    Attributes:
        init: key -> the state before the first update.
        update: one collect-and-learn step.
        advance: (state, env_steps) -> updates until that many environment steps are done, or something is not finite.
        report: state -> (averages since the last report, state with its sums cleared).
    """

    init: Callable[[PRNGKeyArray], TrainState]
    update: Callable[[TrainState], TrainState]
    advance: Callable[[TrainState, Array], TrainState]
    report: Callable[[TrainState], tuple[dict[str, Array], TrainState]]


def make_learner(
    environment: Any,
    agent: Agent,
    algorithm: Algorithm,
    *,
    level: str = "train",
    reset_pool: int = 0,
    buckets: bool = True,
    sharing: Sharing = ALONE,
) -> Learner:
    """The learner of an agent on an environment.

    Args:
        environment: an `unseen.environments.Environment`.
        agent, algorithm: settings.
        level: the mixture of levels to train on.
        reset_pool: n keeps n levels made beforehand (see `source.Pool`); 0 as many as the environment asks for by an attribute
            `reset_pool`, and if it has none generates a level for every episode.
        buckets: A2C learns on episodes cut to the shortest of a few lengths. Switch it off under `vmap`, where every length
            would be computed.
        sharing: with more than one device, PPO's gradients are shared among them; the functions then run inside `shard_map`
            over `sharing.AXIS`, with the same state on every device.

    Raises:
        UserError: for a biased or impossible construction, an unknown signal or level, an unsupported space.
    """
    refuse_impossible(algorithm, agent)
    refuse_biased(agent, algorithm)
    reset_pool = reset_pool or getattr(environment, "reset_pool", 0)
    if reset_pool and reset_pool < 64:
        raise ValueError(f"reset_pool = {reset_pool}; it must be 0 or at least 64 (4,096 or more where levels could be memorised)")
    levels = mixture(environment, level)
    params = levels.entries[0]
    spaces = environment.observation_space(params), environment.action_space(params), dict(environment.signal_spaces(params))
    loop = BatchLoop(environment, levels, agent.critic.signals, algorithm.discount, recalling=replays(agent, algorithm))

    def init(key: PRNGKeyArray) -> TrainState:
        k_agent, k_source, k_lanes, k_run = jax.random.split(key, 4)
        model = build(agent, *spaces, k_agent, environment=environment.name)
        source = Pool.filled(k_source, reset_pool, environment, levels) if reset_pool else Generated()
        state = initial_state(model, algorithm, k_run, source)
        if isinstance(algorithm, A2C):
            return state
        source, lanes = loop.fresh(model, source, k_lanes, algorithm.environments)
        state = state._replace(source=source, lanes=lanes)
        if isinstance(algorithm, PPO) and algorithm.carries == "recomputed":
            # Before the first rollout nothing was seen: zeros, whose carries the first slot's start flag discards.
            slots = jax.eval_shape(lambda: collect(state)[2])
            rollout = algorithm.rollout
            seen = jax.tree.map(lambda x: jnp.zeros((rollout, *x.shape[1:]), x.dtype), slots.seen)
            state = state._replace(before=(seen, lanes.carry, state.critic_carry))
        return state

    def collect(state: TrainState) -> tuple[TrainState, Any, Slots]:
        """Plays with the current policy; returns the actor's carry at the first slot too."""
        key, k_play, k_refresh = jax.random.split(state.key, 3)
        state = state._replace(key=key)
        if isinstance(algorithm, A2C):
            source, slots = loop.episodes(state.agent, state.source, k_play, algorithm.episodes_per_update)
            carry = ()
        else:
            lanes: Any = state.lanes
            agent = vtrace.acting(state)
            carry = agent.actor.refreshed(lanes.carry)
            lanes, source, slots = loop.continuous(agent, lanes._replace(carry=carry), state.source, k_play, algorithm.rollout)
            state = state._replace(lanes=lanes)
        return state._replace(source=source.refreshed(k_refresh, environment, levels)), carry, slots

    def update(state: TrainState) -> TrainState:
        return learn(algorithm, *collect(state), sharing, buckets=buckets)

    return Learner(init, update, _advance(update), report)


def replays(agent: Agent, algorithm: Algorithm) -> bool:
    """Whether a learner can use what its actor recalled, and need not search again: its first pass is made with the very parameters that
    acted, over the actor's memory."""
    if not isinstance(agent.memory, MEM):
        return False
    match algorithm:
        case A2C():
            return True
        case PPO():
            return agent.critic.shared_trunk or ppo.single_pass(algorithm)
        case VTrace():
            return algorithm.lag == 0


def learn(
    algorithm: Algorithm, state: TrainState, carry: Any, slots: Slots, sharing: Sharing = ALONE, *, buckets: bool = False
) -> TrainState:
    """The state after the algorithm has learnt from these slots, whose actor had this carry at the first."""
    match algorithm:
        case A2C():
            return a2c.learn(algorithm, state, slots, in_buckets=buckets)
        case PPO():
            return ppo.learn(algorithm, state, slots, carry, sharing)
        case VTrace():
            return vtrace.learn(algorithm, state, slots, carry, sharing)


def initial_state(model: ActorCritic, algorithm: Algorithm, key: PRNGKeyArray, source: Any) -> TrainState:
    """The state of a run before its first update, without its environments."""
    zero = jnp.zeros((), jnp.int32)
    critic: Any = model.critic
    target, critic_carry, returns, actors, optimiser = (), (), (), (), ()
    match algorithm:
        case A2C():
            # A copy: the target must not share its buffers with the critic, since both are donated.
            target = jax.tree.map(jnp.copy, critic)
            optimiser = tuple(a2c.optimiser(algorithm).init(part) for part in model.trained)
        case PPO():
            optimiser = ppo.optimiser(algorithm).init(model.trained)  # type: ignore[arg-type]
            returns = ReturnScale.fresh(algorithm.environments) if algorithm.normalise_returns else ()
        case VTrace():
            optimiser = vtrace.optimiser(algorithm).init(model.trained)  # type: ignore[arg-type]
            actors = vtrace.first_actors(algorithm, model)
    if not isinstance(algorithm, A2C):
        critic_carry = critic.initial(algorithm.environments)
    return TrainState(
        agent=model,
        target=target,
        optimiser=optimiser,
        source=source,
        lanes=(),
        critic_carry=critic_carry,
        before=(),
        returns=returns,
        key=key,
        env_steps=zero,
        copied_at=zero,
        updates=zero,
        log=EpisodeLog.empty(),
        sums={name: jnp.zeros((), jnp.float32) for name in losses_of(model)},
        summed=zero,
        fault=zero,
        fault_steps=zero,
        actors=actors,
    )


def _advance(update: Callable[[TrainState], TrainState]) -> Callable[[TrainState, Array], TrainState]:
    def advance(state: TrainState, env_steps: Array) -> TrainState:
        def going(state: TrainState) -> Array:
            return (state.env_steps < env_steps) & (state.fault == 0)

        return jax.lax.while_loop(going, update, state)

    return advance


def report(state: TrainState) -> tuple[dict[str, Array], TrainState]:
    """Averages of the losses since the last report and of the recent episodes, and the state with its sums cleared."""
    n = jnp.maximum(state.summed.astype(jnp.float32), 1.0)
    metrics = {name: total / n for name, total in state.sums.items()} | state.log.means()
    metrics["episodes"] = state.log.count.astype(jnp.float32)
    if isinstance(state.source, Pool):
        metrics["level_reuse"] = state.source.dealt.astype(jnp.float32) / (state.source.size + state.source.redrawn).astype(jnp.float32)
    cleared = state._replace(sums=jax.tree.map(jnp.zeros_like, state.sums), summed=jnp.zeros_like(state.summed))
    return metrics, cleared


def make_train(
    environment: Any, agent: Agent, algorithm: Algorithm, *, env_steps: int = 1_000_000, reports: int = 100, reset_pool: int = 0
) -> Callable[[PRNGKeyArray], tuple[TrainState, dict[str, Array]]]:
    """`train(key) -> (state, metrics)`: the loop and nothing else; pure, jit- and vmap-able.

    Args:
        environment, agent, algorithm: what learns, where and how.
        env_steps: environment steps to train for.
        reports: number of rows of the metrics, each (reports,), evenly spaced over the budget.
        reset_pool: see `make_learner`.
    """
    learner = make_learner(environment, agent, algorithm, reset_pool=reset_pool, buckets=False)
    marks = jnp.asarray([round(env_steps * (k + 1) / reports) for k in range(reports)], jnp.int32)

    def train(key: PRNGKeyArray) -> tuple[TrainState, dict[str, Array]]:
        def interval(state: TrainState, mark: Array) -> tuple[TrainState, dict[str, Array]]:
            metrics, state = learner.report(learner.advance(state, mark))
            return state, metrics | {"env_steps": state.env_steps}

        return jax.lax.scan(interval, learner.init(key), marks)

    return train
