"""A signal that knows the action it is told before: the leak that makes an informed critic's advantage biased."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from unseen.data import Episodes
from unseen.signals.dataset import dataset
from unseen.signals.play import STEPS
from unseen.signals.procedure import READER_EPISODES, coded, named, recorded
from unseen.signals.residual import Residual, Residuals
from unseen.signals.search import Row, require_draws, tested


class Leak(NamedTuple):
    """What the test says about one signal.

    Attributes:
        signal: its name.
        effect: normalised dependence of signal and action, given the history.
        p: of "the signal does not know the action".
        adjusted: p adjusted for the number of signals.
        leaks: whether it does, at the level asked for; None where it could not be tested.
        verdict: in words.
    """

    signal: str
    effect: float
    p: float
    adjusted: float
    leaks: bool | None
    verdict: str


def leak_test(
    source: str | Episodes | Any,
    signals: Sequence[str] | None = None,
    *,
    settings: Residual | None = None,
    episodes: int = 250,
    steps: int = STEPS,
    level: str = "train",
    alpha: float = 0.01,
    seed: int = 0,
) -> list[Leak]:
    """Test for each signal i_t whether it tells a_t beyond the history: a signal must be fixed before the action is drawn.

    An informed critic's baseline may be told anything that was there before the action; one that depends on the action itself biases
    the policy gradient whatever lambda is. The usual cause is a column that is recorded one step late.

    Sure under random play, where actions depend on nothing. In a log of a policy with a memory, a signal may also be accused because
    the policy remembers something about it that the code of the history forgot.

    Args:
        source: an environment, its name, or recorded `Episodes`.
        signals: names; all by default.
        settings: of the test of independence; `Residual()` by default.
        episodes, steps, level: what to record; 100 episodes more teach the code of the history.
        alpha: false-discovery rate.
        seed: of everything drawn.

    Raises:
        UserError: as `rank`; and where all actions are the same.

    Source: that such a signal biases the advantage form for every lambda, and not the Q form: derived.
    """
    recording, name = recorded(source, episodes + READER_EPISODES, steps=steps, level=level, seed=seed)
    names = named(recording, signals, name)
    data = dataset(recording, names, 1.0)
    test, code = coded(data, seed, None if isinstance(source, Episodes) else READER_EPISODES)
    testable = [n for n in names if n in data.signals]
    settings = settings or Residual(seed=seed)
    require_draws(settings.draws, len(testable), alpha)
    rows = tested(Residuals(test, code, settings, about="action"), [(n,) for n in testable], alpha)
    found = {row.signals[0]: _leak(row) for row in rows}
    nan = math.nan
    hopeless = {n: Leak(n, nan, nan, nan, None, f"not testable: {why}") for n, why in data.untestable.items()}
    return [(found | hopeless)[n] for n in names]


def _leak(row: Row) -> Leak:
    leaks = row.verdict == "informative"
    verdict = (
        "knows the action: is it recorded one step late, or does the policy remember what the code forgot?"
        if leaks
        else "no sign that it knows the action"
    )
    return Leak(row.signals[0], row.normalised, row.p, row.adjusted, leaks, verdict)
