"""An informed critic leaves the expectation of the actor's gradient as it is: summed over everything that can happen."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from rl_toys import WORDING, student

from unseen.environments.text.contract import TextObservation
from unseen.planning.rl.batch import Learner, rows_of
from unseen.planning.rl.critic import TextCritic, Values, context
from unseen.planning.rl.processes import Alone
from unseen.planning.rl.rollouts import Move
from unseen.planning.rl.samples import ACTION, Sample, Speech
from unseen.planning.rl.settings import RL
from unseen.planning.rl.update import loss_of

COINS = ("red", "blue")  # what is hidden, each half of the time; the actor sees the same prompt in both worlds
SETTINGS = RL(kl_weight=0.0, entropy_weight=0.0, normalise=False, warmup=0)


def expected_gradient(critic: TextCritic, read: Callable[[tuple[int, ...], str, int], tuple[int, ...]]) -> list[np.ndarray]:
    """Σ over hidden states and outputs of one token, each with its probability, of the gradient of its loss."""
    model = student()
    network = model.model
    values = Values(network, SETTINGS, critic)
    draws = torch.Generator().manual_seed(1)
    with torch.no_grad():  # a critic that is wrong in its own way everywhere
        values.head.weight.copy_(torch.randn(values.head.weight.shape, generator=draws))
    (prompt,) = map(tuple, model.read([WORDING.conversation("", [], TextObservation("nothing"), None, "act")]))
    with torch.no_grad():
        p = torch.softmax(network(input_ids=torch.tensor([prompt])).logits[0, -1].double(), -1).numpy()
    learner = Learner(network, values, {n: w.detach().clone() for n, w in network.named_parameters()}, Speech.of(model), 1.0)
    pays = {coin: model.tokens(coin)[0] for coin in COINS}
    whole = [np.zeros(tuple(w.shape)) for w in network.parameters()]
    for coin in COINS:
        moves = {
            token: [
                Move(
                    Sample(prompt, (token,), (ACTION,), (True,), np.log(p[token : token + 1]), False),
                    read(prompt, coin, token),
                    float(token == pays[coin]) * (1.0 if coin == "red" else 3.0),
                    True,
                    None,
                    False,
                    0,
                    1,
                )
            ]
            for token in range(len(p))
        }
        rows, _ = rows_of(moves, learner, SETTINGS, Alone())
        for token, _, row in rows:
            loss, _ = loss_of([row], 1, learner, RL(**{**vars(SETTINGS), "value_weight": 0.0}))
            for total, gradient in zip(whole, torch.autograd.grad(loss, list(network.parameters())), strict=True):
                total += 0.5 * p[token] * gradient.double().numpy()
    return whole


@pytest.mark.parametrize("where", ["pass", "model"])
def test_an_informed_critic_leaves_the_actors_expected_gradient_unchanged(where):
    model = student()
    plain = expected_gradient(TextCritic(), lambda prompt, coin, token: prompt)
    informed = expected_gradient(TextCritic(("coin",), where), lambda prompt, coin, token: context(model, prompt, {"word": coin}))
    leaking = expected_gradient(TextCritic(("coin",), where), lambda prompt, coin, token: (*prompt, token))  # told what was written
    size = max(float(np.abs(g).max()) for g in plain)
    assert size > 1e-3
    for a, b in zip(plain, informed, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5 * max(size, 1))
    assert max(float(np.abs(a - b).max()) for a, b in zip(plain, leaking, strict=True)) > 0.05 * size
