"""A trained agent as the policy that a log is asked about: what it would do at every step, its memory fed with what was seen and done."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64, Int64

from unseen.agents.actor import Seen
from unseen.agents.build import ActorCritic
from unseen.agents.distributions import Categorical
from unseen.agents.heads import CategoricalHead
from unseen.data import Episodes, Transitions
from unseen.errors import UserError
from unseen.experiments.policy import Policy
from unseen.outcomes.policies import Columns

BATCH = 256  # episodes replayed together


def on_record(policy: Policy, episodes: Episodes, data: Transitions) -> Columns:
    """pi(. | h_t) along recorded episodes, to be judged from them by the learners of `unseen.outcomes`.

    The history h_t is the recorded one, whoever acted in it. The agent's memory may hold more than the state of `data`; estimates of Q
    are then of the policy averaged over what it remembers in a state, and it is for the state to make the process Markov: give the
    learner what the simulator knows (signals), or a summary of the history, rather than a partial observation.

    Args:
        policy: a trained agent's, from `unseen.load(run).policy()`; its actions are discrete.
        episodes: the log, with the observations that the agent was made for.
        data: `Transitions.from_episodes(episodes, actions=[every action the agent can take], ...)`.

    Returns:
        Probabilities at each step, at the step after it, and at each episode's first observation.

    Raises:
        UserError: an agent with other actions, or transitions that are not those of the episodes.
    """
    head = policy.agent.actor.head
    if not isinstance(head, CategoricalHead) or head.multiple:
        raise UserError("only an agent that chooses one of several actions can be judged from a log; this one's actions are vectors")
    if len(data) != len(episodes.rewards) or data.n_trajectories != len(episodes):
        raise UserError(
            f"the transitions are {len(data)} of {data.n_trajectories} trajectories, the episodes {len(episodes.rewards)} steps of "
            f"{len(episodes)}; make the one from the other: Transitions.from_episodes(episodes, ...)"
        )
    place = _places(head, data)
    p = np.zeros((len(episodes.rewards) + len(episodes), data.n_actions))
    for begin in range(0, len(episodes), BATCH):
        some = np.arange(begin, min(begin + BATCH, len(episodes)))
        rows, found = _replayed(policy.agent, episodes, some, int(head.first[0]))
        p[np.ix_(rows, place)] = found
    now = episodes.rows_of_steps
    first = episodes.offsets[:-1] + np.arange(len(episodes))
    return Columns(p[now], p[now + 1], p[first])


def _places(head: CategoricalHead, data: Transitions) -> Int64[np.ndarray, " A"]:
    """Where each of the agent's actions stands among the data's."""
    labels = [int(head.first[0]) + k for k in range(head.sizes[0])]
    missing = [label for label in labels if label not in data.action_labels]
    if missing:
        raise UserError(f"the agent may take action {missing[0]}, which the data do not know; read them with actions={labels}")
    return np.array([data.action_labels.index(label) for label in labels], np.int64)


def _replayed(
    agent: ActorCritic, episodes: Episodes, some: Int64[np.ndarray, " B"], first: int
) -> tuple[Int64[np.ndarray, " m"], Float64[np.ndarray, "m A"]]:
    """Numbers of the observations of some episodes, and the agent's probabilities at each."""
    lengths = np.diff(episodes.offsets)[some]
    t = np.arange(lengths.max() + 1)[:, None]
    valid = t <= lengths
    row = episodes.offsets[some] + some + np.minimum(t, lengths)  # of observations; behind the end the last one again
    observation = {name: jnp.asarray(values[row]) for name, values in episodes.observations.items()}
    before = np.clip(t - 1, 0, lengths - 1) + episodes.offsets[some]
    seen = Seen(
        observation["observation"] if list(observation) == ["observation"] else observation,
        jnp.asarray(episodes.actions[before] - first, jnp.int32),
        jnp.asarray(np.broadcast_to(t == 0, valid.shape)),
        None,
    )
    log_p = np.asarray(_log_probabilities(agent, seen), np.float64)
    p = np.exp(log_p[valid])
    return row[valid], p / p.sum(axis=1, keepdims=True)


@eqx.filter_jit
def _log_probabilities(agent: ActorCritic, seen: Seen) -> Any:
    """(T, B, A)."""
    _, distribution, _ = agent.actor.unroll(agent.actor.initial(seen.start.shape[1]), agent.perceived(seen))
    assert isinstance(distribution, Categorical)
    return distribution.log_p
