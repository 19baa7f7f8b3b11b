"""Drawing tokens: temperature, what is forbidden, top-p, then one uniform number per row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def draw(
    logits: Any, uniform: np.ndarray, *, temperature: float, top_p: float, forbidden: Sequence[np.ndarray | None]
) -> tuple[list[int], list[float]]:
    """A token for every row, and its log-probability under the distribution it was drawn from.

    p ∝ exp(logit / temperature) on tokens that are allowed and, taken from the likeliest on, needed to reach the mass `top_p`, the lower
    token first where two are equally likely; the token is the first at which the sum of p in the order of the vocabulary exceeds the row's
    uniform number.

    Args:
        logits: (rows, vocabulary) torch tensor.
        uniform: (rows,) from [0, 1).
        temperature: 0: the likeliest token, whose log-probability is then 0.
        top_p: in (0, 1].
        forbidden: for every row None, or the tokens that are not allowed.
    """
    import torch

    logits = logits.to(torch.float64, copy=True)
    rows = [row for row, tokens in enumerate(forbidden) if tokens is not None for _ in tokens]
    if rows:
        logits[rows, torch.from_numpy(np.concatenate([tokens for tokens in forbidden if tokens is not None]))] = -torch.inf
    if temperature == 0:
        best = logits.max(-1)
        return best.indices.tolist(), (best.values - best.values).tolist()  # nan where the logits are no numbers
    p = torch.softmax(logits / temperature, -1)
    if top_p < 1:
        ordered, place = p.sort(dim=-1, descending=True, stable=True)
        before = torch.nn.functional.pad(ordered.cumsum(-1)[:, :-1], (1, 0))
        p = torch.zeros_like(p).scatter_(-1, place, ordered * (before < top_p))  # the token that reaches the mass is kept
        p /= p.sum(-1, keepdim=True)
    sums = p.cumsum(-1)
    u = torch.from_numpy(uniform).to(p.device)[:, None] * sums[:, -1:]  # rounding must not leave a gap at the end
    tokens = torch.searchsorted(sums, u, right=True).clamp(max=p.shape[-1] - 1)  # past the end lead only logits that are no numbers
    return tokens[:, 0].tolist(), p.gather(-1, tokens).log()[:, 0].tolist()
