"""The losses of token-level PPO, on tensors with a row for every step of an environment and a column for every token of its output.

Every loss is a sum over tokens divided by a constant of the batch, never by a step's own number of tokens: that would weigh the decision to
plan by 1 / length, which depends on the decision, and turn an error of the value into a bias against or for plans (specification §11.4).
"""

from __future__ import annotations

from typing import Any

Tensor = Any  # of torch, which is imported only where a model is


def log_softmax(logits: Tensor, temperature: float, forbidden: tuple[Tensor, Tensor, Tensor] | None) -> Tensor:
    """Log-probabilities as they were drawn from: after temperature, and without what may not be written.

    Args:
        logits: (rows, columns, vocabulary).
        temperature: above 0.
        forbidden: indices of rows, columns and tokens; None: nothing is.
    """
    import torch

    scaled = logits.float() / temperature
    if forbidden is not None:
        scaled = scaled.index_put(forbidden, scaled.new_tensor(-1e9))  # finite: 0 · (−1e9 + 1e9) is 0, and 0 · (−∞ + ∞) is no number
    return torch.log_softmax(scaled, -1)


def clipped_policy_loss(logp: Tensor, logp_old: Tensor, advantage: Tensor, clip: float) -> Tensor:
    """−min(ρ A, clip(ρ, 1 ± ε) A) of every token, with ρ = p / p_old.

    Args:
        logp, logp_old: (rows, columns) of the tokens that were written, now and in the rollout.
        advantage: (rows, columns).
        clip: ε.

    Source: Schulman et al. 2017, equation 7, per token.
    """
    import torch

    ratio = torch.exp(logp - logp_old)
    return -torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)


def clipped_value_loss(value: Tensor, value_old: Tensor, target: Tensor, clip: float | None) -> Tensor:
    """½ max((v − G)², (v_old + clip(v − v_old, ±ε) − G)²) of every value; without a clip ½ (v − G)².

    Source: the clipped value loss of the public PPO implementation of OpenAI Baselines; it is not in the paper.
    """
    import torch

    plain = (value - target) ** 2
    if clip is None:
        return 0.5 * plain
    near = value_old + (value - value_old).clamp(-clip, clip)
    return 0.5 * torch.maximum(plain, (near - target) ** 2)


def divergence(logp: Tensor, logp_reference: Tensor) -> Tensor:
    """KL(π ‖ π_ref) = Σ_token π (log π − log π_ref), exact, over the whole vocabulary (the last axis).

    As a loss it must be this one: the log-ratio of the sampled token has an expected gradient of 0 (specification §11.4).
    """
    return (logp.exp() * (logp - logp_reference)).sum(-1)


def entropy(logp: Tensor) -> Tensor:
    """−Σ_token π log π (the last axis)."""
    return -(logp.exp() * logp).sum(-1)


def aggregated(per_token: Tensor, weights: Tensor, constant: int) -> Tensor:
    """Σ w x / constant over all tokens; those that are not learned have w = 0, and get a gradient of exactly 0.

    Args:
        per_token, weights: (rows, columns).
        constant: the steps of the minibatch, whatever is in them.
    """
    import torch

    return torch.where(weights > 0, weights * per_token, 0.0).sum() / constant


def drift(logp: Tensor, logp_old: Tensor) -> Tensor:
    """An estimate of KL(π_old ‖ π) from each sampled token, ρ − 1 − log ρ, which is never below 0.

    Source: Schulman 2020, "Approximating KL divergence", the estimate called k3.
    """
    import torch

    change = logp - logp_old
    return torch.exp(change) - 1 - change
