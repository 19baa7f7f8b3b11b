"""Rollouts from a server in a process of its own: the trainer's tokens, new weights after every update, and servers that are others'."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from local_models import ACTIONS
from rl_toys import HOW, WORDING, Hints, student
from weights_server import seen, serving

from unseen.errors import UserError
from unseen.planning.checkpoints import save_model
from unseen.planning.models.local import LocalModel
from unseen.planning.models.small import small_model, word_tokenizer
from unseen.planning.rl import loop
from unseen.planning.rl.loop import reinforce
from unseen.planning.rl.served import ServedModel
from unseen.planning.rl.settings import RL

SETTINGS = RL(updates=3, live=3, steps=4, minibatch=12, accumulate=1, epochs=1, learning_rate=0.05, warmup=0, save_every=5)


@pytest.mark.parametrize("lora", [None, 2])
def test_a_server_writes_and_loads_the_weights_of_every_update(tmp_path, lora):
    base, place = tmp_path / "base", tmp_path / "served"
    save_model(student(), base)
    save_model(student(), place)
    model = LocalModel.load(base)
    said = []
    with serving(place, *([] if lora is None else ["as:base"])) as url:
        writer = ServedModel(f"{url}/v1", "policy", model, place, concurrency=3)
        how = HOW | {"writer": writer, "say": said.append}
        done = reinforce(model, Hints(max_steps=6), replace(SETTINGS, lora=lora), tmp_path / "run", **how)
        paths = [path for path, _ in seen(url)]
        asked = [WORDING.conversation("", [], Hints().seen(), None, "choose")] * 3
        (first, *_) = writer.generate(asked, max_tokens=5, seed=[1, 2, 3])
        mine = done.model.scored([first.prompt_token_ids], [first.token_ids])[0].logprobs
        np.testing.assert_allclose(first.logprobs, mine, atol=1e-4)  # the server has the last weights
        never = writer.generate(asked * 5, max_tokens=3, seed=4, forbid="<plan>", stop=Hints.actions)
        assert all("<plan>" not in one.text and one.logprobs is None for one in never)
        forced = writer.generate(asked, max_tokens=5, force="<plan>")
        assert all(one.text.startswith("<plan>") and one.logprobs[0] == 0 for one in forced)
        writer.close()
    loaded = "/collective_rpc" if lora is None else "/v1/load_lora_adapter"
    assert paths.count(loaded) == 4  # before the first rollout, and after every update
    assert paths.count("/v1/completions") == 3 * 3 * 4
    assert done.curves["mismatch"].max() < 1e-4
    assert done.curves["kl"][-1] > 0


def test_words_that_end_an_output_end_it_outside_plans_only():
    model = student()
    writer = ServedModel("http://127.0.0.1:9/v1", "policy", model, "nowhere")
    red, blue, opens, closes, end = (model.tokens(word)[0] for word in ("red", "blue", "<plan>", "</plan>", "<end>"))
    ends = frozenset([red, blue])
    assert writer._kept([], [red, blue], ends) == 1
    assert writer._kept([], [opens, red, closes, blue, red], ends) == 4
    assert writer._kept([opens], [red, closes, blue, red], ends) == 3
    assert writer._kept([], [opens, red, end, blue], ends) == 3
    writer.close()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_server_that_keeps_its_weights_is_found_out_before_anything_is_learned_from_it(tmp_path, monkeypatch, precision):
    real, learned = loop.learn, []
    monkeypatch.setattr(loop, "learn", lambda *given: (learned.append(given[4]), real(*given))[1])
    place = tmp_path / "served"
    save_model(student(), place)
    model = student()
    with serving(place, "deaf") as url:
        writer = ServedModel(f"{url}/v1", "policy", model, place)
        with pytest.raises(UserError, match="has other weights than who learns"):
            reinforce(
                model,
                Hints(max_steps=6),
                replace(SETTINGS, updates=20, precision=precision),
                **HOW | {"writer": writer, "say": lambda _: None},
            )
        writer.close()
    assert learned[0] == 0  # the first rollout was played with the weights that learned from it
    assert len(learned) <= {"float32": 1, "bfloat16": 2}[precision]


def test_a_server_with_another_tokenizer_is_refused_before_the_first_rollout(tmp_path):
    tokenizer = word_tokenizer(["go on node neighbors"], ACTIONS)
    save_model(LocalModel(small_model(tokenizer, hidden=16, layers=1, heads=2), tokenizer), tmp_path / "other")
    model = student()
    with serving(tmp_path / "other") as url:
        writer = ServedModel(f"{url}/v1", "policy", model, tmp_path / "served")
        with pytest.raises(UserError, match="is not the trainer's") as refused:
            reinforce(model, Hints(max_steps=6), SETTINGS, **HOW | {"writer": writer, "say": lambda _: None})
        writer.close()
        assert "\n" not in str(refused.value)
        assert {path for path, _ in seen(url)} == {"/tokenize"}


def test_a_server_that_is_not_there_is_named():
    model = student()
    writer = ServedModel("http://127.0.0.1:9/v1", "policy", model, "nowhere", retries=0)
    with pytest.raises(UserError, match="does not answer: no connection"):
        writer.generate([WORDING.conversation("", [], Hints().seen(), None, "choose")], max_tokens=2)
    writer.close()
