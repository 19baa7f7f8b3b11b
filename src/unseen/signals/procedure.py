"""`unseen.signals.rank`: which privileged signal is worth telling a critic, from an environment or from recorded episodes."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from unseen.data import Episodes
from unseen.environments import adapters
from unseen.environments.registry import make
from unseen.errors import UserError, unknown
from unseen.signals import search
from unseen.signals.dataset import Dataset, dataset
from unseen.signals.histories import codes, trained_reader
from unseen.signals.play import STEPS, TOGETHER, Recording, record
from unseen.signals.prediction import Prediction, Predictions
from unseen.signals.ranking import Ranking
from unseen.signals.residual import Residual, Residuals

READER_EPISODES = 100  # for the history's code, as published; of a recording two sevenths, at most this many
TESTED_EPISODES = {"residual": 250, "prediction": 500}  # published: 250 and 2,500
MOST_CHOSEN = 3
REFERENCE = "state"  # compared with, not chosen from, where there are other signals


def rank(
    source: str | Episodes | Any,
    signals: Sequence[str] | None = None,
    method: Literal["residual", "prediction"] = "residual",
    *,
    settings: Residual | Prediction | None = None,
    discount: float = 0.99,
    episodes: int | None = None,
    steps: int = STEPS,
    level: str = "train",
    alpha: float = 0.05,
    most: int = MOST_CHOSEN,
    sets: Sequence[Sequence[str]] | None = None,
    seed: int = 0,
) -> Ranking:
    """Test which signals tell about the return what history and action do not, and say which to tell the critic.

    Args:
        source: an environment or its name ("gym:ID" too), which is played at random; or recorded `Episodes` with signal columns.
        signals: names; all by default.
        method: "residual" (criterion A, independence of residuals) or "prediction" (criterion B, gain of an informed critic).
        settings: of the method, `Residual` or `Prediction`.
        discount: of the returns.
        episodes: to record and test on; 250 (residual) or 500 (prediction) by default. Criterion A records 100 more for the code
            of the history. Of recorded episodes all are used.
        steps: longest recorded episode, 25 as published.
        level: of the environment.
        alpha: false-discovery rate among the sets tested (Benjamini-Hochberg).
        most: signals that forward selection may choose; 0 leaves it out.
        sets: the sets of signals to test; by default every subset of up to four signals, single ones of more, and "state" by itself.
        seed: of everything drawn.

    Returns:
        A `Ranking`: print it, or use `.table()`, `.recommendation`, `.chosen`.

    Raises:
        UserError: unknown names, too few episodes, returns that are all the same, settings that go with the other method.
    """
    begun = time.monotonic()
    if method not in TESTED_EPISODES:
        raise unknown("method", method, TESTED_EPISODES)
    settings = _settings(method, settings, seed)
    if not 0 < alpha < 1:
        raise UserError(f"alpha = {alpha}; it must lie between 0 and 1")
    asked = episodes if episodes is not None else TESTED_EPISODES[method]
    extra = READER_EPISODES if method == "residual" else 0
    recording, name = recorded(source, asked + extra, steps=steps, level=level, seed=seed)
    names = named(recording, signals if sets is None else [n for each in sets for n in each], name)
    data = dataset(recording, names, discount)
    prepared = _prepared(data, settings, seed, extra if not isinstance(source, Episodes) else None)
    testable = [n for n in names if n in data.signals]
    candidates = [n for n in testable if n != REFERENCE] or testable
    references = [n for n in testable if n not in candidates]
    asked_for = _sets(sets, testable, search.subsets(candidates, references))
    if isinstance(settings, Residual):
        search.require_draws(settings.draws, len(asked_for), alpha)
    rows = search.tested(prepared.criterion(()), asked_for, alpha)
    singles = [row for row in rows if len(row.signals) == 1 and row.signals[0] in candidates]
    stages = search.forward(prepared.criterion, singles, alpha, most) if most and singles else []
    chosen = stages[-1].given if stages else ()
    nan = math.nan
    hopeless = [search.Row((n,), nan, nan, nan, nan, f"not testable: {why}") for n, why in data.untestable.items()]
    test = prepared.data
    facts = {
        "episodes": float(test.episodes),
        "steps": float(test.valid.sum()),
        "return_deviation": float(test.rows(test.returns).std()),
        "seconds": time.monotonic() - begun,
        "chosen_effect": max((row.normalised for row in rows if set(row.signals) == set(chosen)), default=math.nan),
    }
    about = (
        f"{name}: {_described(method, settings)} on {test.episodes} episodes, {int(test.valid.sum())} steps; false-discovery rate {alpha:g}"
    )
    return Ranking((*search.ordered(rows), *hopeless), tuple(stages), chosen, method, about, alpha, facts)


class _Prepared(NamedTuple):
    data: Dataset
    criterion: search.Criterion


def _prepared(data: Dataset, settings: Residual | Prediction, seed: int, reading: int | None) -> _Prepared:
    """The episodes to test on and the test on them; for criterion A without those that the history's reader learned from."""
    if isinstance(settings, Prediction):
        return _Prepared(data, lambda given: Predictions(data, settings, given))
    test, code = coded(data, seed, reading)
    return _Prepared(test, lambda given: Residuals(test, code, settings, given))


def coded(data: Dataset, seed: int, reading: int | None = None) -> tuple[Dataset, Any]:
    """A reader trained on some episodes at random, and the others with the codes of their histories.

    Args:
        data: all episodes.
        seed: of the choice, and of the reader.
        reading: episodes to learn on; None: two sevenths of them, at most 100.

    Raises:
        UserError: fewer than four episodes, or fewer than two to test on.
    """
    if data.episodes < 4:
        raise UserError(
            f"{data.episodes} episode{'s' if data.episodes != 1 else ''}: some are needed to learn to read histories, others to test on; "
            "record at least 20, better 350"
        )
    if reading is not None and data.episodes - reading < 2:
        raise UserError(f"episodes = {data.episodes - reading}; what is tested is how episodes differ: record at least 20, better 250")
    order = np.random.default_rng(seed).permutation(data.episodes)
    share = reading if reading is not None else min(READER_EPISODES, max(2, round(data.episodes * 2 / 7)))
    reader = trained_reader(data.select(np.sort(order[:share])), seed=seed)
    test = data.select(np.sort(order[share:]))
    return test, codes(reader, test)


def recorded(source: Any, episodes: int, *, steps: int, level: str, seed: int) -> tuple[Recording, str]:
    """A recording of the source, and its name.

    Raises:
        UserError: something that is neither an environment nor episodes.
    """
    if isinstance(source, Episodes):
        return Recording(source, {}, None, None), "recorded episodes"
    for option, value in (("episodes", episodes), ("steps", steps)):
        if value < 1:
            raise UserError(f"{option} = {value}; it must be at least 1")
    if isinstance(source, str) and source.startswith("gym:"):
        host = adapters.external(source.removeprefix("gym:"), num_envs=min(TOGETHER, episodes))
        try:
            return record(host, episodes, steps=steps, seed=seed), source
        finally:
            host.close()
    environment = make(source) if isinstance(source, str) else source
    if not hasattr(environment, "signal_spaces"):
        raise UserError(f"cannot rank signals of {type(source).__name__}; give an environment, its name, or Episodes")
    return record(environment, episodes, steps=steps, level=level, seed=seed), str(environment.name)


def named(recording: Recording, signals: Sequence[str] | None, name: str) -> list[str]:
    """The names to test.

    Raises:
        UserError: a name that is not there, or no signals at all.
    """
    there = recording.episodes.signals
    if not there:
        raise UserError(f'{name} has no signals: an external environment gives them in info["signals"], a recording in columns signal.NAME')
    if signals is None:
        return sorted(there)
    if isinstance(signals, str) or not signals:
        raise UserError(f"signals = {signals!r}; give a sequence of names, such as ({sorted(there)[0]!r},)")
    for each in signals:
        if each not in there:
            raise unknown(f"signal of {name}", each, there)
    return list(dict.fromkeys(signals))


def _settings(method: str, settings: Residual | Prediction | None, seed: int) -> Residual | Prediction:
    kind = Residual if method == "residual" else Prediction
    if settings is None:
        return kind(seed=seed)
    if not isinstance(settings, kind):
        raise UserError(f"settings = {type(settings).__name__} does not go with method={method!r}; give {kind.__name__}(...)")
    return settings


def _sets(sets: Sequence[Sequence[str]] | None, testable: Sequence[str], default: list[search.Subset]) -> list[search.Subset]:
    """The sets asked for, without those that hold a signal about which nothing can be said."""
    return default if sets is None else [tuple(each) for each in sets if set(each) <= set(testable)]


def _described(method: str, settings: Residual | Prediction) -> str:
    if isinstance(settings, Prediction):
        return f"criterion B (prediction gain, {settings.folds} folds)"
    regressor = settings.regressor if isinstance(settings.regressor, str) else type(settings.regressor).__name__
    how = f", {regressor}" if settings.variant in ("plain", "standardised") else ""
    return f"criterion A (residual independence, {settings.variant}{how}, {settings.draws} draws)"
