"""Criterion A: before any training, does a signal tell about the return what history and action do not?

e_G = G - E[G | h, a], e_i = i - E[i | h, a], both cross-fitted by episode; then a test of independence of e_G and e_i by HSIC.

*kci*           covariances of kernel features, each minus its regression on (h, a): the default. Holds whatever shape the noise has.
*plain*         as published. Residuals whose scales depend on the same history are dependent even where G and i are not, given the
                history; this variant rejects then (see docs/concepts.md).
*standardised*  residuals divided by cross-fitted conditional scales. Scales only: where the noise changes its shape with the history, as
                a category's does whose probabilities change, this one rejects wrongly too.
*hscic*         the first version's criterion: HSCIC, from kernel conditional mean embeddings.

All are relative to the code z of the history, not to the history: what a signal repeats of something that z forgot counts as news.

Source: IAAC (second hand), criterion A; standardising, the conditional test and the wild bootstrap are ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from unseen.errors import UserError
from unseen.signals import conditional, hsic
from unseen.signals.dataset import Dataset
from unseen.signals.folds import REGRESSORS, Regressor, folds_of, moments

Variant = Literal["plain", "standardised", "kci", "hscic"]
VARIANTS: tuple[Variant, ...] = ("plain", "standardised", "kci", "hscic")


@dataclass(frozen=True)
class Residual:
    """Settings of criterion A.

    Attributes:
        variant: see the module.
        regressor: "forest" (published), "extra-trees", "linear", or a scikit-learn regressor that takes several targets; of the variants
            plain and standardised.
        folds: of cross-fitting, by episode.
        draws: permutations, or random signs where lengths differ.
        landmarks: of the Nyström features.
        seed: of folds, forests, landmarks and draws.
    """

    variant: Variant = "kci"
    regressor: str | Regressor = "forest"
    folds: int = 5
    draws: int = 1_000
    landmarks: int = hsic.LANDMARKS
    seed: int = 0

    def __post_init__(self) -> None:
        if self.variant not in VARIANTS:
            raise UserError(f"variant = {self.variant!r}; allowed: {', '.join(VARIANTS)}")
        if isinstance(self.regressor, str) and self.regressor not in REGRESSORS:
            raise UserError(f"regressor = {self.regressor!r}; allowed: {', '.join(REGRESSORS)}, or a scikit-learn regressor")
        if self.draws < 19:
            raise UserError(f"draws = {self.draws}; at least 19 are needed for a p-value of 0.05")
        if self.landmarks < 2:
            raise UserError(f"landmarks = {self.landmarks}; use at least 2")

    @property
    def model(self) -> Regressor:
        return REGRESSORS[self.regressor](self.seed) if isinstance(self.regressor, str) else self.regressor


class Tested(NamedTuple):
    """What a test says about one set of signals.

    Attributes:
        effect: the statistic (HSIC of the residuals).
        normalised: the statistic as a share of the largest possible, minus what chance gives: about 0 under the null, at most 1.
        p: (1 + #{draws >= effect}) / (draws + 1).
    """

    effect: float
    normalised: float
    p: float


class Residuals:
    """Criterion A on one data set: every quantity is regressed once, and sets of signals are put together from the residuals."""

    def __init__(
        self,
        data: Dataset,
        code: Float[np.ndarray, "T E W"],
        settings: Residual = Residual(),
        given: Sequence[str] = (),
        about: Literal["return", "action"] = "return",
    ) -> None:
        """
        Args:
            data: the episodes to test on.
            code: z of every history in them.
            settings: of the test.
            given: signals that are conditioned on like the history is: does another one tell something beyond them?
            about: "action" asks instead whether signals tell the action, given the history.

        Raises:
            UserError: one episode only, fewer episodes than folds, or returns (actions) that are all the same.
        """
        self.data, self.settings = data, settings
        if data.episodes < 2:
            raise UserError("there is 1 episode to test on; what is tested is how episodes differ: record more")
        self.target = data.rows(data.returns if about == "return" else data.action)
        if self.target.shape[1] == 0 or np.all(np.ptp(self.target, axis=0) < 1e-12):
            raise UserError(constant_returns(data) if about == "return" else "every action is the same: no signal can tell it")
        self.fold = folds_of(data.episodes, settings.folds, settings.seed)[data.episode]
        # The step belongs to the history; the code may have lost count of it.
        step = data.step[:, None] / max(1, int(data.step.max()))
        known = [data.rows(code), *([data.rows(data.action)] if about == "return" else []), step]
        self.x = np.concatenate([*known, *(data.rows(data.signals[name]) for name in given)], axis=1)
        self._kept: dict[str, Float[np.ndarray, "n _"]] = {}

    def residual(self, name: str) -> Float[np.ndarray, "n _"]:
        """The residual of a signal, divided by its scale where that is asked for."""
        if name not in self._kept:
            self.prepare([name])
        return self._kept[name]

    def prepare(self, names: Sequence[str]) -> None:
        """Regress these signals together: one model a fold has all their columns as targets, each signal with the same weight.

        A forest shares its splits among them, so a residual depends a little on which signals it is asked for with.
        """
        wanted = [name for name in names if name not in self._kept]
        if not wanted:
            return
        columns = [conditional.standard(self.data.rows(self.data.signals[name])) for name in wanted]
        together = np.concatenate([c / np.sqrt(c.shape[1]) for c in columns], axis=1)
        ends = np.cumsum([c.shape[1] for c in columns])[:-1]
        parts = np.split(self._residual(together), ends, axis=1)
        self._kept |= dict(zip(wanted, parts, strict=True))

    @cached_property
    def of_target(self) -> Float[np.ndarray, "n _"]:
        """The residual of the return, or of the action."""
        return self._residual(conditional.standard(self.target))

    def _residual(self, y: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
        """A common factor of a column does not change what depends on what; kernels take their bandwidth from the data."""
        if self.settings.variant in ("kci", "hscic"):
            return y
        scaled = self.settings.variant == "standardised"
        mean, variance = moments(self.settings.model, self.x, y, self.fold, scales=scaled)
        return (y - mean) / np.sqrt(variance)

    def test(self, subsets: Sequence[Sequence[str]]) -> list[Tested]:
        """Effect and p-value of each set of signals, all on the same draws."""
        if not subsets:
            return []
        self.prepare(sorted({name for subset in subsets for name in subset}))
        together = [np.concatenate([self.residual(name) for name in subset], axis=1) for subset in subsets]
        if self.settings.variant == "hscic":
            return [Tested(*conditional.hscic_test(self.of_target, y, self.x, self.data.episode, self.settings)) for y in together]
        return independence(self.of_target, together, self.data, self.settings, self.x, self.fold)


def constant_returns(data: Dataset) -> str:
    """What to say where no return differs from another."""
    same = float(data.rows(data.returns)[0, 0])
    return f"every return is {same:g}: nothing can inform about it; record longer episodes (steps), or play a policy that gets rewards"


def independence(
    e: Float[np.ndarray, "n k"],
    others: Sequence[Float[np.ndarray, "n _"]],
    data: Dataset,
    settings: Residual,
    x: Float[np.ndarray, "n d"],
    fold: Int[np.ndarray, " n"],
) -> list[Tested]:
    """HSIC of `e` with each of `others`, against a null that leaves episodes whole.

    Args:
        e, others: residuals, one row a step.
        data: whose steps they are.
        settings: of the test.
        x, fold: for the conditional variant, which regresses the features.
    """

    def make(rows: Float[np.ndarray, "n _"]) -> Float[np.ndarray, "n _"]:
        return hsic.features(rows, settings.landmarks, seed=settings.seed).rows

    phi, psis = make(e), [make(rows) for rows in others]
    if settings.variant == "kci":
        chi = conditional.conditions(x, settings.seed)
        phi = conditional.leading(conditional.without(phi, chi, fold), conditional.DIRECTIONS)
        psis = [conditional.interacting(conditional.without(psi, chi, fold), chi) for psi in psis]
        null = hsic.wild_null(phi, psis, data.episode, settings.draws, centred=True, seed=settings.seed)
    elif data.equal_lengths:
        null = hsic.permutation_null(phi, psis, data.episodes, settings.draws, seed=settings.seed)
    else:
        phi, psis = hsic.centred_by_step(phi, data.step), [hsic.centred_by_step(psi, data.step) for psi in psis]
        null = hsic.wild_null(phi, psis, data.episode, settings.draws, seed=settings.seed)
    tested = []
    for k, psi in enumerate(psis):
        observed, p = float(null[0, k]), hsic.p_value(null[:, k])
        most = np.sqrt(hsic.hsic(phi, phi) * hsic.hsic(psi, psi))
        tested.append(Tested(observed, float((observed - null[1:, k].mean()) / most) if most > 0 else 0.0, p))
    return tested
