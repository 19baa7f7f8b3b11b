"""Losses against enumeration: what they are, what they leave alone, and that their sum does not lean for or against plans."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from unseen.errors import UserError
from unseen.planning.rl import losses
from unseen.planning.rl.settings import RL


def test_the_divergence_is_the_sum_over_all_tokens():
    draws = torch.Generator().manual_seed(0)
    p, q = (torch.log_softmax(torch.randn(2, 3, 7, generator=draws, dtype=torch.float64), -1) for _ in range(2))
    found = losses.divergence(p, q)
    for row in range(2):
        for column in range(3):
            plain = sum(math.exp(p[row, column, k]) * (float(p[row, column, k]) - float(q[row, column, k])) for k in range(7))
            assert float(found[row, column]) == pytest.approx(plain)
            assert float(losses.entropy(p)[row, column]) == pytest.approx(-sum(math.exp(v) * float(v) for v in p[row, column]))


def test_the_gradient_of_the_divergence_points_back_and_that_of_the_sampled_ratio_nowhere():
    """As a loss E[log π − log π_ref] has the expected gradient 0, which is why the exact divergence stands in the loss."""
    logits = torch.tensor([0.3, -1.0, 0.5], dtype=torch.float64, requires_grad=True)
    reference = torch.log_softmax(torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64), -1)
    logp = torch.log_softmax(logits, -1)
    (sampled,) = torch.autograd.grad((logp.detach().exp() * (logp - reference)).sum(), logits, retain_graph=True)
    (exact,) = torch.autograd.grad(losses.divergence(logp, reference), logits)
    assert sampled.abs().max() < 1e-12
    moved = logits.detach() - 0.1 * exact
    assert losses.divergence(torch.log_softmax(moved, -1), reference) < losses.divergence(logp, reference)


def test_forbidden_tokens_have_no_probability_and_no_part_in_the_divergence():
    logits, other = torch.randn(1, 1, 4), torch.randn(1, 1, 4)
    where = tuple(torch.tensor([k]) for k in (0, 0, 2))
    p, q = losses.log_softmax(logits, 0.7, where), losses.log_softmax(other, 0.7, where)
    left = [0, 1, 3]
    plain = torch.log_softmax(logits[0, 0, left] / 0.7, -1)
    np.testing.assert_allclose(p[0, 0, left], plain, atol=1e-6)
    assert float(p[0, 0, 2].exp()) == 0
    assert torch.isfinite(losses.divergence(p, q)).all()


@pytest.mark.parametrize(
    ("ratio", "advantage", "slope"), [(1.5, 1.0, 0), (1.5, -1.0, 1.5), (0.5, -1.0, 0), (0.5, 1.0, -0.5), (1.0, 2.0, -2)]
)
def test_the_ratio_is_clipped_where_it_has_gone_far_enough(ratio, advantage, slope):
    logp = torch.tensor(math.log(ratio), requires_grad=True)
    losses.clipped_policy_loss(logp, torch.tensor(0.0), torch.tensor(advantage), 0.2).backward()
    assert float(logp.grad) == pytest.approx(slope)


def test_the_value_loss_takes_the_worse_of_both():
    value, old, target = torch.tensor(1.0), torch.tensor(0.0), torch.tensor(2.0)
    assert float(losses.clipped_value_loss(value, old, target, 0.2)) == pytest.approx(0.5 * 1.8**2)
    assert float(losses.clipped_value_loss(value, old, target, None)) == pytest.approx(0.5)
    assert float(losses.clipped_value_loss(torch.tensor(-3.0), old, target, 0.2)) == pytest.approx(12.5)


def test_the_drift_is_an_estimate_of_the_divergence_and_never_below_0():
    p, q = torch.tensor([0.2, 0.8]).log(), torch.tensor([0.5, 0.5]).log()
    expected = (q.exp() * losses.drift(p, q)).sum()  # tokens are drawn from q, the rollout's policy
    assert float(expected) == pytest.approx(float(losses.divergence(q, p)))
    assert (losses.drift(p, q) >= 0).all()


# --- the decision: planning costs 18 tokens, acting at once 2; which is better by how much, and what does the loss make of it?

P, BETTER, LENGTHS = 0.3, 0.1, (18, 2)


def decision_gradient(error: float, mean_of_means: bool = False) -> float:
    """The expected slope of −loss along the logit of planning, the value being wrong by `error`."""
    logit = torch.tensor(math.log(P / (1 - P)), dtype=torch.float64, requires_grad=True)
    logp = torch.stack([torch.nn.functional.logsigmoid(logit), torch.nn.functional.logsigmoid(-logit)])
    worth = torch.tensor([BETTER, 0.0], dtype=torch.float64)
    value = (torch.tensor([P, 1 - P]) * worth).sum() + error
    slope = 0.0
    for choice, length in enumerate(LENGTHS):  # every output that there is, with its probability
        columns = max(LENGTHS)
        weights = torch.zeros(1, columns, dtype=torch.float64)
        weights[0, columns - length :] = 1
        tokens = torch.zeros(1, columns, dtype=torch.float64)
        taken = tokens.index_put((torch.tensor([0]), torch.tensor([columns - length])), logp[choice])  # the first token decides
        loss = losses.clipped_policy_loss(taken, taken.detach(), torch.full_like(tokens, float(worth[choice] - value)), 0.2)
        total = losses.aggregated(loss, weights, length if mean_of_means else 1)
        (gradient,) = torch.autograd.grad(-total, logit, retain_graph=True)
        slope += float(gradient) * (P, 1 - P)[choice]
    return slope


def test_the_decision_does_not_depend_on_the_level_of_the_value():
    """The example of §11.4: with sums +0.021 whatever the value says; with means over each output −0.005 when it is too low."""
    assert decision_gradient(0.0) == pytest.approx(P * (1 - P) * BETTER)
    for error in (-0.1, 0.0, 0.1, 3.0):
        assert decision_gradient(error) == pytest.approx(0.021)
    assert decision_gradient(-0.1, mean_of_means=True) == pytest.approx(-0.005, abs=5e-4)


def test_tokens_that_are_not_learned_have_a_gradient_of_exactly_0():
    y = torch.tensor([[1.0, 2.0]], requires_grad=True)
    losses.aggregated(y * y, torch.tensor([[0.0, 1.0]]), 1).backward()
    assert y.grad is not None
    assert y.grad.tolist() == [[0.0, 4.0]]


@pytest.mark.parametrize(
    "wrong",
    [
        *({"updates": 0}, {"live": 0}, {"clip": 0.0}, {"discount": 1.1}, {"lambda_": -0.1}, {"learning_rate": float("nan")}, {"lora": 0}),
        *({"plan_price": -1.0}, {"plan_price": ()}, {"warmup": -1}),
        *({"plan_price": (0.1, 0.1)}, {"kl_target": 0.0}, {"kl_weight": -1.0}, {"advantages": "group", "group": 7}),
    ],
)
def test_settings_that_are_not_allowed_are_refused_by_name(wrong):
    with pytest.raises(UserError, match=list(wrong)[-1]) as refused:
        RL(**wrong)
    assert "\n" not in str(refused.value)
