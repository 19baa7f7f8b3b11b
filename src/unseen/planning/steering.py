"""Plans from outside: a script or a person writes into an agent's slot while it plays; and whether it obeys."""

from __future__ import annotations

import copy
import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from unseen.data.episodes import Episodes
from unseen.environments.text.contract import TextEnvironment
from unseen.environments.text.graph_search import GraphSearch
from unseen.errors import UserError, unknown
from unseen.planning.agent import Agent
from unseen.planning.paired_runs import State, states
from unseen.planning.play import gathered, play_step
from unseen.planning.schedules import Never
from unseen.planning.slot import EMPTY, Owner
from unseen.planning.steps import Live, begin


class Intervention(NamedTuple):
    """A plan set from outside.

    Attributes:
        step: before which it is set.
        plan: None takes the held plan away.
        hold: steps for which the model must keep it; infinity: until another intervention; 0: it is a suggestion.
    """

    step: int
    plan: str | None
    hold: float = 0.0


def read_script(path: str | Path) -> list[Intervention]:
    """Interventions from a TOML file: tables [[plan]] with step, text and hold (steps, or "until released"); without text the plan goes.

    Raises:
        UserError: no such file, not TOML, or an entry that says nothing sensible.
    """
    try:
        found = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{str(path)!r}: {error.strerror}; give a TOML file with tables [[plan]]") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{str(path)!r} is not TOML: {error}") from None
    for name in found.keys() - {"plan"}:
        raise unknown(f"table of the script {str(path)!r}", name, ["plan"])
    tables = found.get("plan", [])
    if not isinstance(tables, list) or not all(isinstance(entry, dict) for entry in tables):
        raise UserError(f"plan in the script {str(path)!r} must be tables; begin each with [[plan]], in two pairs of brackets")
    script = [_intervention(entry, k) for k, entry in enumerate(tables)]
    if not script:
        raise UserError(f"the script {str(path)!r} sets no plan; write tables [[plan]] with step and text")
    return sorted(script, key=lambda one: one.step)


def _intervention(entry: Mapping[str, Any], k: int) -> Intervention:
    for name in entry.keys() - {"step", "text", "hold"}:
        raise unknown(f"entry of plan {k} of the script", name, ["step", "text", "hold"])
    step, text, hold = entry.get("step"), entry.get("text"), entry.get("hold", 0)
    if type(step) is not int or step < 0:
        raise UserError(f"plan {k} of the script: step = {step!r} must be a whole number, 0 or more")
    if text is not None and (not isinstance(text, str) or not text.strip()):
        raise UserError(f"plan {k} of the script: text = {text!r} must say something; leave it out to take the plan away")
    if hold == "until released":
        hold = math.inf
    if isinstance(hold, bool) or not isinstance(hold, int | float) or not hold >= 0:
        raise UserError(f'plan {k} of the script: hold = {hold!r} must be steps, 0 or more, or "until released"')
    return Intervention(step, text, float(hold))


def intervene(agent: Agent, live: Live, one: Intervention, owner: Owner) -> None:
    """Write into the slot before the next prompt is built.

    Raises:
        UserError: the plan is to be held, and the model cannot be kept from replacing it.
    """
    if one.plan is None:
        live.slot = EMPTY
        return
    _check_holds(agent, one)
    live.slot = live.slot.replaced(one.plan, owner, live.step, one.hold)


def _check_holds(agent: Agent, one: Intervention) -> None:
    if one.plan is not None and one.hold and not agent.can_hold:
        raise UserError(f"model {agent.model.name!r} cannot be kept from replacing a plan; suggest the plan instead of holding it")


def steered(agent: Agent, environment: TextEnvironment, script: Sequence[Intervention], seed: int = 0, episodes: int = 1) -> Episodes:
    """Play with plans from a script, the same in every episode.

    Raises:
        UserError: less than one episode, a seed below 0, or a plan that is to be held by a model that cannot be kept from replacing it.
    """
    if episodes < 1 or seed < 0:
        raise UserError(f"episodes = {episodes}, seed = {seed}: give 1 episode or more, and a seed of 0 or more")
    for one in script:
        _check_holds(agent, one)  # before anything is spent
    playing = [begin(agent, copy.deepcopy(environment), number) for number in range(seed, seed + episodes)]
    everyone = list(playing)
    while playing:
        for live in playing:
            for one in script:
                if one.step == live.step:
                    intervene(agent, live, one, "script")
        play_step(agent, playing)
        playing = [live for live in playing if not live.over]
    return gathered(agent, everyone)


# --- obedience


def graph_plans(environment: GraphSearch, generator: np.random.Generator) -> dict[str, str | None]:
    """Plans for this moment of a graph search, by kind, worded as its teacher's: "none", "correct", "wrong" and "shuffled".

    Correct leads to the target by the shortest way; wrong to the node farthest from the target that is not behind the correct first step,
    as though it were the target; shuffled has the words of the correct plan in another order.
    """
    path = environment.signals()["path"].split()
    tree, here, target = environment.tree, int(path[0]), int(path[-1])
    right = f"target {target} via {' '.join(path[1:])} later none"
    elsewhere = [node for node in range(tree.size) if node != here and tree.path(here, node)[1] != int(path[1])]
    wrong = None
    if elsewhere:
        goal = max(elsewhere, key=lambda node: (tree.distance(node, target), -node))
        wrong = f"target {target} via {' '.join(map(str, tree.path(here, goal)[1:]))} later none"
    words = right.split()
    return {"none": None, "correct": right, "wrong": wrong, "shuffled": " ".join(generator.permutation(words))}


def follows(plan: str, here: int, action: str) -> bool | None:
    """Whether a move keeps to the route that a plan names behind "via"; None where it names none from here."""
    route = re.search(r" via ((?:\d+ ?)+)", f"{plan} ")
    if route is None:
        return None
    nodes = route[1].split()
    if str(here) in nodes[:-1]:
        return action.strip() == nodes[nodes.index(str(here)) + 1]
    return action.strip() == nodes[0] if str(here) not in nodes else None


def obedience(
    agent: Agent, environment: GraphSearch, episodes: int = 100, seed: int = 0, *, steps: int = 3, replicates: int = 4, live: int = 64
) -> pl.DataFrame:
    """Correct, wrong and shuffled plans at the same states: what the agent does with them, and what becomes of it.

    A plan is held for `steps` steps; then the agent goes on by its own schedule. An agent that ignores its slot does the same with all.

    Args:
        agent: who is steered; its model must be one that can be kept from replacing a plan.
        environment: where; states are drawn from its episodes.
        episodes, seed: of those.
        steps: for which a plan is held.
        replicates: of each plan and state.
        live: continuations at the same time.

    Returns:
        A row per state and kind of plan: seed, step, kind; obedience, the share of moves, while it was held, that kept to the correct
        plan's route, the same measure for all kinds; own, to the route of the plan it held; reached, the share that reached the target;
        return. A state in which the model failed for good is left out.

    Raises:
        UserError: the model cannot be kept from replacing a plan, numbers below 1, or no state with a held plan and two ways on.
    """
    if min(episodes, steps, replicates, live) < 1 or seed < 0:
        raise UserError("episodes, steps, replicates and live of obedience must be 1 or more, seed 0 or more")
    if not agent.can_hold:
        raise UserError(f"model {agent.model.name!r} cannot be kept from replacing a plan; obedience cannot be measured")
    rows = []
    for state in states(agent, environment, episodes, seed, each=1, live=live):
        environment.restore(state.snapshot)
        plans = graph_plans(environment, np.random.default_rng((state.seed, state.step)))
        right = plans["correct"]
        if right is None or plans["wrong"] is None:
            continue  # there is only one way on
        found = [_continued(agent, environment, state, kind, plan, right, steps, replicates) for kind, plan in plans.items()]
        rows += [row for row in found if row is not None] if None not in found else []
    if not rows:
        raise UserError(f"under the schedule {str(agent.when)!r} no plan was held at a state with two ways on; there is nothing to compare")
    return pl.DataFrame(rows, infer_schema_length=None)


def _continued(
    agent: Agent, environment: GraphSearch, state: State, kind: str, plan: str | None, right: str, steps: int, replicates: int
) -> dict[str, Any] | None:
    """The row of one kind of plan; None where the model failed for good."""
    playing = [state.live(copy.deepcopy(environment), agent.history, 1 + r) for r in range(replicates)]
    everyone = list(playing)
    for one in playing:
        intervene(agent, one, Intervention(one.step, plan, 0.0 if plan is None else float(steps)), "script")
    kept, own = [], []
    bound = replace(agent, schedule=Never()) if plan is None else agent
    while playing:
        bare = plan is None and playing[0].step < state.step + steps
        before = [(one, one.environment.node) for one in playing]  # type: ignore[attr-defined]
        play_step(bound if bare else agent, playing)
        if any(one.error for one in playing):
            return None
        for one, node in before:
            if one.step <= state.step + steps:
                action = one.record[-1]["action"]
                kept.append(follows(right, node, action))
                own.append(follows(plan, node, action) if plan else None)
        playing = [one for one in playing if not one.over]
    said = {"seed": state.seed, "step": state.step, "kind": kind, "obedience": _share(kept), "own": _share(own)}
    reached = float(np.mean([one.record[-1]["terminated"] for one in everyone]))
    return said | {"reached": reached, "return": float(np.mean([sum(row["reward"] for row in one.record) for one in everyone]))}


def _share(answers: Sequence[bool | None]) -> float | None:
    known = [answer for answer in answers if answer is not None]
    return float(np.mean(known)) if known else None
