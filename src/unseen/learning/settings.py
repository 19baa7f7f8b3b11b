"""The learning algorithms as settings: frozen dataclasses that import nothing but the standard library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class A2C:
    """Advantage actor-critic on whole episodes, as published for the informed critic."""

    episodes_per_update: int = 2
    """Whole episodes collected with the current policy for each gradient step."""

    discount: float = 0.99
    """gamma."""

    estimator: Literal["td", "n-step", "td-lambda", "monte-carlo"] = "td"
    """Target of the critic, and advantage of the actor."""

    n: int = 5
    """Steps of the n-step estimator."""

    lambda_: float = 0.95
    """Mixing of the TD(lambda) estimator."""

    learning_rate: float = 1e-3
    """Of both Adam optimisers."""

    adam_epsilon: float = 1e-4
    """Epsilon of both Adam optimisers."""

    max_gradient_norm: float | None = None
    """Clip each network's gradient to this global norm; None: no clipping."""

    entropy: float = 0.1
    """Weight of the entropy bonus at the start."""

    entropy_end: float = 0.01
    """Weight it falls to on a straight line, and keeps."""

    entropy_steps: int = 2_000_000
    """Environment steps over which it falls."""

    target_period: int = 10_000
    """Environment steps between full copies of the critic into its target."""

    discount_gradient: bool = True
    """Weight step t by gamma^t, as the gradient of the discounted return demands; most libraries leave it out."""

    time_limit: Literal["bootstrap", "terminate"] = "bootstrap"
    """A time limit bootstraps from the value of what would have followed; "terminate" is the published treatment."""


@dataclass(frozen=True)
class PPO:
    """Proximal policy optimisation with recurrent sequences (Schulman et al. 2017)."""

    environments: int = 64
    """Environments stepped together."""

    rollout: int = 128
    """Steps of each environment between updates."""

    epochs: int = 4
    """Passes over each rollout."""

    minibatches: int = 4
    """Parts each pass is cut into, whole sequences each; divides `environments`."""

    discount: float = 0.99
    """gamma."""

    lambda_: float = 0.95
    """lambda of the generalised advantage."""

    clip: float = 0.2
    """Range of the probability ratio."""

    value_clip: float | None = None
    """Range in which a new value may leave the old one; None: no clipping."""

    learning_rate: float = 3e-4
    """Of Adam."""

    anneal_steps: int | None = None
    """Environment steps over which the learning rate falls to 0 on a straight line; None: it stays."""

    adam_epsilon: float = 1e-5
    """Epsilon of Adam."""

    max_gradient_norm: float | None = 0.5
    """Clip the gradient to this global norm; None: no clipping."""

    entropy: float = 0.0
    """Weight of the entropy bonus."""

    value_weight: float = 0.5
    """Weight of the value loss."""

    normalise_advantages: bool = True
    """Subtract the mean of each minibatch and divide by its standard deviation."""

    normalise_returns: bool = False
    """Let the critic predict returns divided by their running standard deviation (kept in the checkpoint)."""

    carries: Literal["stored", "recomputed"] = "stored"
    """Where sequences start: the carries stored while acting, or recomputed before every epoch with the newest parameters
    from the rollout before (one more forward pass an epoch)."""


@dataclass(frozen=True)
class VTrace:
    """Actors that may lag behind the learner, corrected by V-trace (Espeholt et al. 2018, IMPALA)."""

    environments: int = 32
    """Environments stepped together: the batch."""

    rollout: int = 100
    """Steps of each environment between updates."""

    lag: int = 0
    """Updates by which the acting parameters are older than the learner's."""

    discount: float = 0.99
    """gamma."""

    lambda_: float = 1.0
    """Shortens the traces; the published value is 1."""

    clip_ratio: float = 1.0
    """rho-bar: of the ratio in the value's correction."""

    clip_trace: float = 1.0
    """c-bar: of the ratio that carries corrections further back."""

    clip_policy: float = 1.0
    """Of the ratio in the policy gradient."""

    optimiser: Literal["rmsprop", "adam"] = "rmsprop"
    """RMSProp with the published numbers, or Adam."""

    learning_rate: float = 4.8e-4
    """Of the optimiser."""

    anneal_steps: int | None = None
    """Environment steps over which the learning rate falls to 0 on a straight line; None: it stays."""

    rms_decay: float = 0.99
    """Decay of RMSProp's mean square."""

    rms_epsilon: float = 0.1
    """Epsilon of RMSProp, inside the root; it is meant for losses that are sums."""

    adam_epsilon: float = 1e-5
    """Epsilon of Adam."""

    max_gradient_norm: float | None = 40.0
    """Clip the gradient to this global norm; None: no clipping, as the published agent's public code."""

    entropy: float = 2.5e-4
    """Weight of the entropy bonus."""

    value_weight: float = 0.5
    """Weight of the value loss."""

    reward_clip: float | None = 1.0
    """Rewards that the learner sees stay within this of 0; None: as they are."""


Algorithm = A2C | PPO | VTrace
