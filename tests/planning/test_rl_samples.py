"""Samples hold the tokens that were written; their kinds; which are learned; and log-probabilities that a second pass finds again."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from local_models import WORDS, bytes_model, prompts, words_model
from planning_toys import Walk
from rl_toys import HOW, Hints, student

from unseen.errors import UserError
from unseen.planning.agent import Agent
from unseen.planning.grammar import CLOSE, OPEN
from unseen.planning.models.contract import Completion, Usage
from unseen.planning.models.local import LocalModel
from unseen.planning.play import answers
from unseen.planning.rl.losses import aggregated
from unseen.planning.rl.passes import read
from unseen.planning.rl.samples import ACTION, DECISION, END, PLAN, Speech, kinds_of, plan_probability, sample
from unseen.planning.rl.tags import with_tags
from unseen.planning.slot import EMPTY
from unseen.planning.steps import ask, begin


def written(model: LocalModel, schedule: str, temperature: float = 1.0, live: int = 6):
    """Samples of the first step of some episodes."""
    agent = Agent(model, schedule, "compact", 2, 6, 3, temperature)
    episodes = [begin(agent, Walk(), seed) for seed in range(live)]
    asked = [ask(agent, one) for one in episodes]
    came = answers(agent, asked, Walk.actions)
    return [sample(Speech.of(model), request, one, EMPTY, 0) for request, one in zip(asked, came, strict=True)], came


@pytest.mark.parametrize("schedule", ["dynamic", "never", "always"])
@pytest.mark.parametrize("temperature", [1.0, 0.6])
@pytest.mark.parametrize("model", [words_model, bytes_model])
def test_log_probabilities_of_what_was_sampled_are_found_again(model, schedule, temperature):
    """In one padded pass: with a temperature, a tag that was forced or forbidden, one token or several."""
    found = model()
    samples, came = written(found, schedule, temperature)
    assert len({len(one.prompt) for one in samples} | {len(one.output) for one in samples}) > 1
    again = read(found.model, samples, Speech.of(found), temperature)
    for row, (one, completion) in enumerate(zip(samples, came, strict=True)):
        assert one.output == completion.token_ids
        learned = np.array(one.learned)
        assert one.logprobs is not None
        taken = again.taken[row, -len(one.output) :].detach().numpy()
        np.testing.assert_allclose(taken[learned], one.logprobs[learned], atol=1e-5)
        forced = len(found.tokens(OPEN)) if schedule == "always" else 0
        assert list(learned) == [k >= forced for k in range(len(one.output))]
        assert (one.logprobs[:forced] == 0).all()


def test_kinds_are_known_by_tokens():
    model = student()
    speech = Speech.of(model)
    ids = model.tokens(f"{OPEN}red{CLOSE}\nblue")
    end = model.tokenizer.eos_token_id
    assert len(ids) == 5
    assert kinds_of([*ids, end], 3, speech, True) == (DECISION, PLAN, PLAN, ACTION, ACTION, END)
    assert kinds_of([*ids, end], 3, speech, False) == (PLAN, PLAN, PLAN, ACTION, ACTION, END)
    assert kinds_of([*model.tokens("red"), end], 0, speech, True) == (DECISION, END)
    assert kinds_of(model.tokens("red"), 0, speech, False) == (ACTION,)


def test_a_tag_of_several_tokens_is_decided_by_all_of_them_or_up_to_where_the_output_parts_from_it():
    model = bytes_model()
    speech = Speech.of(model)
    assert len(speech.tag) > 1
    other = next(k for k in range(300) if k not in (*speech.tag, *speech.ends))
    assert kinds_of([*speech.tag, other], len(speech.tag) + 1, speech, True) == (DECISION,) * len(speech.tag) + (PLAN,)
    assert kinds_of([speech.tag[0], other, other], 0, speech, True) == (DECISION, DECISION, ACTION)
    assert kinds_of([other, other], 0, speech, True) == (DECISION, ACTION)


def test_steps_under_somebody_elses_plan_are_not_learned():
    model = student()
    agent = Agent(model, "dynamic", **HOW)
    live = begin(agent, Hints(), 0)
    request = ask(agent, live)
    completion = Completion("red", "stop", Usage(1, 0, 0, 1), (7,), ("red",), np.zeros(1), (1, 2))
    speech = Speech.of(model)
    for slot, learned in (
        (EMPTY, True),
        (EMPTY.replaced("red", "model", 0), True),
        (EMPTY.replaced("red", "human", 0), False),
        (EMPTY.replaced("red", "script", 0), False),
        (EMPTY.replaced("red", "model", 0, hold=5.0), False),
    ):
        assert sample(speech, request, completion, slot, 1).learned == (learned,)


def test_a_writer_that_keeps_its_tokens_to_itself_is_refused():
    model = student()
    agent = Agent(model, "dynamic", **HOW)
    request = ask(agent, begin(agent, Hints(), 0))
    with pytest.raises(UserError, match="does not tell the tokens"):
        sample(Speech.of(model), request, Completion("red", "stop", Usage(1, 0, 0, 1)), EMPTY, 0)
    with pytest.raises(UserError, match="the rollout is empty"):
        sample(Speech.of(model), request, Completion("", "stop", Usage(1, 0, 0, 0), (), (), np.zeros(0), (1,)), EMPTY, 0)


def test_tokens_that_are_not_learned_change_no_weight():
    """The gradient of every weight is the same whatever stands in the masked columns, and 0 where all are masked."""
    model = words_model()
    samples, _ = written(model, "dynamic")

    def gradient(masks):
        model.model.zero_grad()
        found = read(model.model, samples, Speech.of(model), 1.0)
        aggregated(found.taken, masks(found.written.double()), 6).backward()
        return [p.grad.clone() for p in model.model.parameters()]

    assert all(bool((g == 0).all()) for g in gradient(torch.zeros_like))
    assert any(bool((g != 0).any()) for g in gradient(lambda w: w))


@pytest.mark.parametrize("model", [words_model, bytes_model])
def test_the_probability_of_a_plan_is_that_of_its_tag(model):
    found = model()
    asked = prompts(3, 2)
    tag, plain = found.tokens(OPEN), []
    for ids in found.read(asked):
        p, so_far = 1.0, list(ids)
        for token in tag:
            with torch.no_grad():
                logits = found.model(input_ids=torch.tensor([so_far])).logits[0, -1]
            p *= float(torch.softmax(logits, -1)[token])
            so_far.append(token)
        plain.append(p)
    np.testing.assert_allclose(plan_probability(found, asked), plain, rtol=1e-6)


def test_tags_can_be_made_tokens_of_their_own():
    model = bytes_model()
    before = {name: p.detach().clone() for name, p in model.model.named_parameters()}
    cut, size = model.tokens(OPEN), len(model.tokenizer)
    assert len(cut) > 1
    fresh = with_tags(model)
    assert len(model.tokens(OPEN)) == len(model.tokens(CLOSE)) == 1
    assert sorted(fresh) == [size, size + 1]
    weights = model.model.get_input_embeddings().weight
    assert weights.shape[0] == size + 2
    np.testing.assert_allclose(weights[model.tokens(OPEN)[0]].detach(), before["model.embed_tokens.weight"][cut].mean(0))
    for name, p in model.model.named_parameters():
        assert torch.equal(p[: before[name].shape[0]], before[name])
    (completion,) = model.generate(prompts(1, 2), max_tokens=4, force=OPEN)
    assert completion.text.startswith(OPEN)
    assert with_tags(model) == ()
    assert WORDS
