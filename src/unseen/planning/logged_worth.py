"""What planning was worth in each situation, from a log: the package's doubly robust learner, held against importance sampling.

The learner's first stage is fitted on the Markov state; situations enter in the second stage only, as regions to average over. On
situations alone the estimate can have the wrong sign: what a plan pays later would be credited to whatever is done later.

A state written down as numbers is hardly ever all of it. So histories are weighed by the known probabilities for a few steps behind the
decision, where what the state forgets matters most, and by the state from there on (see `unseen.planning.histories`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from sklearn.base import clone

from unseen.data.episodes import Episodes
from unseen.errors import UserError
from unseen.outcomes import DRQLearner, Estimate, Verdict
from unseen.outcomes.functionals import Regions
from unseen.outcomes.verdict import coloured, measured
from unseen.planning.as_treatment import ACT, FORCED, PLAN, SITUATION, Treatment, treatment
from unseen.planning.estimand import Estimand
from unseen.planning.histories import by_history
from unseen.planning.markov import Markov
from unseen.planning.regions import ELSEWHERE, Region, regions_of

HISTORY = 8  # steps behind a decision for which histories are weighed themselves
APART = 0.01  # p-value, all situations together, below which importance sampling contradicts the state
ROUNDING = 1e-9  # relative: differences below are none
TOO_WIDE = 5.0  # times the learner's standard error: where importance sampling has one as large, its agreement says little
OF_THE_VISITS = ("moment", "negative", "growth")  # diagnostics of where the state says that the policy goes
DISOBEYED = 0.05  # share of decisions that the model did not carry out, from which on it is said
PLAN_HERE, DO_NOT, UNDECIDED = "plan here", "do not plan here", "undecided"


class LoggedWorth(NamedTuple):
    """What was estimated.

    Attributes:
        estimates: of each situation, by the DRQ-learner, histories weighed for the first steps.
        checks: of each, by importance sampling on whole histories with the known probabilities.
        by_state: of each, by the DRQ-learner alone, everything behind the decision told by the state.
        facts: a row per situation: situation, decisions, planned (how many of them), plan_price (what a plan written there cost, on
            average).
        verdict: whether to trust it, and why not.
        estimand: what was estimated.
        regions: the situations.
        learner: fitted.
    """

    estimates: Estimate
    checks: Estimate
    by_state: Estimate
    facts: pl.DataFrame
    verdict: Verdict
    estimand: Estimand
    regions: tuple[Region, ...]
    learner: DRQLearner

    def table(self, level: float = 0.95) -> pl.DataFrame:
        """A row per situation.

        Returns:
            Columns situation, decisions, planned, plan_price, worth, standard_error, low, high (of the worth net of the price, in units of
            reward), check, check_low, check_high (importance sampling), advice: "plan here" or "do not plan here" where the interval says
            so and the verdict is not red, else "undecided".
        """
        (low, high), (check_low, check_high) = (map(np.atleast_1d, each.interval(level)) for each in (self.estimates, self.checks))
        red = self.verdict.colour == "red"
        advice = [UNDECIDED if red or a <= 0 <= b else PLAN_HERE if a > 0 else DO_NOT for a, b in zip(low, high, strict=True)]
        return self.facts.with_columns(
            worth=pl.Series(self.estimates.value),
            standard_error=pl.Series(self.estimates.deviations),
            low=pl.Series(low),
            high=pl.Series(high),
            check=pl.Series(self.checks.value),
            check_low=pl.Series(check_low),
            check_high=pl.Series(check_high),
            advice=pl.Series(advice, dtype=pl.String),
        )

    def said(self) -> dict[str, Any]:
        """All of it as plain values, for a file."""
        return {
            "estimand": dict(self.estimand.said()),
            "verdict": {"colour": self.verdict.colour, "reasons": list(self.verdict.reasons)},
            "situations": self.table().to_dicts(),
        }


def worth_from_logs(
    episodes: Episodes,
    estimand: Estimand | None = None,
    *,
    markov: Markov | None = None,
    regions: Sequence[Region] | None = None,
    learner: DRQLearner | None = None,
    history: int = HISTORY,
) -> LoggedWorth:
    """Estimate E[Q(s, plan) − Q(s, act) | situation] from a log of imposed decisions, with intervals.

    Args:
        episodes: the log; see `treatment`.
        estimand: what "worth" means; None: its defaults.
        markov: the state; None: that of the environment of the log.
        regions: situations, the first that fits; None: those of the environment of the log. What lies in none is "elsewhere".
        learner: with settings of one's own; its discount is that of the estimand. None: linear on splines of the state, or counted where
            the state is made of words.
        history: steps behind a decision for which histories are weighed by the known probabilities; more of them need the state less and
            widen the interval. 0: the DRQ-learner's own estimate, which also stands where states are counted.

    Raises:
        UserError: a history below 0, a log that breaks the protocol, or one in which something was never decided in a situation.

    Source: ours. The learner: Javurek et al. 2026; the contrast and its interval: specification of outcomes, 11.1.
    """
    if history < 0:
        raise UserError(f"history = {history} steps are weighed behind a decision; give 0 or more")
    given = treatment(episodes, estimand, markov=markov, regions=regions)
    regions = tuple(regions_of(str(episodes.info["environment"][0])) if regions is None else regions)
    fitted = _learner(learner, given).fit(given.data, given.policy)
    names = _present(given, regions)
    by_state, asked = fitted.contrast({name: _inside(name) for name in names}, PLAN, ACT), _as_regions(given, names)
    estimates = by_state if given.data.schema.discrete or not history else by_history(fitted, asked, history)
    checks = by_history(fitted, asked, None)
    facts = _facts(episodes, given, names)
    verdict = _verdict(fitted, estimates, checks, by_state, episodes)
    return LoggedWorth(estimates, checks, by_state, facts, verdict, given.estimand, regions, fitted)


def _learner(asked: DRQLearner | None, given: Treatment) -> DRQLearner:
    if asked is not None:
        own: Any = clone(asked)
        return own.set_params(discount=given.estimand.discount)
    counted = given.data.schema.discrete
    usual: Mapping[str, Any] = {} if counted else {"final": "linear", "initial_q": "linear", "features": "splines"}
    return DRQLearner(given.estimand.discount, behaviour="logged", **usual)


def _levels(given: Treatment) -> tuple[Any, ...]:
    schema = given.data.modifier_schema
    assert schema is not None  # `treatment` gives the situation first
    assert schema.columns[0].name == SITUATION
    return tuple(schema.columns[0].levels)


def _present(given: Treatment, regions: Sequence[Region]) -> list[str]:
    """The situations that there are decisions in, in the order in which they were named."""
    found = set(_levels(given)) - {FORCED}
    return [name for name in [*(region.name for region in regions), ELSEWHERE] if name in found]


def _inside(name: str) -> Any:
    def inside(frame: Any) -> Any:
        return np.asarray([each == name for each in frame[SITUATION]], np.bool_)

    return inside


def _as_regions(given: Treatment, names: Sequence[str]) -> Regions:
    """The same regions, asked for with encoded rows."""
    levels = _levels(given)
    codes = np.array([levels.index(name) for name in names])
    signs = np.zeros((2, len(names)))
    for action, sign in ((PLAN, 1.0), (ACT, -1.0)):
        signs[int(given.data.encode_actions(action)[0])] = sign
    return Regions(lambda rows: rows.modifiers[:, :1] == codes, signs, tuple(names), "plan - act, by whole histories")


def _facts(episodes: Episodes, given: Treatment, names: Sequence[str]) -> pl.DataFrame:
    """How many decisions, and what a plan cost, by situation."""
    data = given.data
    assert data.modifiers is not None
    place = np.array(_levels(given), object)[data.modifiers[:, 0].astype(np.int64)]
    planned = data.actions == data.encode_actions(PLAN)[0]
    where = episodes.offsets[:-1][data.trajectory] + data.time  # the row of the recording
    tokens = episodes.accounts["plan_tokens"].astype(np.float64)[where]
    rows = []
    for name in names:
        inside = place == name
        wrote = tokens[inside & planned]
        price = given.estimand.price * float(wrote.mean()) if len(wrote) else 0.0
        rows.append({"situation": name, "decisions": int(inside.sum()), "planned": int((inside & planned).sum()), "plan_price": price})
    return pl.DataFrame(rows)


def _verdict(learner: DRQLearner, estimates: Estimate, checks: Estimate, by_state: Estimate, episodes: Episodes) -> Verdict:
    """The learner's own, and what importance sampling and the model's obedience say to it."""
    own = learner.diagnostics.verdict
    if estimates is not by_state:  # what the learner finds wrong with its visits then shows in the gap below, if it matters
        values = measured(vars(learner.diagnostics)) | dict.fromkeys(OF_THE_VISITS, math.nan)
        own = coloured(values, len(learner.folds_))
    red, amber = (list(own.reasons), []) if own.colour == "red" else ([], list(own.reasons))
    red = [f"state not Markov: importance sampling says {gap}" for gap in _gaps(checks, estimates)] + red
    if estimates is not by_state:
        # Beyond the weighed steps the estimate rests on the state. Where nothing lies there it is importance sampling itself.
        resting = (checks - estimates).deviations > ROUNDING * checks.deviations
        red += [f"state not Markov: importance sampling says {gap} than the state alone" for gap in _gaps(checks, by_state, resting)]
        amber += [reason for reason in learner.diagnostics.verdict.reasons if reason not in own.reasons]
        amber += [f"the state does not tell all: by it alone the worth would be {gap}" for gap in _gaps(by_state, estimates)]
    wide = checks.deviations > TOO_WIDE * estimates.deviations
    if wide.any():
        amber.append(
            f"importance sampling is too uncertain to check the state in {', '.join(repr(checks.names[k]) for k in np.flatnonzero(wide))}: "
            "log more, or nearer to the policy (softened:P:SCHEDULE)"
        )
    disobeyed = float(episodes.accounts["disobeyed"].mean())
    if disobeyed > DISOBEYED:
        amber.append(f"the model did not do as it was told in {disobeyed:.1%} of steps; what is estimated is the worth of telling it to")
    amber += by_state.cautions
    return Verdict("red" if red else "amber" if amber else "green", (*red, *amber))


def _gaps(one: Estimate, other: Estimate, asked: np.ndarray | None = None) -> list[str]:
    """The situations, all or some of them, in which two estimates differ by more than chance, all of them together."""
    gap = one - other
    scale = np.maximum(np.maximum(one.deviations, other.deviations), np.maximum(np.abs(one.value), np.abs(other.value)))
    differ = np.abs(gap.value) > ROUNDING * scale
    p_values = np.where(differ if asked is None else differ & asked, gap.adjusted_p(), 1.0)
    each = zip(gap.names, gap.value, gap.deviations, p_values, strict=True)
    return [f"{apart:+.3g} more in {name!r} ({abs(apart) / error:.1f} standard errors)" for name, apart, error, p in each if p < APART]
