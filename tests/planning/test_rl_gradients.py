"""The gradient of the whole loss, by hand; and that no unit of the reward lets the critic drown the policy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from rl_toys import HOW, Hints, student

from unseen.planning.agent import Agent
from unseen.planning.rl import loop
from unseen.planning.rl.batch import Learner, Row, rows_of
from unseen.planning.rl.critic import TextCritic, Values
from unseen.planning.rl.loop import reinforce
from unseen.planning.rl.processes import Alone
from unseen.planning.rl.rollouts import Rollouts
from unseen.planning.rl.samples import DECISION, PLAN, Speech
from unseen.planning.rl.settings import RL
from unseen.planning.rl.update import kl_to_reference, learn, loss_of

TEMPERATURE = 0.8
SETTINGS = RL(
    live=6,
    steps=8,
    minibatch=1_000,
    accumulate=3,
    epochs=1,
    warmup=0,
    kl_weight=0.3,
    entropy_weight=0.2,
    value_weight=0.7,
    value_clip=0.1,
    decision_weight=0.5,
    plan_weight=2.0,
    action_weight=3.0,
    kl_target=None,
    max_gradient_norm=1e9,
)


def moved(network, by: float, seed: int) -> None:
    """Change every weight a little."""
    draws = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in network.parameters():
            p += by * torch.randn(p.shape, generator=draws)


def after_an_epoch(schedule: str):
    """Rows of a rollout, and a learner whose weights have gone on since: no ratio is 1, and some are far from it."""
    model = student()
    network = model.model
    reference = {name: p.detach().clone() for name, p in network.named_parameters()}
    moved(network, 0.05, seed=1)
    values = Values(network, SETTINGS, TextCritic())
    moved(values.head, 0.2, seed=2)
    agent = Agent(model, schedule, **HOW, temperature=TEMPERATURE)
    learner = Learner(network, values, reference, Speech.of(model), TEMPERATURE)
    placed, seen = rows_of(Rollouts(agent, model, Hints(), SETTINGS, (), range(6)).play().moves, learner, SETTINGS, Alone())
    returns = np.concatenate(seen.targets)
    values.take_in(len(placed), float(returns.sum()), float(np.sum(returns**2)))
    moved(network, 0.03, seed=3)
    further = float(np.sign(np.mean([row.target[0] - row.value_old[0] for _, _, row in placed])))
    with torch.no_grad():
        values.head.bias += 0.25 * further  # most values come nearer to their targets, by more than the clip
    return placed, learner


def by_hand(rows: list[Row], learner: Learner) -> tuple[torch.Tensor, dict[str, int]]:
    """The loss, row by row and token by token without padding, and how often each case came up."""
    network, s = learner.network, SETTINGS
    unit, cases = learner.values.unit, dict.fromkeys(("cut above", "cut below", "not cut", "value held", "value free", "forbidden"), 0)
    total = torch.zeros(())
    for row in rows:
        one = row.move.sample
        ids = torch.tensor([[*one.prompt, *one.output]])
        at = slice(len(one.prompt) - 1, -1)

        def distribution(out, at=at, one=one):
            logits = out.logits[0, at] / TEMPERATURE
            if one.forbidden:
                logits = logits.clone()
                logits[:, learner.speech.tag[0]] = -1e9
            return torch.log_softmax(logits, -1)

        out = network(input_ids=ids, output_hidden_states=True)
        with torch.no_grad():
            reference = distribution(torch.func.functional_call(network, dict(learner.reference), (), {"input_ids": ids}))
        logp = distribution(out)
        cases["forbidden"] += one.forbidden
        for k, token in enumerate(one.output):
            if not one.learned[k]:
                continue
            a, ratio = float(row.advantage[k]), torch.exp(logp[k, token] - float(row.logp_old[k]))
            if a > 0 and ratio > 1 + s.clip:
                surrogate, case = torch.tensor(a * (1 + s.clip)), "cut above"
            elif a < 0 and ratio < 1 - s.clip:
                surrogate, case = torch.tensor(a * (1 - s.clip)), "cut below"
            else:
                surrogate, case = a * ratio, "not cut"
            cases[case] += 1
            weight = {DECISION: 0.5, PLAN: 2.0}.get(one.kinds[k], 3.0)
            total = total - weight * surrogate + 0.3 * (logp[k].exp() * (logp[k] - reference[k])).sum()
            if k == 0:
                total = total + 0.2 * (logp[k].exp() * logp[k]).sum()
        v = learner.values.mean / unit + learner.values.head(out.hidden_states[-1][0, len(one.prompt) - 1])[0]
        old, target = float(row.value_old[0]) / unit, float(row.target[0]) / unit
        now = float(v.detach())
        near = old + max(-0.1, min(0.1, now - old))
        held = abs(near - now) > 1e-9 and (near - target) ** 2 > (now - target) ** 2
        cases["value held" if held else "value free"] += 1
        total = total + 0.7 * 0.5 * (torch.tensor((near - target) ** 2) if held else (v - target) ** 2)
    return total / len(rows), cases


@pytest.mark.parametrize("schedule", ["dynamic", "random:0.5"])
def test_the_gradient_of_the_whole_loss_is_that_of_a_computation_by_hand(schedule):
    placed, learner = after_an_epoch(schedule)
    rows = [row for _, _, row in placed]
    wanted, cases = by_hand(rows, learner)
    kinds = {kind for row in rows for kind in row.move.sample.kinds}
    assert (DECISION in kinds) == (schedule == "dynamic")
    assert (cases.pop("forbidden") > 0) == (schedule != "dynamic")
    assert min(cases.values()) >= 2, cases
    trained = [*learner.network.parameters(), *learner.values.parameters]
    plain = torch.autograd.grad(wanted, trained)
    loss, _ = loss_of(rows, len(rows), learner, SETTINGS)
    assert float(loss.detach()) == pytest.approx(float(wanted.detach()), rel=1e-4)
    optimiser = torch.optim.SGD([{"params": list(learner.network.parameters())}, {"params": learner.values.parameters}], lr=0.0)
    learn(placed, learner, optimiser, SETTINGS, 0, Alone())
    size = max(float(g.abs().max()) for g in plain)
    for p, g in zip(trained, plain, strict=True):
        np.testing.assert_allclose(p.grad, g, atol=3e-5 * size)


def test_the_divergence_that_stops_a_run_is_that_of_the_present_weights():
    placed, learner = after_an_epoch("dynamic")
    total = 0.0
    for _, _, row in placed:
        one = row.move.sample
        ids = torch.tensor([[*one.prompt, *one.output]])
        with torch.no_grad():
            now = torch.log_softmax(learner.network(input_ids=ids).logits[0, len(one.prompt) - 1 : -1] / TEMPERATURE, -1)
            out = torch.func.functional_call(learner.network, dict(learner.reference), (), {"input_ids": ids})
            then = torch.log_softmax(out.logits[0, len(one.prompt) - 1 : -1] / TEMPERATURE, -1)
        total += float((now.exp() * (now - then)).sum())
    found, tokens = kl_to_reference(placed, learner, SETTINGS)
    assert found == pytest.approx(total, rel=1e-4)
    assert tokens == sum(len(row.move.sample.output) for _, _, row in placed)
    assert found > 0.1


def test_epochs_end_within_one_where_the_policy_has_gone_far_enough():
    placed, learner = after_an_epoch("dynamic")
    settings = replace(SETTINGS, minibatch=12, epochs=3, kl_target=0.3)
    optimiser = torch.optim.SGD([{"params": list(learner.network.parameters())}, {"params": learner.values.parameters}], lr=0.1)
    steps, taken = [], optimiser.step
    optimiser.step = lambda: steps.append(taken())
    told = learn(placed, learner, optimiser, settings, 0, Alone())
    assert told.stopped
    assert 1 <= len(steps) == told.minibatches
    assert told.minibatches % 4 != 0  # of 4 in an epoch
    optimiser.step = taken
    assert not learn(placed, learner, optimiser, replace(settings, kl_target=None), 0, Alone()).stopped


# --- units of the reward


class Paying(Hints):
    """The same world in another currency."""

    def __init__(self, unit: float):
        self.unit = unit
        super().__init__(max_steps=14)

    def step(self, action):
        step = super().step(action)
        return step._replace(reward=self.unit * step.reward)


def in_currency(unit: float, monkeypatch):
    """Cosines of the applied gradient with that of the policy alone, after the warm-up, and the curves."""
    real, cosines = loop.learn, []

    def spying(placed, learner, optimiser, settings, update, others):
        rows = [row for _, _, row in placed]
        if update >= settings.warmup:
            applied, policy = (
                torch.cat([g.flatten() for g in torch.autograd.grad(loss_of(rows, len(rows), learner, how)[0], list(weights))])
                for how in (settings, replace(settings, value_weight=0.0, kl_weight=0.0, entropy_weight=0.0))
                for weights in [learner.network.parameters()]
            )
            cosines.append(float(torch.cosine_similarity(applied, policy, 0)))
        return real(placed, learner, optimiser, settings, update, others)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "learn", spying)
        settings = RL(updates=5, live=8, steps=14, minibatch=56, accumulate=1, warmup=3, save_every=100)
        curves = reinforce(student(), Paying(unit), settings, **HOW, say=lambda _: None).curves
    return cosines, curves


def test_returns_of_100_are_learned_from_as_returns_of_1(monkeypatch):
    (plain, curves), (large, others) = in_currency(1.0, monkeypatch), in_currency(100.0, monkeypatch)
    assert len(plain) == len(large) == 2
    assert min(plain + large) > 0.5
    np.testing.assert_allclose(plain, large, atol=1e-3)
    for name in ("kl", "policy_loss", "value_loss", "drift", "planning_frequency", "explained_variance"):
        np.testing.assert_allclose(curves[name].to_numpy(), others[name].to_numpy(), atol=1e-4, err_msg=name)
    np.testing.assert_allclose(100 * curves["return"].to_numpy(), others["return"].to_numpy())
    assert curves["value_loss"].max() < 1.5


def test_a_new_unit_changes_no_value():
    values = Values(student().model, SETTINGS, TextCritic())
    moved(values.head, 0.3, seed=0)
    hidden = torch.randn(5, 32, generator=torch.Generator().manual_seed(0))
    values.take_in(2, 4.0 + 8.0, 16.0 + 64.0)
    assert (values.mean, values.unit) == (6, 2)
    before = values.of_hidden(hidden).detach()
    values.take_in(2, 20.0 + 40.0, 400.0 + 1600.0)
    assert (values.mean, values.unit) == (18, pytest.approx(np.std([4, 8, 20, 40])))
    np.testing.assert_allclose(values.of_hidden(hidden).detach(), before, rtol=1e-5)
