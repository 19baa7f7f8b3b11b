"""Criterion B: does a critic that is told the signal predict returns better than one that is not?

On the same training folds two critics are fitted to the data's own policy by TD, Q(h, a) and Q(h, i, a); on held-out episodes
    L_j = 1/T_j sum_t [(Q(h_t, a_t) - G_t)^2 - (Q(h_t, i_t, a_t) - G_t)^2],
and H0: E[L] <= epsilon is tested, one-sided.

Source: IAAC (second hand), criterion B: 5 folds, t-test above 1,000 episodes, bootstrap below. Networks, optimiser and lambda were not
found: proposed. Standard errors that respect the folds are ours.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray
from scipy import stats

from unseen.agents.layers import Linear, Perceptron
from unseen.errors import UserError
from unseen.learning import optimise
from unseen.learning.returns import td_lambda_returns
from unseen.signals.dataset import Dataset
from unseen.signals.folds import folds_of
from unseen.signals.histories import Reader
from unseen.signals.residual import constant_returns

MANY = 1_000  # episodes above which the t-test is used, as published
RESAMPLES = 10_000
FEWEST = 20  # episodes below which a bootstrap of their mean is far too sure of itself


@dataclass(frozen=True)
class Prediction:
    """Settings of criterion B.

    Attributes:
        folds: of cross-validation, by episode.
        updates: gradient steps of each critic; of the parameters met on the way those count that predict the returns of some
            episodes best, which are kept out of training for that.
        batch: episodes in each.
        chosen_on: share of the training episodes kept out so.
        width: of the recurrent memory and of the head.
        rate: of Adam.
        lambda_: of the TD(lambda) targets; 0 is the published TD.
        target_period: gradient steps between full copies into the target network.
        epsilon: gain that does not count yet, in squared units of return.
        by_fold: compare the folds' mean gains instead of the episodes': episodes of a fold share their critics, so they are not
            independent; few folds make a wide but honest interval.
        seed: of folds, networks and batches.
    """

    folds: int = 5
    updates: int = 300
    batch: int = 100
    chosen_on: float = 0.15
    width: int = 32
    rate: float = 3e-3
    lambda_: float = 0.0
    target_period: int = 15
    epsilon: float = 0.0
    by_fold: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("updates", "batch", "width", "target_period"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} = {getattr(self, name)}; it must be at least 1")
        if not 0 <= self.lambda_ <= 1:
            raise UserError(f"lambda_ = {self.lambda_}; allowed: 0 to 1")
        if not 0 < self.chosen_on < 1:
            raise UserError(f"chosen_on = {self.chosen_on}; it must lie between 0 and 1")


class Gain(NamedTuple):
    """What criterion B says about one set of signals.

    Attributes:
        effect: mean of L over episodes, in squared units of return.
        normalised: effect / Var(G): the further share of the returns' variance that is explained.
        p: of H0: E[L] <= epsilon.
        standard_error: of the mean: over folds where `by_fold`, else over episodes.
    """

    effect: float
    normalised: float
    p: float
    standard_error: float


class QCritic(eqx.Module):
    """Q(h, i, a) = head(W reader(h) + U (i, a)); the signal never enters the memory."""

    reader: Reader
    join: Linear
    head: Perceptron

    def __init__(self, inputs: int, told: int, width: int, *, key: PRNGKeyArray):
        k_reader, k_join, k_head = jax.random.split(key, 3)
        self.reader = Reader(inputs, width, key=k_reader)
        self.head = Perceptron([width, width, width, 1], activation="relu", key=k_head)
        self.join = Linear(told, width, follows="relu", key=k_join)

    def __call__(self, inputs: Float[Array, "T E F"], told: Float[Array, "T E S"]) -> Float[Array, "T E"]:
        return self.head(self.reader(inputs), self.join(told))[..., 0]


class Batch(NamedTuple):
    """Time-major; `told` is (a_t, i_t)."""

    inputs: Float[Array, "T E F"]
    told: Float[Array, "T E S"]
    reward: Float[Array, "T E"]
    discount: Float[Array, "T E"]
    returns: Float[Array, "T E"]
    valid: Float[Array, "T E"]


def targets(values: Float[Array, "T E"], batch: Batch, lambda_: float) -> Float[Array, "T E"]:
    """The TD(lambda) target of every step from these values of (h_t, i_t, a_t); behind an episode's last step the value is 0."""
    following = jnp.concatenate([values[1:], jnp.zeros_like(values[:1])])
    return jax.vmap(lambda r, d, v: td_lambda_returns(r, d, v, lambda_), 1, 1)(batch.reward, batch.discount, following)


def td_loss(model: QCritic, y: Float[Array, "T E"], batch: Batch) -> Float[Array, ""]:
    """Mean over steps of (Q(h_t, i_t, a_t) - y_t)^2."""
    q = model(batch.inputs, batch.told)
    return jnp.sum(batch.valid * (q - y) ** 2) / jnp.maximum(jnp.sum(batch.valid), 1.0)


def held_out(data: Dataset, subset: Sequence[str], settings: Prediction) -> Float[np.ndarray, "T E"]:
    """Q of every step, from a critic that saw no step of its episode's fold. In units of return."""
    scale = max(float(data.rows(data.returns).std()), 1e-9)
    following = np.concatenate([data.valid[1:], np.zeros_like(data.valid[:1])])
    told = np.concatenate([data.action, *(data.signals[name] for name in subset)], axis=-1)
    arrays = (data.inputs, told, data.reward / scale, data.discount * following, data.returns / scale, data.valid)
    everything = Batch(*(jnp.asarray(x, jnp.float32) for x in arrays))
    fold = folds_of(data.episodes, settings.folds, settings.seed)
    predicted = np.zeros(data.valid.shape)

    def one(k: int) -> None:
        among = np.random.default_rng([settings.seed, k]).permutation(np.flatnonzero(fold != k))
        spare = max(1, round(settings.chosen_on * len(among)))
        weights = np.zeros((2, data.episodes), np.float32)
        weights[0, among[spare:]], weights[1, among[:spare]] = 1.0, 1.0
        key = jax.random.fold_in(jax.random.key(settings.seed), k)
        q = np.asarray(_predicted(everything, jnp.asarray(weights), settings, key))
        predicted[:, fold == k] = q[:, fold == k] * scale

    one(0)  # compiles
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # a scan over small steps keeps a single core busy
        list(pool.map(one, range(1, settings.folds)))
    return predicted


@eqx.filter_jit
def _predicted(everything: Batch, weights: Float[Array, "2 E"], settings: Prediction, key: PRNGKeyArray) -> Float[Array, "T E"]:
    """Q of every step from a critic trained on the episodes with weight in row 0, its parameters chosen on those in row 1."""
    k_model, k_batches = jax.random.split(key)
    model = QCritic(everything.inputs.shape[-1], everything.told.shape[-1], settings.width, key=k_model)
    adam: Any = optax.adam(settings.rate)
    batch = min(settings.batch, everything.valid.shape[1])
    # The Gumbel trick draws without replacement among the episodes that have a weight.
    allowed = jnp.log(weights[0])
    judged = everything.valid * weights[1][None]

    def update(carry: Any, inputs: Any) -> tuple[Any, None]:
        (model, state), (key, y) = carry, inputs
        _, drawn = jax.lax.top_k(allowed + jax.random.gumbel(key, allowed.shape, jnp.float32), batch)
        some = jax.tree.map(lambda x: x[:, drawn], everything)
        some = some._replace(valid=some.valid * weights[0][drawn][None])
        gradient = jax.grad(td_loss)(model, y[:, drawn], some)
        return optimise.step(adam, model, gradient, state), None

    def period(carry: Any, key: PRNGKeyArray) -> tuple[Any, None]:
        """Values of everything once: they judge the parameters, and are the frozen copy's until the next period."""
        model, state, best, least = carry
        values = model(everything.inputs, everything.told)
        now = jnp.sum(judged * (values - everything.returns) ** 2)
        best = jax.tree.map(lambda new, old: jnp.where(now < least, new, old), model, best)
        y = targets(values, everything, settings.lambda_)
        keys = jax.random.split(key, settings.target_period)
        (model, state), _ = jax.lax.scan(lambda c, k: update(c, (k, y)), (model, state), keys)
        return (model, state, best, jnp.minimum(now, least)), None

    periods = max(1, settings.updates // settings.target_period) + 1  # the last one only judges
    start = (model, adam.init(model), model, jnp.asarray(jnp.inf, jnp.float32))
    (_, _, best, _), _ = jax.lax.scan(period, start, jax.random.split(k_batches, periods))
    return best(everything.inputs, everything.told)


class Predictions:
    """Criterion B on one data set: the symmetric critic is fitted once."""

    def __init__(self, data: Dataset, settings: Prediction = Prediction(), given: Sequence[str] = ()) -> None:
        """
        Args:
            data: the episodes.
            settings: of the critics and of the test.
            given: signals that both critics are told.

        Raises:
            UserError: fewer than 20 episodes or than folds, or returns that are all the same.
        """
        if data.episodes < FEWEST:
            raise UserError(f"{data.episodes} episodes are too few to compare critics on; record at least {FEWEST}, better 500")
        self.data, self.settings, self.given = data, settings, tuple(given)
        if np.ptp(data.rows(data.returns)) < 1e-12:
            raise UserError(constant_returns(data))
        self.fold = folds_of(data.episodes, settings.folds, settings.seed)
        self.symmetric = held_out(data, self.given, settings)

    def gains(self, subset: Sequence[str]) -> Float[np.ndarray, " E"]:
        """L of every episode."""
        data = self.data
        informed = held_out(data, [*self.given, *subset], self.settings)
        differences = (self.symmetric - data.returns) ** 2 - (informed - data.returns) ** 2
        return np.sum(np.where(data.valid, differences, 0.0), axis=0) / data.valid.sum(axis=0)

    def test(self, subsets: Sequence[Sequence[str]]) -> list[Gain]:
        """Gain and p-value of each set of signals."""
        variance = float(self.data.rows(self.data.returns).var())
        return [gain_test(self.gains(subset), self.fold, variance, self.settings) for subset in subsets]


def gain_test(gains: Float[np.ndarray, " E"], fold: Int[np.ndarray, " E"], variance: float, settings: Prediction) -> Gain:
    """The one-sided test of H0: E[L] <= epsilon.

    Over folds a t-test of their means. Over episodes a t-test above 1,000 of them, below a bootstrap of the mean, as published:
    p = (1 + #{resampled mean <= epsilon}) / (resamples + 1).

    Args:
        gains: L of each episode.
        fold: of each episode.
        variance: of the returns, for the normalised effect.
        settings: of the test.
    """
    effect = float(gains.mean())
    values = np.array([gains[fold == k].mean() for k in np.unique(fold)]) if settings.by_fold else gains
    error = float(values.std(ddof=1) / np.sqrt(len(values)))
    least = 1 / (RESAMPLES + 1)
    if error == 0.0:
        p = least if values.mean() > settings.epsilon else 1.0
    elif settings.by_fold or len(gains) > MANY:
        p = float(stats.t.sf((values.mean() - settings.epsilon) / error, len(values) - 1))
    else:
        counts = np.random.default_rng(settings.seed).multinomial(len(gains), np.full(len(gains), 1 / len(gains)), RESAMPLES)
        p = float((1 + np.sum(counts @ gains / len(gains) <= settings.epsilon)) / (RESAMPLES + 1))
    return Gain(effect, effect / variance if variance > 0 else 0.0, p, error)
