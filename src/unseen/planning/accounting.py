"""What planning cost and what was decided: the columns that an agent logs, and the tables that are made of them.

Accounts of a step, in `Episodes.accounts`:

* `prompt_tokens` (cached ones included), `cached_tokens`, `reasoning_tokens` (written and hidden), `plan_tokens` (tags included),
  `action_tokens`: the last two add up to what was shown; of a plan that was cut, what is behind the cut counts with the action, which is
  what the tokens were allowed for; `tokens_estimated` where the model did not tell its tokens.
* `flops`: 2 · parameters · (prompt + reasoning + plan + action tokens), cached ones too; 0 where the parameters are not known.
* `seconds`: the step's share of its batch's time; `latency_s`: all of that time.
* `planned`: d_t, whether a plan of the model entered the slot; `plan_probability`: with which the schedule asked for one, or let the model
  choose; `imposed`: whether by the tag, forced or forbidden; `disobeyed`: a plan that was not asked for (and is not held), or none where
  one was.
* `changed`: whether the plan differs from the one before; `plan_age`: of the plan acted on, -1 where none is held; `replaced_age`: of the
  plan that was replaced, -1 where none was; `held_for`: steps for which the model must still keep it, -1: until it is released.
* `plan_truncated`, `unclosed`, `untidy`, `illegal`: what was wrong with the output; `progression`; `feature NAME`: what the schedule knew.

Texts: `output`, `plan` (held after the step), `owner` of it, `mode` (what was asked for), `events` (of this step).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Bool, Float
from scipy import stats

from unseen.data.episodes import Episodes
from unseen.errors import UserError, unknown
from unseen.planning.models.contract import Usage
from unseen.planning.models.prices import Price

SUMS = ("prompt_tokens", "cached_tokens", "reasoning_tokens", "plan_tokens", "action_tokens", "flops", "seconds")
SHARES = ("planned", "changed", "illegal", "disobeyed", "plan_truncated", "unclosed", "untidy")


class Estimate(NamedTuple):
    """A mean over episodes with a 95 % interval; `low` and `high` are nan with fewer than two values."""

    mean: float
    standard_error: float
    low: float
    high: float

    @property
    def exists(self) -> bool:
        return bool(np.isfinite(self.low) and np.isfinite(self.high))


def estimate(values: Float[np.ndarray, " n"], proportion: bool = False) -> Estimate:
    """The mean of independent values, with Student's interval, or Wilson's for a proportion, whose values are zeros and ones.

    Raises:
        UserError: no values.
    """
    n = len(values)
    if not n:
        raise UserError("there is nothing to take the mean of")
    mean = float(np.mean(values))
    if n < 2:
        return Estimate(mean, np.nan, np.nan, np.nan)
    error = float(np.std(values, ddof=1) / np.sqrt(n))
    if proportion:
        low, high = stats.binomtest(int(values.sum()), n).proportion_ci(0.95, "wilson")
    else:
        reach = float(stats.t.ppf(0.975, n - 1)) * error
        low, high = mean - reach, mean + reach
    return Estimate(mean, error, float(low), float(high))


def check(episodes: Episodes) -> None:
    """Raises:
    UserError: the recordings hold no accounts of a planning agent.
    """
    for name in (*SUMS, *SHARES, "progression", "plan_age", "replaced_age"):
        if name not in episodes.accounts:
            raise UserError(f"the recordings have no account {name!r}; record them with unseen.planning.evaluate or collect")


def whole(episodes: Episodes) -> Episodes:
    """Without the episodes that ended because the model failed for good: their returns and costs are those of the outage.

    Raises:
        UserError: there are no others.
    """
    ended = np.array([not str(error) for error in episodes.info["error"]])
    if not ended.any():
        raise UserError(f"the model failed in every episode: {episodes.info['error'][0]}")
    return episodes if ended.all() else episodes.select(ended)


def per_episode(episodes: Episodes, price: Price | None = None) -> pl.DataFrame:
    """One row per episode: return, progression at its end, steps, tokens, and shares of its steps.

    `success` is whether it was ended by reaching all of the task; `output_tokens` = reasoning + plan + action tokens; `return_per_1000`
    is the return per 1,000 of them. With a price, `dollars` is what an episode's tokens cost.
    """
    check(episodes)
    starts, accounts = episodes.offsets[:-1], episodes.accounts
    sums = {name: np.add.reduceat(accounts[name].astype(np.float64), starts) for name in SUMS}
    returns, progression = episodes.returns(), accounts["progression"][episodes.offsets[1:] - 1].astype(np.float64)
    output = sums["reasoning_tokens"] + sums["plan_tokens"] + sums["action_tokens"]
    columns = {
        "seed": episodes.info["seed"],
        "return": returns,
        "progression": progression,
        "success": (progression >= 1.0).astype(np.float64),
        "steps": episodes.lengths,
        **sums,
        "output_tokens": output,
        "return_per_1000": np.divide(1000 * returns, output, out=np.zeros(len(output)), where=output > 0),
        **{name: np.add.reduceat(accounts[name].astype(np.float64), starts) / episodes.lengths for name in SHARES},
        "failed": np.array([bool(error) for error in episodes.info["error"]]).astype(np.float64),
    }
    if price is not None:
        costs = zip(
            sums["prompt_tokens"], sums["cached_tokens"], output, strict=True
        )  # linear in tokens: an episode costs what its sums do
        columns["dollars"] = np.array(
            [price.cost(Usage(int(read), int(cached), 0, int(wrote))) for read, cached, wrote in costs], np.float64
        )
    return pl.DataFrame(columns)


def summary(episodes: Episodes) -> pl.DataFrame:
    """Mean, standard error and 95 % interval over episodes of every column of `per_episode`."""
    table = per_episode(episodes).drop("seed")
    return pl.DataFrame([{"figure": name, **column(table, name)._asdict()} for name in table.columns])


def column(table: pl.DataFrame, name: str) -> Estimate:
    """The mean over episodes of a column of `per_episode`.

    Raises:
        UserError: an unknown column.
    """
    if name not in table.columns or name == "seed":
        raise unknown("column of an episode's accounts", name, [each for each in table.columns if each != "seed"])
    found = estimate(table[name].to_numpy().astype(np.float64), proportion=name in ("success", "failed"))
    if name in ("return", "return_per_1000"):
        return found
    top = 1.0 if name in ("progression", "success", "failed", *SHARES) else np.inf
    return found._replace(
        low=float(np.clip(found.low, 0.0, top)), high=float(np.clip(found.high, 0.0, top))
    )  # what cannot be is in no interval


def after_events(episodes: Episodes) -> Bool[np.ndarray, " N"]:
    """(N,) whether the step before had an event; never in a first step."""
    had = np.array([bool(text) for text in episodes.text["events"]])
    before = np.concatenate([[False], had[:-1]])
    before[episodes.offsets[:-1]] = False
    return before


def situations(episodes: Episodes) -> dict[str, Bool[np.ndarray, " N"]]:
    """Where steps are compared: the first of an episode, after an event (each kind by itself too), after an illegal action, elsewhere."""
    first = np.zeros(episodes.steps, bool)
    first[episodes.offsets[:-1]] = True
    events = ["", *(str(text) for text in episodes.text["events"][:-1])]
    illegal = np.concatenate([[False], episodes.accounts["illegal"][:-1].astype(bool)]) & ~first
    names = sorted({name for text in events for name in text.split("; ") if name})
    found = {"first step": first, "after an event": after_events(episodes)}
    if len(names) <= 6:  # Crafter has dozens
        found |= {f"after: {name}": np.array([name in text.split("; ") for text in events]) & ~first for name in names}
    found["after an illegal action"] = illegal
    found["elsewhere"] = ~(first | found["after an event"] | illegal)
    return {name: mask for name, mask in found.items() if mask.any()}


def frequency(episodes: Episodes) -> pl.DataFrame:
    """How often a plan was written, by situation; the interval takes episodes, not steps, as independent."""
    check(episodes)
    planned, rows = episodes.accounts["planned"].astype(np.float64), []
    for name, mask in situations(episodes).items():
        rows.append({"situation": name, "steps": int(mask.sum()), **_ratio(planned * mask, mask.astype(np.float64), episodes)._asdict()})
    return pl.DataFrame(rows)


def _ratio(top: Float[np.ndarray, " N"], bottom: Float[np.ndarray, " N"], episodes: Episodes) -> Estimate:
    """Σ top / Σ bottom over steps, with the standard error of a ratio of sums over independent episodes (linearised)."""
    starts = episodes.offsets[:-1]
    found = ratio(np.add.reduceat(top, starts), np.add.reduceat(bottom, starts))
    return found._replace(low=max(0.0, found.low), high=min(1.0, found.high)) if found.exists else found


def ratio(tops: Float[np.ndarray, " n"], bottoms: Float[np.ndarray, " n"]) -> Estimate:
    """Σ top / Σ bottom over independent groups, such as episodes, with the linearised standard error and Student's interval."""
    mean, n = float(tops.sum() / bottoms.sum()), len(tops)
    if (bottoms > 0).sum() < 2:
        return Estimate(mean, np.nan, np.nan, np.nan)
    error = float(np.sqrt(n / (n - 1) * np.sum((tops - mean * bottoms) ** 2)) / bottoms.sum())
    reach = float(stats.t.ppf(0.975, n - 1)) * error
    return Estimate(mean, error, mean - reach, mean + reach)


def survival(episodes: Episodes) -> pl.DataFrame:
    """The share of plans that are still held after so many steps: Kaplan and Meier's, as an episode's end cuts a plan off.

    Returns:
        Columns age (steps since the plan was written), survival, low, high (95 %, Greenwood's on the log-log scale), at_risk.
    """
    check(episodes)
    lives = _lives(episodes)
    if not lives:
        return pl.DataFrame(schema={"age": pl.Int64, "survival": pl.Float64, "low": pl.Float64, "high": pl.Float64, "at_risk": pl.Int64})
    ages, replaced = np.array([age for age, _ in lives]), np.array([ended for _, ended in lives])
    if not replaced.any():
        return pl.DataFrame({"age": [0], "survival": [1.0], "low": [1.0], "high": [1.0], "at_risk": [len(lives)]})
    curve = stats.ecdf(stats.CensoredData(uncensored=ages[replaced], right=ages[~replaced])).sf
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The confidence interval is undefined", RuntimeWarning)  # where nobody is left
        interval = curve.confidence_interval(0.95, method="log-log")
    at_risk = [int((ages >= age).sum()) for age in curve.quantiles]
    begin = pl.DataFrame({"age": [0], "survival": [1.0], "low": [1.0], "high": [1.0], "at_risk": [len(lives)]})
    found = pl.DataFrame(
        {
            "age": curve.quantiles.astype(np.int64),
            "survival": curve.probabilities,
            "low": np.where(curve.probabilities == 1, 1.0, np.nan_to_num(interval.low.probabilities, nan=0.0)),
            "high": np.nan_to_num(interval.high.probabilities, nan=1.0),
            "at_risk": at_risk,
        }
    )
    return pl.concat([begin, found.filter(pl.col("at_risk") > 0)])


def _lives(episodes: Episodes) -> list[tuple[int, bool]]:
    """Of every plan, whoever wrote it: for how many steps it was held, and whether it was replaced by another.

    Else the episode ended, or it was taken away.
    """
    lives = []
    for episode in episodes:
        held = 0
        for age in episode.accounts["plan_age"].tolist():
            if held and age <= 0:  # a plan that was written in this step, or none
                lives.append((held, age == 0))
            held = age + 1
        if held:
            lives.append((held, False))
    return lives


def goldilocks(
    played: Mapping[str, Episodes], value: str = "return", cost: str = "output_tokens", price: Price | None = None
) -> pl.DataFrame:
    """What was reached against what was spent, a row per schedule: the plot in which planning too rarely and too often are both worse.

    Args:
        played: episodes by schedule.
        value: a column of `per_episode`: "return", "success" or "progression".
        cost: another: "output_tokens", "plan_tokens", "flops", "seconds", …, or "dollars" where a price is given.
        price: of the model's tokens.

    Raises:
        UserError: an unknown column.
    """
    rows = []
    for name, episodes in played.items():
        table = per_episode(episodes, price)
        reached, spent = column(table, value), column(table, cost)
        row = {"schedule": name, "episodes": len(episodes)}
        row |= {f"{value}_{part}": number for part, number in reached._asdict().items()}
        row |= {f"{cost}_{part}": number for part, number in spent._asdict().items()}
        row["planned"] = column(table, "planned").mean
        rows.append(row)
    return pl.DataFrame(rows)


def paired(first: Episodes, second: Episodes, figure: str = "return") -> Estimate:
    """The mean difference, second less first, over the episodes with equal seeds: instances that are hard for both cancel.

    Raises:
        UserError: fewer than two seeds in common, a seed that is twice in one of them, or an unknown column.
    """
    tables = [per_episode(episodes) for episodes in (first, second)]
    if figure not in tables[0].columns or figure == "seed":
        raise unknown("column of an episode's accounts", figure, tables[0].drop("seed").columns)
    for table in tables:
        if table["seed"].n_unique() < len(table):
            raise UserError("a seed is in one of the recordings more than once; which episodes are a pair cannot be told")
    both = tables[0].select("seed", figure).join(tables[1].select("seed", figure), on="seed", suffix="_second")
    if len(both) < 2:
        raise UserError(f"only {len(both)} seeds are in both recordings; two or more are needed to compare them pair by pair")
    return estimate(both[f"{figure}_second"].to_numpy().astype(np.float64) - both[figure].to_numpy())
