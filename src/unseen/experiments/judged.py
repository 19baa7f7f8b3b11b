"""A trained agent as the policy that a log is asked about: what it would do at every step, its memory fed with what was seen and done."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float64, Int64

from unseen.agents.actor import Seen
from unseen.agents.build import ActorCritic
from unseen.agents.distributions import Categorical
from unseen.agents.heads import CategoricalHead
from unseen.agents.memory.feedforward import FeedForward
from unseen.agents.memory.gru import GRU
from unseen.data import Episodes, Transitions
from unseen.errors import UserError
from unseen.experiments.policy import Policy
from unseen.outcomes.policies import Columns

BATCH = 256  # episodes replayed together


def on_record(policy: Policy, episodes: Episodes, data: Transitions) -> Columns:
    """pi(. | h_t) along recorded episodes, to be judged from them by the learners of `unseen.outcomes`.

    The history h_t is the recorded one, whoever acted in it. For Q to be of this agent, the state of `data` must hold what the agent
    remembers: read `remembered(policy, episodes)`, with the signals that make the process Markov and with "signal.memory". Otherwise
    the policy is averaged over what whoever acted remembered in a state. Importance sampling needs no state. Episodes hold no legal
    actions: an agent that was trained with action masks is replayed without them.

    Args:
        policy: a trained agent's, from `unseen.load(run).policy()`; its actions are discrete.
        episodes: the log, with the observations that the agent was made for.
        data: `Transitions.from_episodes(episodes, actions=[every action the agent can take], ...)`.

    Returns:
        Probabilities at each step, at the step after it, and at each episode's first observation.

    Raises:
        UserError: an agent with other actions, or transitions that are not those of the episodes.
    """
    head = _head(policy)
    if not _the_same(data, episodes):
        raise UserError(
            f"the {len(data)} transitions of {data.n_trajectories} trajectories are not the {len(episodes.rewards)} steps of "
            f"{len(episodes)} episodes, row by row; make the one from the other: Transitions.from_episodes(episodes, ...)"
        )
    place = _places(head, data)
    p = np.zeros((len(episodes.rewards) + len(episodes), data.n_actions))
    for begin in range(0, len(episodes), BATCH):
        some = np.arange(begin, min(begin + BATCH, len(episodes)))
        rows, found = _replayed(policy.agent, episodes, some)
        p[np.ix_(rows, place)] = found
    now = episodes.rows_of_steps
    first = episodes.offsets[:-1] + np.arange(len(episodes))
    return Columns(p[now], p[now + 1], p[first])


def _the_same(data: Transitions, episodes: Episodes) -> bool:
    """Whether rows are steps, in order."""
    if len(data) != len(episodes.rewards) or data.n_trajectories != len(episodes):
        return False
    actions = np.array(data.action_labels)[data.actions]
    return bool(
        np.array_equal(data.trajectory, episodes.episode_of_step)
        and np.array_equal(data.rewards, episodes.rewards)
        and np.array_equal(actions, episodes.actions)
    )


def _head(policy: Policy) -> CategoricalHead:
    head = policy.agent.actor.head
    if not isinstance(head, CategoricalHead) or head.multiple:
        raise UserError("only an agent that chooses one of several actions can be judged from a log; this one's actions are vectors")
    return head


def remembered(policy: Policy, episodes: Episodes) -> Episodes:
    """The episodes with one more signal, `memory`: z_t, what the agent's memory holds at each observation.

    What is left out of the state but remembered by the agent makes its choices depend on more than the state. State and memory
    together do not leave anything out: the memory moves by what is observed and done alone (and paid, where the agent reads rewards), so
    that the two are a Markov process under any policy, and this agent's choices are a function of them.

    Args:
        policy: a trained agent's, with a GRU or without memory: what other memories put out is a part of what they remember. At most 64
            numbers of memory can be a state.
        episodes: the log.

    Raises:
        UserError: another memory, other actions, or a signal that is called memory already.
    """
    _head(policy)
    memory = policy.agent.actor.trunk.memory
    if not isinstance(memory, GRU | FeedForward):
        raise UserError(f"what a {type(memory).__name__} puts out is a part of what it remembers; only GRU and FeedForward will do")
    if "memory" in episodes.signals:
        raise UserError("the episodes have a signal called 'memory' already; rename it")
    found = np.zeros((len(episodes.rewards) + len(episodes), policy.agent.actor.trunk.features))
    for begin in range(0, len(episodes), BATCH):
        some = np.arange(begin, min(begin + BATCH, len(episodes)))
        rows, valid, seen = _seen(episodes, some, policy.agent)
        found[rows[valid]] = np.asarray(_asked(_features, policy.agent, seen), np.float64)[valid]
    return replace(episodes, signals={**episodes.signals, "memory": found})


def _places(head: CategoricalHead, data: Transitions) -> Int64[np.ndarray, " A"]:
    """Where each of the agent's actions stands among the data's."""
    labels = [int(head.first[0]) + k for k in range(head.sizes[0])]
    missing = [label for label in labels if label not in data.action_labels]
    if missing:
        raise UserError(f"the agent may take action {missing[0]}, which the data do not know; read them with actions={labels}")
    return np.array([data.action_labels.index(label) for label in labels], np.int64)


def _replayed(
    agent: ActorCritic, episodes: Episodes, some: Int64[np.ndarray, " B"]
) -> tuple[Int64[np.ndarray, " m"], Float64[np.ndarray, "m A"]]:
    """Numbers of the observations of some episodes, and the agent's probabilities at each."""
    rows, valid, seen = _seen(episodes, some, agent)
    p = np.exp(np.asarray(_asked(_log_probabilities, agent, seen), np.float64)[valid])
    return rows[valid], p / p.sum(axis=1, keepdims=True)


def _seen(
    episodes: Episodes, some: Int64[np.ndarray, " B"], agent: ActorCritic
) -> tuple[Int64[np.ndarray, "T B"], Bool[np.ndarray, "T B"], Seen]:
    """(T, B) numbers of the observations of some episodes, which of them there are, and what an agent sees there."""
    head: Any = agent.actor.head
    lengths = np.diff(episodes.offsets)[some]
    t = np.arange(lengths.max() + 1)[:, None]
    valid = t <= lengths
    rows = episodes.offsets[some] + some + np.minimum(t, lengths)  # behind the end the last one again
    observation = {name: jnp.asarray(values[rows]) for name, values in episodes.observations.items()}
    known = (episodes.actions >= int(head.first[0])) & (episodes.actions < int(head.first[0]) + head.sizes[0])
    if not known.all():
        raise UserError(f"action {episodes.actions[~known][0]} in the log is none of this agent's {head.sizes[0]}")
    before = np.clip(t - 1, 0, lengths - 1) + episodes.offsets[some]
    seen = Seen(
        observation["observation"] if list(observation) == ["observation"] else observation,
        jnp.asarray(episodes.actions[before] - int(head.first[0]), jnp.int32),
        jnp.asarray(np.broadcast_to(t == 0, valid.shape)),
        None,
        jnp.asarray(episodes.rewards[before], jnp.float32) if agent.actor.trunk.reward else None,
    )
    return rows, valid, seen


def _asked(what: Any, agent: ActorCritic, seen: Seen) -> Any:
    try:
        return what(agent, seen)
    except (TypeError, ValueError, KeyError) as error:
        told = next(iter(str(error).splitlines()), "")
        raise UserError(f"the agent was made for other observations than the log's: {told}") from error


@eqx.filter_jit
def _log_probabilities(agent: ActorCritic, seen: Seen) -> Any:
    """(T, B, A)."""
    _, distribution, _ = agent.actor.unroll(agent.actor.initial(seen.start.shape[1]), agent.perceived(seen))
    assert isinstance(distribution, Categorical)
    return distribution.log_p


@eqx.filter_jit
def _features(agent: ActorCritic, seen: Seen) -> Any:
    """(T, B, H)."""
    return agent.actor.trunk.unroll(agent.actor.initial(seen.start.shape[1]), agent.perceived(seen))[1]
