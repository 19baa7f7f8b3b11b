"""What a person's plan is worth to an agent: plans of known quality in its slot from the first step on, and the best of N attempts.

The paper shows that agents trained to plan can be steered by people's plans; its protocol was not found. Plans of known quality stand in
for a person's here, and reach the model as a person's do (`unseen plan steer`): through the slot, under the owner "human".
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float

from unseen.environments.text.contract import TextEnvironment
from unseen.environments.text.graph_search import GraphSearch
from unseen.errors import UserError
from unseen.planning.agent import Agent
from unseen.planning.play import play_step
from unseen.planning.steering import Intervention, graph_plans, intervene
from unseen.planning.steps import begin

PEOPLE = 4  # marks the draws of plans
OUTPUT = ("reasoning_tokens", "plan_tokens", "action_tokens")

Plans = Callable[[Any, np.random.Generator], Mapping[str, "str | None"]]
"""(environment at the first step, generator) -> a plan by kind; None: no plan of this kind, the agent is left alone."""


def human_plans(
    agent: Agent,
    environment: TextEnvironment,
    episodes: int = 100,
    seed: int = 0,
    *,
    attempts: int = 8,
    hold: float = 0.0,
    plans: Plans | None = None,
    live: int = 64,
) -> pl.DataFrame:
    """Many attempts at each instance under each kind of plan.

    Args:
        agent: who is given plans; it goes on by its own schedule.
        environment: where.
        episodes, seed: instances, and the first one's seed.
        attempts: at each instance under each kind; they differ in what the model draws.
        hold: steps for which the model must keep a plan; 0: it is a suggestion that the model may replace.
        plans: by kind; default, in graph search: none, correct, wrong and shuffled (see `graph_plans`).
        live: attempts at the same time.

    Returns:
        A row per attempt: seed, kind, attempt, return, success, steps, output_tokens. An instance without one of the kinds is left out for
        all of them, and so is one with an attempt in which the model failed for good.

    Raises:
        UserError: numbers below 1, plans to be held by a model that cannot be kept from replacing them, an environment without plans of
            known quality, or no instance that has all kinds.
    """
    if min(episodes, attempts, live) < 1 or seed < 0 or not hold >= 0:
        raise UserError("episodes, attempts and live of human_plans must be 1 or more, seed and hold 0 or more")
    if hold and not agent.can_hold:
        raise UserError(f"model {agent.model.name!r} cannot be kept from replacing a plan; suggest the plan instead of holding it")
    if plans is None and not isinstance(environment, GraphSearch):
        raise UserError(f"human_plans knows plans of known quality in graph-search, not in {environment.name}; give plans=…")
    waiting = []
    for number in range(seed, seed + episodes):
        world = copy.deepcopy(environment)
        world.reset(number)
        kinds = (plans or _of_known_quality)(world, np.random.default_rng((number, PEOPLE)))
        if all(plan is not None or kind == "none" for kind, plan in kinds.items()):
            waiting += [(number, kind, plan, k) for kind, plan in kinds.items() for k in range(attempts)]
    if not waiting:
        raise UserError("no instance has a plan of every kind; give more episodes, or larger instances")
    rows = [row for k in range(0, len(waiting), live) for row in _attempts(agent, environment, waiting[k : k + live], hold)]
    failed = {row["seed"] for row in rows if row.pop("failed")}
    return pl.DataFrame([row for row in rows if row["seed"] not in failed], infer_schema_length=None)


def _of_known_quality(environment: Any, generator: np.random.Generator) -> Mapping[str, str | None]:
    return graph_plans(environment, generator)


def _attempts(
    agent: Agent, environment: TextEnvironment, asked: Sequence[tuple[int, str, str | None, int]], hold: float
) -> list[dict[str, Any]]:
    """A row for each (seed, kind, plan, attempt)."""
    everyone = [begin(agent, copy.deepcopy(environment), number) for number, *_ in asked]
    for live, (_, _, plan, k) in zip(everyone, asked, strict=True):
        live.replicate = 1 + k
        if plan is not None:
            intervene(agent, live, Intervention(0, plan, hold), "human")
    playing = list(everyone)
    while playing:
        play_step(agent, playing)
        playing = [live for live in playing if not live.over]
    return [
        {
            "seed": number,
            "kind": kind,
            "attempt": k,
            "return": float(sum(row["reward"] for row in live.record)),
            "success": bool(live.record and live.record[-1]["terminated"]),
            "steps": len(live.record),
            "output_tokens": int(sum(row["accounts"][name] for row in live.record for name in OUTPUT)),
            "failed": bool(live.error),
        }
        for live, (number, kind, _, k) in zip(everyone, asked, strict=True)
    ]


def best_of(values: Float[np.ndarray, " m"], n: int) -> float:
    """The expected best of n attempts, estimated without bias from m of them.

    E[max of n drawn without replacement] = Σ_i x_(i) · C(i − 1, n − 1) / C(m, n),  x_(1) ≤ … ≤ x_(m)

    Args:
        values: (m,) of attempts at the same instance.
        n: from 1, where it is the mean, to m, where it is the maximum.

    Raises:
        UserError: n below 1 or above m.

    Source: the estimator of pass@k (Chen et al. 2021) for values that are not only 0 and 1.
    """
    ordered = np.sort(np.asarray(values, np.float64))
    m = len(ordered)
    if not 1 <= n <= m:
        raise UserError(f"n = {n} must be from 1 to the {m} attempts that there are")
    ways = [math.comb(i, n - 1) for i in range(m)]
    return float(np.dot(ordered, np.array(ways, np.float64)) / math.comb(m, n))
