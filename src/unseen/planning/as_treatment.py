"""A log of imposed decisions to plan or to act, as the estimators of `unseen.outcomes` read it.

The protocol is ours: decisions are drawn with a known probability p between 0.2 and 0.8, a function of logged features, and imposed by
forcing or forbidding the tag. What the model then writes, it writes as it would in any case: the ratio of a step is that of its decision
alone, and the model's own probabilities never enter. A decision that nobody drew, because a person holds the plan, is made by every policy:
its ratio is one, and nothing is asked about it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64

from unseen.data.episodes import Episodes
from unseen.errors import UserError
from unseen.outcomes import Columns, Transitions
from unseen.planning.accounting import check
from unseen.planning.estimand import Estimand
from unseen.planning.markov import Markov, markov_of
from unseen.planning.moments import FEATURE, Moment, moments
from unseen.planning.regions import FORCED, Region, place, regions_of, told_apart

LEAST, MOST = 0.2, 0.8  # of the probability of a plan
SLACK = 1e-9
LOGGING = "log with random:P or softened:P:SCHEDULE"
PLAN, ACT = "plan", "act"
SITUATION = "situation"


class Treatment(NamedTuple):
    """Decisions to plan, ready to be judged.

    Attributes:
        data: transitions with the actions "act" and "plan"; rewards are net of the price; modifiers are the logged features and the
            situation.
        policy: the evaluation policy at every one of them.
        estimand: what is to be estimated.
    """

    data: Transitions
    policy: Columns
    estimand: Estimand


def treatment(
    episodes: Episodes,
    estimand: Estimand | None = None,
    *,
    markov: Markov | None = None,
    regions: Sequence[Region] | None = None,
) -> Treatment:
    """The log as transitions (s, d, r − λ n, s') of imposed decisions with known probabilities.

    Args:
        episodes: of an agent under "random:P" or "softened:P:SCHEDULE", whose decisions were imposed, with the signals that the state
            needs.
        estimand: what "worth" means; None: its defaults.
        markov: the state; None: that of the environment of the log.
        regions: situations; None: those of the environment of the log.

    Raises:
        UserError: decisions that were not imposed, have no probability or one outside [0.2, 0.8], or of whose state nothing is known; an
            instance that is in the log twice.

    Source: ours; the protocol is in the specification of planning as a treatment.
    """
    estimand = estimand or Estimand()
    log = Log.of(episodes, estimand.horizon)
    name = str(episodes.info["environment"][0])
    markov = markov_of(name) if markov is None else markov
    regions = regions_of(name) if regions is None else regions
    told_apart(regions)
    now, following = log.moments, log.following
    states, after = _encoded(now, markov), _encoded(following, markov)
    ended = log.ended(estimand)
    open_end = ~ended & log.last  # the model failed: what would have followed is not known
    chance = np.array([estimand.probability(moment.situation) for moment in now])
    chance = np.where(log.forced, log.planned, chance)
    p = np.where(log.forced, log.planned, log.probability)
    table: dict[str, Any] = {
        "episode": episodes.episode_of_step[log.rows],
        "step": episodes.time_of_step[log.rows],
        "decision": np.where(log.planned, PLAN, ACT).tolist(),
        "reward": estimand.paid(episodes.rewards.astype(np.float64), episodes.accounts["plan_tokens"].astype(np.float64))[log.rows],
        "ended": ended,
        "p(plan)": p,
        "p(act)": 1 - p,
        **{f"state {key}": values for key, values in states.items()},
        **{f"next {key}": [None if gone else v for gone, v in zip(open_end, values, strict=True)] for key, values in after.items()},
        **{name: episodes.accounts[name].astype(np.float64)[log.rows] for name in episodes.accounts if name.startswith(FEATURE)},
        SITUATION: [FORCED if forced else place(regions, moment.features) for forced, moment in zip(log.forced, now, strict=True)],
    }
    data = Transitions.from_table(
        table,
        id="episode",
        time="step",
        state=[f"state {key}" for key in states],
        action="decision",
        reward="reward",
        terminated="ended",
        propensity={ACT: "p(act)", PLAN: "p(plan)"},
        next_state=[f"next {key}" for key in states],
        actions=(ACT, PLAN),
        modifiers=[SITUATION, *(name for name in table if name.startswith(FEATURE))],
    )
    # The decision that follows a row is the next row's; behind the last row of an episode nothing is decided.
    next_chance = np.append(chance[1:], 0.0)
    begin = np.flatnonzero(episodes.time_of_step[log.rows] == 0)
    policy = Columns(_both(chance[data.rows]), _both(next_chance[data.rows]), _both(chance[begin]))
    return Treatment(data, policy, estimand)


class Log(NamedTuple):
    """n decisions that count, in the order of the recording.

    Attributes:
        rows: (n,) of the recording.
        planned: (n,) whether a plan was imposed.
        probability: (n,) of a plan.
        forced: (n,) whether nobody drew, because a person held the plan.
        last: (n,) whether it is the last of its episode that was recorded; truncated, terminated: (n,).
        moments, following: what there was before, and behind.
    """

    rows: np.ndarray
    planned: Bool[np.ndarray, " n"]
    probability: Float64[np.ndarray, " n"]
    forced: Bool[np.ndarray, " n"]
    last: Bool[np.ndarray, " n"]
    truncated: Bool[np.ndarray, " n"]
    terminated: Bool[np.ndarray, " n"]
    moments: Sequence[Moment]
    following: Sequence[Moment]

    @classmethod
    def of(cls, episodes: Episodes, horizon: int | None = None) -> Log:
        """Read a recording, and see that it keeps the protocol.

        Raises:
            UserError: it does not.
        """
        require(episodes)
        within = np.ones(episodes.steps, np.bool_) if horizon is None else episodes.time_of_step < horizon
        rows = np.flatnonzero(within)
        now: list[Moment] = []
        following: list[Moment] = []
        for episode in episodes:
            each = moments(episode, horizon)
            count = len(episode) if horizon is None else min(len(episode), horizon)
            now += each[:count]
            following += each[1 : count + 1]
        last = np.zeros(episodes.steps, np.bool_)
        last[episodes.offsets[1:] - 1] = True
        return cls(
            rows,
            (episodes.text["mode"] == PLAN)[rows],
            episodes.accounts["plan_probability"].astype(np.float64)[rows],
            (episodes.accounts["held_for"] != 0)[rows],
            last[rows],
            episodes.truncated[rows],
            episodes.terminated[rows],
            now,
            following,
        )

    def ended(self, estimand: Estimand) -> Bool[np.ndarray, " n"]:
        """(n,) whether nothing that counts follows: the environment ended or cut the episode, or the horizon is reached."""
        beyond = np.array([not estimand.counts(moment.step + 1) for moment in self.moments])
        return self.terminated | self.truncated | beyond


def require(episodes: Episodes) -> None:
    """See that decisions were imposed, with a known probability.

    Raises:
        UserError: the first thing that the protocol forbids.
    """
    check(episodes)
    for name in ("plan_probability", "imposed", "held_for"):
        if name not in episodes.accounts:
            raise UserError(f"the log has no account {name!r}; {LOGGING}")
    p, drawn = episodes.accounts["plan_probability"].astype(np.float64), episodes.accounts["held_for"] == 0
    rules = (
        (drawn & ~episodes.accounts["imposed"].astype(bool), "was not imposed: the tag must be forced or forbidden; use a model that can"),
        (
            drawn & ~((p >= LEAST - SLACK) & (p <= MOST + SLACK)),
            f"was to plan with probability {{p:g}}, and must be drawn with one from {LEAST} to {MOST}; {LOGGING}",
        ),
    )
    for broken, said in rules:
        if broken.any():
            row = int(np.argmax(broken))
            e = int(episodes.episode_of_step[row])
            where = f"step {int(episodes.time_of_step[row])} of episode {e} (of {int(broken.sum())} such steps)"
            raise UserError(f"the decision in {where} {said.format(p=p[row])}")
    if not drawn.any():
        raise UserError("no decision of the log was drawn: a person held the plan in every step")
    seeds, times = np.unique(episodes.info.get("seed", np.arange(0)), return_counts=True)
    if (times > 1).any():
        k = int(np.argmax(times > 1))
        raise UserError(
            f"seed {seeds[k]} is in the log {times[k]} times (of {int((times > 1).sum())} such seeds): episodes of one instance are not "
            "independent, and intervals would be too short; give every recording once, and record more with another --seed"
        )


def _encoded(every: Sequence[Moment], markov: Markov) -> Mapping[str, list[Any]]:
    """The states, a list for each name.

    Raises:
        UserError: names that change, or none.
    """
    rows = [_state(markov, moment) for moment in every]
    names = list(rows[0])
    for moment, row in zip(every, rows, strict=True):
        if list(row) != names:
            raise UserError(
                f"the Markov state has the names {list(row)} at step {moment.step} of seed {moment.seed}, and {names} before; they must be "
                "the same"
            )
    if not names:
        raise UserError("the Markov state is empty; it needs at least the time that is left and the age of the plan")
    return {name: [row[name] for row in rows] for name in names}


def _state(markov: Markov, moment: Moment) -> Mapping[str, float | str]:
    """Raises:
    UserError: a function that fails, or that gives something else than named numbers.
    """
    where = f"the Markov state of step {moment.step} of seed {moment.seed}"
    try:
        found = markov(moment)
    except UserError:
        raise
    except Exception as error:
        said = next(iter(str(error).splitlines()), "")
        raise UserError(f"{where} fails with {type(error).__name__}: {said}; mend the function that is given as markov") from error
    if not isinstance(found, Mapping):
        raise UserError(f"{where} is of type {type(found).__name__}; give a dict of named numbers, or words where states are to be counted")
    return found


def _both(chance: Float64[np.ndarray, " m"]) -> Float64[np.ndarray, "m 2"]:
    """(m, 2) probabilities of acting and of planning."""
    return np.stack([1 - chance, chance], axis=1)
