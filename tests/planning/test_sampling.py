"""Tokens are drawn from the distribution that is told, and from nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from local_models import plain_distribution, taken
from scipy import stats

from unseen.planning.models.sampling import draw

HALVES = st.integers(-6, 6).map(lambda k: k / 2)  # so that many are tied


@given(
    logits=st.lists(st.lists(HALVES, min_size=5, max_size=5), min_size=1, max_size=4),
    temperature=st.sampled_from([0.3, 1.0, 2.5]),
    top_p=st.sampled_from([0.05, 0.2, 0.5, 0.9, 1.0]),
    data=st.data(),
)
@settings(max_examples=150)
def test_what_is_drawn_is_what_a_plain_loop_draws(logits, temperature, top_p, data):
    never = [data.draw(st.none() | st.sets(st.integers(0, 4), max_size=4)) for _ in logits]
    uniform = np.array(data.draw(st.lists(st.floats(0, 1, exclude_max=True), min_size=len(logits), max_size=len(logits))))
    forbidden = [None if tokens is None else np.array(sorted(tokens), np.int64) for tokens in never]
    given_logits = torch.tensor(logits)
    tokens, logprobs = draw(given_logits, uniform, temperature=temperature, top_p=top_p, forbidden=forbidden)
    assert given_logits.tolist() == logits  # nobody else's numbers are changed
    for k, row in enumerate(logits):
        p = plain_distribution(np.array(row), temperature, top_p, never[k] or ())
        assert p[tokens[k]] > 0  # neither forbidden nor beyond the mass
        assert logprobs[k] == pytest.approx(np.log(p[tokens[k]]), abs=1e-12)
        sums = np.cumsum(p)
        if np.abs(sums - uniform[k]).min() > 1e-12:  # where rounding decides, either may be
            assert tokens[k] == taken(p, uniform[k])


@given(logits=st.lists(HALVES, min_size=2, max_size=12), top_p=st.sampled_from([0.1, 0.3, 0.5, 0.75, 0.99]))
def test_top_p_keeps_the_smallest_set_that_has_the_mass(logits, top_p):
    uniform = np.linspace(0, 1, 4001)[:-1]
    rows = torch.tensor([logits]).repeat(len(uniform), 1)
    tokens, _ = draw(rows, uniform, temperature=1.0, top_p=top_p, forbidden=[None] * len(uniform))
    p = np.exp(logits) / np.exp(logits).sum()
    kept = sorted(set(tokens))
    left = [k for k in range(len(logits)) if k not in kept]
    assert p[kept].sum() >= top_p - 1e-12
    assert p[kept].sum() - p[kept].min() < top_p + 1e-12  # none of them could be left out
    assert all((p[k], -k) < (p[j], -j) for k in left for j in kept)  # the likeliest; the first of those that are tied


def test_of_many_tied_tokens_the_first_are_kept():
    tokens, _ = draw(torch.zeros(500, 1000), np.linspace(0, 1, 501)[:-1], temperature=1.0, top_p=0.2995, forbidden=[None] * 500)
    assert min(tokens) == 0
    assert max(tokens) == 299


def test_frequencies_are_the_probabilities():
    logits = np.array([0.3, -1.0, 2.0, 0.0, 1.0, -3.0])
    uniform = np.random.default_rng(0).random(40_000)
    for top_p, never in ((1.0, []), (0.85, []), (0.9, [2, 5])):
        p = plain_distribution(logits, 0.8, top_p, never)
        rows = torch.tensor(logits).repeat(len(uniform), 1)
        tokens, _ = draw(rows, uniform, temperature=0.8, top_p=top_p, forbidden=[np.array(never, np.int64)] * len(uniform))
        counts, drawn = np.bincount(tokens, minlength=len(p)), p > 0
        assert drawn.sum() > 1
        assert not counts[~drawn].any()
        assert stats.chisquare(counts[drawn], p[drawn] * len(uniform)).pvalue > 0.001


def test_the_likeliest_allowed_token_at_temperature_0_for_sure():
    logits = torch.tensor([[0.0, 3.0, 2.0, 3.0], [5.0, 1.0, 2.0, 0.0]])
    tokens, logprobs = draw(logits, np.array([0.9, 0.9]), temperature=0.0, top_p=0.5, forbidden=[None, np.array([0])])
    assert tokens == [1, 2]
    assert logprobs == [0.0, 0.0]


def test_the_largest_uniform_number_does_not_lead_past_the_last_token_that_may_be():
    """p may add up to a little less than 1."""
    generator, last = np.random.default_rng(1), np.nextafter(1.0, 0.0)
    logits = torch.from_numpy(generator.normal(size=(20_000, 7)))
    logits[:, 5] = -torch.inf
    tokens, logprobs = draw(logits, np.full(len(logits), last), temperature=1.0, top_p=1.0, forbidden=[np.array([6])] * len(logits))
    assert set(tokens) == {4}
    assert np.isfinite(logprobs).all()


def test_numbers_of_half_precision_are_drawn_from_as_they_are():
    logits = torch.tensor([[1.0, 2.0, 0.5]], dtype=torch.bfloat16)
    _, (logprob,) = draw(logits, np.array([0.5]), temperature=1.0, top_p=1.0, forbidden=[None])
    assert logprob == pytest.approx(np.log(np.exp(2.0) / (np.exp(1.0) + np.exp(2.0) + np.exp(0.5))), abs=1e-12)
