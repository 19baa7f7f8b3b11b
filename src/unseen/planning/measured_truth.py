"""What planning was truly worth in the states of a log: each of them played on, with a plan now and with none, under the evaluation policy.

Where a world can be forked, an estimate from a log can be held against this. Discount, horizon and price are those of one `Estimand`, and a
state is put together from the recording: the same seed and the same actions give the same world.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import polars as pl

from unseen.data.episodes import Episodes
from unseen.environments.text.contract import TextEnvironment
from unseen.environments.text.registry import make
from unseen.errors import UserError
from unseen.planning.accounting import Estimate, ratio
from unseen.planning.agent import Agent
from unseen.planning.as_treatment import Log
from unseen.planning.estimand import Estimand
from unseen.planning.moments import Moment
from unseen.planning.paired_runs import State, compared, net_return
from unseen.planning.regions import Region, place, regions_of, told_apart

DRAWING = 3  # of the draws that choose decisions of a log


class Truth(NamedTuple):
    """What was measured.

    Attributes:
        states: a row per state, as in `Worth.states`, with its `situation`; "worth" is net of the price.
        shares: situation -> its share of the decisions of the log.
        replicates: of each arm and state.
        estimand: what was measured.
    """

    states: pl.DataFrame
    shares: Mapping[str, float]
    replicates: int
    estimand: Estimand

    def by_region(self) -> pl.DataFrame:
        """The mean worth in each situation, with its error over states; states of one episode count as one.

        Returns:
            Columns situation, states, share, mean, standard_error, low, high.
        """
        rows = []
        for name, share in self.shares.items():
            part = self.states.filter(pl.col("situation") == name)
            if len(part):
                rows.append({"situation": name, "states": len(part), "share": share, **_mean(part)._asdict()})
        return pl.DataFrame(rows)


def truth(
    agent: Agent,
    environment: TextEnvironment | str,
    episodes: Episodes,
    estimand: Estimand | None = None,
    *,
    regions: Sequence[Region] | None = None,
    states: int = 200,
    replicates: int = 64,
    seed: int = 0,
    live: int = 64,
) -> Truth:
    """Measure Q(s, plan) − Q(s, act) in states of a log.

    From each state two arms of `replicates` continuations are played, one whose first step must plan and one whose first step must not;
    both then follow the evaluation policy, and the k-th continuations of both draw from the same random numbers.

    Args:
        agent: who played the log.
        environment: where it was played, with the same settings; or its name.
        episodes: the log.
        estimand: what "worth" means; None: its defaults.
        regions: situations; None: those of the environment of the log.
        states: decisions, as many from each situation, drawn uniformly within it; fewer where it has fewer.
        replicates: continuations of each arm and state.
        seed: of the choice of decisions.
        live: continuations at the same time.

    Raises:
        UserError: numbers below 1, a log that breaks the protocol, one in which a person held plans, or one that was played in another
            world or with another window.

    Source: ours; A_plan is defined by Paglieri et al. 2025 and not measured there.
    """
    if min(states, replicates, live) < 1:
        raise UserError(f"states = {states}, replicates = {replicates}, live = {live} of a truth must be 1 or more")
    estimand = estimand or Estimand()
    environment = make(environment) if isinstance(environment, str) else environment
    regions = regions_of(environment.name) if regions is None else regions
    told_apart(regions)
    log = Log.of(episodes, estimand.horizon)
    _same_limits(agent, environment, episodes)
    if log.forced.any():
        raise UserError("a person held plans in this log, and cannot be asked again; measure the truth on a log that nobody steered")
    names = np.array([place(regions, moment.features) for moment in log.moments], object)
    chosen, shares = _chosen(names, np.arange(len(names)), states, [region.name for region in regions], seed)
    found = [_forked(episodes, int(log.rows[i]), log.moments[i], environment) for i in chosen]
    after = replace(agent, schedule=estimand.then)
    begun = {(state.seed, state.step): str(names[i]) for i, state in zip(chosen, found, strict=True)}

    def valued(one):  # a continuation's own step is where it is now
        return net_return(one, one.step - len(one.record), estimand)

    rows = compared(agent, after, environment, found, replicates, live, valued)
    if not rows:
        raise UserError(f"the model {agent.model.name!r} failed in every continuation")
    table = pl.DataFrame(rows, infer_schema_length=None).with_columns(
        pl.Series("situation", [begun[row["seed"], row["step"]] for row in rows], pl.String)
    )
    return Truth(table, shares, replicates, estimand)


def _chosen(names: np.ndarray, drawn: np.ndarray, states: int, order: Sequence[str], seed: int) -> tuple[list[int], dict[str, float]]:
    """As many decisions from each situation, and the situations' shares of all."""
    generator = np.random.default_rng((seed, DRAWING))
    present = [name for name in dict.fromkeys([*order, *names[drawn]]) if (names[drawn] == name).any()]
    chosen: list[int] = []
    for k, name in enumerate(present):
        inside = drawn[names[drawn] == name]
        wanted = (states - len(chosen)) // (len(present) - k)
        chosen += sorted(generator.choice(inside, min(wanted, len(inside)), replace=False).tolist())
    return chosen, {name: float((names[drawn] == name).mean()) for name in present}


def _same_limits(agent: Agent, environment: TextEnvironment, episodes: Episodes) -> None:
    """Raises:
    UserError: another window, or another time limit: neither is to be seen in what was observed.
    """
    for name, own in (("history", agent.history), ("max_steps", environment.max_steps)):
        logged = sorted(set(map(int, episodes.info[name])))
        if logged != [own]:
            raise UserError(
                f"the log was played with {name} {', '.join(map(str, logged))}, and here it is {own}; give what it was played with"
            )


def _forked(episodes: Episodes, row: int, moment: Moment, environment: TextEnvironment) -> State:
    """The state before a recorded decision: the episode's actions again, from its seed.

    Raises:
        UserError: something else is seen there than was recorded, or was paid before.
    """
    world = copy.deepcopy(environment)
    first = row - moment.step
    seen = world.reset(moment.seed)
    alike = True
    for action, reward in zip(episodes.actions[first:row], episodes.rewards[first:row], strict=True):
        step = world.step(str(action))
        seen, alike = step.observation, alike and math.isclose(step.reward, float(reward), rel_tol=1e-5, abs_tol=1e-6)
    if seen != moment.now or not alike:
        other = "shows something else" if seen != moment.now else "was reached with other rewards"
        raise UserError(
            f"step {moment.step} of seed {moment.seed} {other} here than in the log; give the environment with the settings that the log "
            f"was played with ({episodes.info['environment'][0]})"
        )
    return State(
        moment.seed,
        moment.step,
        world.snapshot(),
        moment.now,
        moment.past,
        moment.slot,
        moment.events,
        moment.illegal,
        moment.plan_tokens,
    )


def _mean(table: pl.DataFrame) -> Estimate:
    groups = table.group_by("seed").agg(pl.col("worth").sum(), pl.len())
    return ratio(groups["worth"].to_numpy(), groups["len"].to_numpy().astype(np.float64))
