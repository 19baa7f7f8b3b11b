"""Training minimises the loss that is written down, sees every recorded step once a pass, and an interruption changes no bit of it."""

from __future__ import annotations

import copy
import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from local_models import ACTIONS, WORDS, prompt, words_model

from unseen.errors import UserError
from unseen.planning import checkpoints, sft
from unseen.planning.grammar import CLOSE, OPEN
from unseen.planning.lessons import Pair
from unseen.planning.models.contract import Message
from unseen.planning.models.local import LocalModel
from unseen.planning.models.small import END, small_model, word_tokenizer
from unseen.planning.sft import SFT, Tokens, batch_of, fine_tune, loss, tokenized


def student(hidden: int = 16, seed: int = 0) -> LocalModel:
    tokenizer = word_tokenizer([WORDS], ACTIONS)
    return LocalModel(small_model(tokenizer, hidden=hidden, layers=2, heads=2, seed=seed), tokenizer)


def lessons(count: int = 12) -> list[Pair]:
    words, generator = WORDS.split(), np.random.default_rng(0)
    shown = [" ".join(generator.choice(words, generator.integers(3, 9))) for _ in range(count)]
    return [
        Pair(prompt(text), ACTIONS[k % 4] if k % 3 else f"{OPEN}go {text[:3]}{CLOSE}\n{ACTIONS[k % 4]}") for k, text in enumerate(shown)
    ]


SETTINGS = SFT(updates=8, batch=5, learning_rate=1e-2, save_every=3, seed=4)


def weights(model: LocalModel) -> dict[str, torch.Tensor]:
    return {name: one.detach().clone() for name, one in model.model.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def uninterrupted() -> dict[str, torch.Tensor]:
    return weights(fine_tune(student(), lessons(), SETTINGS, say=lambda _: None))


# --- the loss


def by_hand(network, rows, with_prompts):
    outputs, prompts = [], []
    for row in rows:
        ids = [*row.prompt, *row.output]
        with torch.no_grad():
            logits = network(input_ids=torch.tensor([ids])).logits[0].double().numpy()
        for k in range(1, len(ids)):
            p = np.exp(logits[k - 1] - logits[k - 1].max())
            (prompts if k < len(row.prompt) else outputs).append(-np.log(p[ids[k]] / p.sum()))
    return np.mean(outputs) + (np.mean(prompts) if with_prompts else 0)


@pytest.mark.parametrize("with_prompts", [False, True])
def test_the_loss_is_the_cross_entropy_by_hand(with_prompts):
    model = words_model(torch.float32, scale=3.0)
    rows = tokenized(lessons(), model)
    assert len({len(row.prompt) for row in rows}) > 2
    assert len({len(row.output) for row in rows}) == 2
    assert float(loss(model.model, rows, with_prompts).detach()) == pytest.approx(by_hand(model.model, rows, with_prompts), rel=1e-5)
    assert float(loss(model.model, rows[:1], with_prompts).detach()) == pytest.approx(
        by_hand(model.model, rows[:1], with_prompts), rel=1e-5
    )


@pytest.mark.parametrize("with_prompts", [False, True])
def test_tokens_that_are_not_learned_have_no_gradient(with_prompts):
    """The gradient at the logits of a position is 0 where the token behind it is not learned, and else is not."""
    model = words_model(torch.float32, scale=1.0)
    network, rows = model.model, tokenized(lessons(), model)
    seen = []

    def keep(_, __, logits):
        logits.register_hook(lambda gradient: seen.append(gradient.clone()))

    network.lm_head.register_forward_hook(keep)
    loss(network, rows, with_prompts).backward()
    (gradient,) = seen  # (rows, positions, vocabulary), the last positions of each row
    width = max(len(row.prompt) + len(row.output) for row in rows)
    for k, row in enumerate(rows):
        ids = [*row.prompt, *row.output]
        labelled = {len(ids) - j for j, position in enumerate(gradient[k].flip(0)) if position.abs().sum() > 0}
        first = 1 if with_prompts else len(row.prompt)
        assert labelled == set(range(first, len(ids)))  # the position before a token is where it is learned
    assert gradient.shape[1] <= width


def test_tokenized_steps_are_what_the_model_would_read_and_write():
    model = student()
    rows = tokenized(lessons(), model)
    for pair, row in zip(lessons(), rows, strict=True):
        assert row.prompt == model.read([pair.prompt])[0]
        assert row.output == [*model.tokenizer(pair.output, add_special_tokens=False)["input_ids"], model.tokenizer.eos_token_id]
    (attacked,) = tokenized([Pair([Message("user", f"go {END}")], f"go {END} 12")], model)
    assert attacked.prompt.count(model.tokenizer.eos_token_id) == 0
    assert attacked.output.count(model.tokenizer.eos_token_id) == 1


# --- the order


@given(steps=st.integers(1, 700), batch=st.integers(1, 9), seed=st.integers(0, 3), number=st.integers(0, 2))
def test_every_recorded_step_is_learned_from_once_a_pass(steps, batch, seed, number):
    data = [Tokens([0] * (1 + k * 7 % 13), [1]) for k in range(steps)]
    settings, per_pass = SFT(batch=batch, seed=seed), -(-steps // batch)
    batches = [batch_of(data, settings, number * per_pass + k) for k in range(per_pass)]
    assert sorted(np.concatenate(batches).tolist()) == list(range(steps))
    sizes = {len(one) for one in batches}
    assert max(sizes) <= batch
    assert max(sizes) - min(sizes) <= 1


def test_batches_hold_steps_of_like_length_and_passes_differ():
    data = [Tokens([0] * int(n), [1]) for n in np.random.default_rng(0).integers(1, 100, 640)]
    settings = SFT(batch=10)
    spread = [np.ptp([len(data[k].prompt) for k in batch_of(data, settings, u)]) for u in range(64)]
    assert np.mean(spread) < 15  # drawn at random it would be 80
    assert [batch_of(data, settings, u).tolist() for u in range(3)] != [batch_of(data, settings, 64 + u).tolist() for u in range(3)]
    assert batch_of(data, SFT(batch=10, seed=1), 0).tolist() != batch_of(data, settings, 0).tolist()


def test_the_rate_rises_and_falls_to_a_tenth():
    settings = SFT(updates=200, warmup=0.1, learning_rate=1.0)
    rates = [settings.rate(update) for update in range(200)]
    assert rates[:20] == pytest.approx([(k + 1) / 20 for k in range(20)])
    assert all(a >= b for a, b in itertools.pairwise(rates[20:]))
    assert rates[-1] == pytest.approx(0.1, abs=1e-3)


@pytest.mark.parametrize(
    "wrong",
    [
        *({"updates": 0}, {"batch": 0}, {"save_every": 0}, {"warmup": -0.1}, {"prompt_loss": 1.1}, {"learning_rate": float("nan")}),
        *({"learning_rate": 0.0}, {"max_gradient_norm": 0.0}, {"weight_decay": -1.0}, {"lora": 0}),
    ],
)
def test_settings_that_are_not_allowed_are_refused(wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        SFT(**wrong)


# --- what is learned


def test_a_small_model_learns_a_mapping():
    words = WORDS.split()
    answer = {word: ACTIONS[k % 4] for k, word in enumerate(dict.fromkeys(words))}
    pairs = [Pair(prompt(f"you see {word}"), answer[word]) for word in answer]
    model, said = student(hidden=32), []
    asked = [pair.prompt for pair in pairs]

    def right():
        came = model.generate(asked, max_tokens=2, temperature=0.0)
        return sum(c.text.strip() == pair.output for c, pair in zip(came, pairs, strict=True))

    before = right()
    fine_tune(model, pairs, SFT(updates=120, batch=16, learning_rate=1e-2, save_every=60), say=said.append)
    assert before <= len(pairs) * 0.6
    assert right() == len(pairs)
    assert not model.model.training
    assert [line.split(":")[0] for line in said] == ["update 60 of 120", "update 120 of 120"]


def test_nothing_to_learn_from_is_refused():
    with pytest.raises(UserError, match="no recorded steps"):
        fine_tune(student(), [], SETTINGS)


# --- interruptions


class Killed(BaseException):
    pass


def interrupted(folder: Path, monkeypatch, at: int, model: LocalModel | None = None) -> None:
    """Train, and die before the update with this number."""
    real = sft._update

    def dying(*given):
        if given[-1] == at:
            raise Killed
        return real(*given)

    with monkeypatch.context() as patch:
        patch.setattr(sft, "_update", dying)
        with pytest.raises(Killed):
            fine_tune(model or student(), lessons(), SETTINGS, folder, say=lambda _: None)


@pytest.mark.parametrize("at", [0, 2, 3, 5, 7])
def test_an_interrupted_training_goes_on_to_the_same_bits(tmp_path, monkeypatch, uninterrupted, at):
    interrupted(tmp_path, monkeypatch, at)
    torch.manual_seed(at)  # whatever else was drawn meanwhile
    assert (tmp_path / "checkpoint").exists() == (at >= 3)
    done = []
    real = sft._update
    monkeypatch.setattr(sft, "_update", lambda *given: done.append(given[-1]) or real(*given))
    model = fine_tune(student(), lessons(), SETTINGS, tmp_path, say=lambda _: None)
    assert same(weights(model), uninterrupted)
    assert done == list(range(at // 3 * 3, 8))
    loaded = LocalModel.load(tmp_path / "checkpoint" / "model")
    assert same(weights(loaded), uninterrupted)


def test_a_finished_training_is_taken_as_it_is(tmp_path, uninterrupted):
    fine_tune(student(), lessons(), SETTINGS, tmp_path, say=lambda _: None)
    said = []
    assert same(weights(fine_tune(student(seed=9), lessons(), SETTINGS, tmp_path, say=said.append)), uninterrupted)
    assert said == []


@pytest.mark.parametrize("death", range(1, 10))
def test_a_death_at_any_change_of_names_loses_no_checkpoint(tmp_path, monkeypatch, uninterrupted, death):
    """Die instead of the n-th removal or renaming of a directory; the run goes on from the checkpoint before or after."""
    count = 0

    def counting(real):
        def step(*given, **named):
            nonlocal count
            count += 1
            if count == death:
                raise Killed
            return real(*given, **named)

        return step

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints.shutil, "rmtree", counting(checkpoints.shutil.rmtree))
        patch.setattr(Path, "rename", counting(Path.rename))
        with pytest.raises(Killed):
            fine_tune(student(), lessons(), SETTINGS, tmp_path, say=lambda _: None)
    done = []
    real = sft._update
    monkeypatch.setattr(sft, "_update", lambda *given: done.append(given[-1]) or real(*given))
    model = fine_tune(student(), lessons(), SETTINGS, tmp_path, say=lambda _: None)
    assert same(weights(model), uninterrupted)
    assert done[0] == 0 if death <= 3 else done[0] >= 3  # saving takes three steps the first time, and four from then on
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint"]


CHILD = """
import sys, time
sys.path.insert(0, {tests!r})
import test_sft
from unseen.planning import checkpoints, sft
real = checkpoints.flat
def slow(optimiser):  # the model is written, its optimiser is not
    print("saving", flush=True)
    time.sleep(1)
    return real(optimiser)
checkpoints.flat = slow
sft.fine_tune(test_sft.student(), test_sft.lessons(), test_sft.SETTINGS, {folder!r}, say=lambda _: None)
"""


@pytest.mark.slow
def test_a_process_that_is_killed_while_it_saves_leaves_a_sound_checkpoint(tmp_path, uninterrupted):
    script, folder = tmp_path / "child.py", tmp_path / "run"
    script.write_text(CHILD.format(tests=str(Path(__file__).parent), folder=str(folder)))
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
        assert [child.stdout.readline() for _ in range(2)] == ["saving\n"] * 2
        os.kill(child.pid, signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    assert (folder / ".fresh" / "model" / "model.safetensors").exists()
    assert json.loads((folder / "checkpoint" / "sft.json").read_text())["updates"] == 3
    assert same(weights(fine_tune(student(), lessons(), SETTINGS, folder, say=lambda _: None)), uninterrupted)
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoint"]


@pytest.mark.parametrize(
    ("other", "said"), [({"seed": 5}, "seed = 4, not 5"), ({"learning_rate": 1e-3}, "learning_rate = 0.01"), ({"lora": 2}, "lora = None")]
)
def test_a_directory_of_other_settings_is_refused(tmp_path, monkeypatch, other, said):
    interrupted(tmp_path, monkeypatch, 4)
    model = student()
    if "lora" in other:
        model.model.save_pretrained(tmp_path / "base")
        model.tokenizer.save_pretrained(tmp_path / "base")
        model = LocalModel.load(tmp_path / "base")
    with pytest.raises(UserError, match=said):
        fine_tune(model, lessons(), SFT(**{**vars(SETTINGS), **other}), tmp_path)


def test_a_directory_of_other_recordings_is_refused(tmp_path, monkeypatch):
    interrupted(tmp_path, monkeypatch, 4)
    with pytest.raises(UserError, match="other recordings"):
        fine_tune(student(), lessons(13), SETTINGS, tmp_path)


@pytest.mark.parametrize("name", ["sft.json", "optimiser.safetensors", "model/model.safetensors"])
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_checkpoint_is_refused(tmp_path, monkeypatch, name, damage):
    interrupted(tmp_path, monkeypatch, 4)
    path = tmp_path / "checkpoint" / name
    whole = path.read_bytes()
    path.unlink()
    if damage == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="is damaged") as refused:
        fine_tune(student(), lessons(), SETTINGS, tmp_path)
    assert "\n" not in str(refused.value)


def test_a_loss_that_is_no_number_is_refused_and_the_model_is_left_as_it_was(tmp_path, monkeypatch):
    model = student()
    with torch.no_grad():
        model.model.model.norm.weight[0] = float("inf")
    before = weights(model)
    with pytest.raises(UserError, match="the loss of update 0 is nan"):
        fine_tune(model, lessons(), SETTINGS, tmp_path)
    assert same(weights(model), before)
    assert not (tmp_path / "checkpoint").exists()
    assert not model.model.training


def test_a_gradient_that_is_no_number_is_refused_before_it_can_be_saved(tmp_path):
    model = student()
    model.model.model.layers[0].mlp.up_proj.weight.register_hook(lambda gradient: gradient * float("inf"))
    before = weights(model)
    with pytest.raises(UserError, match="norm"):
        fine_tune(model, lessons(), SFT(**{**vars(SETTINGS), "save_every": 1}), tmp_path)
    assert same(weights(model), before)
    assert not (tmp_path / "checkpoint").exists()


# --- draws


def dropping() -> LocalModel:
    """A Llama has no dropout of its own but that of attention, which its settings may ask for."""
    model = student()
    model.model.config.attention_dropout = 0.5
    for layer in model.model.model.layers:
        layer.self_attn.attention_dropout = 0.5
    return model


def test_dropout_follows_from_the_seed_alone_and_survives_an_interruption(tmp_path, monkeypatch, uninterrupted):
    torch.manual_seed(1)
    expected = weights(fine_tune(dropping(), lessons(), SETTINGS, say=lambda _: None))
    assert not same(expected, uninterrupted)
    state = torch.random.get_rng_state()
    torch.manual_seed(2)
    interrupted(tmp_path, monkeypatch, 5, dropping())
    torch.manual_seed(3)
    after = torch.random.get_rng_state()
    assert same(weights(fine_tune(dropping(), lessons(), SETTINGS, tmp_path, say=lambda _: None)), expected)
    assert torch.equal(torch.random.get_rng_state(), after)  # and other draws are left alone
    assert not torch.equal(state, after)


# --- adapters


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    folder, model = tmp_path_factory.mktemp("base"), student()
    model.model.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)
    return folder


LORA = SFT(updates=8, batch=5, learning_rate=1e-2, save_every=3, seed=4, lora=2)


def test_adapters_alone_are_trained_saved_and_loaded(tmp_path, base, monkeypatch):
    monkeypatch.chdir(base.parent)
    model = LocalModel.load(base.name)  # by a path that holds here alone
    before = copy.deepcopy(weights(model))
    fine_tune(model, lessons(), LORA, tmp_path, say=lambda _: None)
    after = {name.removeprefix("base_model.model.").replace(".base_layer", ""): w for name, w in weights(model).items()}
    adapters = {name for name in after if "lora_" in name}
    assert after.keys() - adapters == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert any(after[name].any() for name in adapters if "lora_B" in name)  # they begin at 0
    monkeypatch.chdir(tmp_path)
    loaded = LocalModel.load(tmp_path / "checkpoint" / "model")
    asked = [pair.prompt for pair in lessons()]
    texts = [pair.output for pair in lessons()]
    plain = LocalModel.load(base)
    for mine, theirs, bare in zip(*(one.score(asked, texts) for one in (model, loaded, plain)), strict=True):
        np.testing.assert_allclose(mine.logprobs, theirs.logprobs, rtol=1e-5, atol=1e-6)
        assert np.abs(mine.logprobs - bare.logprobs).max() > 1e-3
    written = loaded.generate(asked, max_tokens=4, seed=1)
    assert [c.token_ids for c in written] == [c.token_ids for c in model.generate(asked, max_tokens=4, seed=1)]
    saved = [path.name for path in (tmp_path / "checkpoint" / "model").iterdir()]
    assert "adapter_model.safetensors" in saved
    assert "model.safetensors" not in saved


def test_interrupted_adapters_go_on_to_the_same_bits(tmp_path, base, monkeypatch):
    torch.manual_seed(1)
    expected = weights(fine_tune(LocalModel.load(base), lessons(), LORA, say=lambda _: None))
    for at in (1, 5):
        torch.manual_seed(at)
        real = sft._update
        with monkeypatch.context() as patch:
            patch.setattr(sft, "_update", lambda *given, at=at, real=real: real(*given) if given[-1] < at else 1 / 0)
            with pytest.raises(ZeroDivisionError):
                fine_tune(LocalModel.load(base), lessons(), LORA, tmp_path / str(at), say=lambda _: None)
        again = fine_tune(LocalModel.load(base), lessons(), LORA, tmp_path / str(at), say=lambda _: None)
        assert same(weights(again), expected)


def test_adapters_that_were_loaded_are_trained_on(tmp_path, base):
    fine_tune(LocalModel.load(base), lessons(), LORA, tmp_path, say=lambda _: None)
    model = LocalModel.load(tmp_path / "checkpoint" / "model")
    before = weights(model)
    with pytest.raises(UserError, match="adapters of rank 2, and lora = 3"):
        fine_tune(model, lessons(), SFT(lora=3))
    fine_tune(model, lessons(), SETTINGS, say=lambda _: None)
    changed = {name for name, one in weights(model).items() if not torch.equal(one, before[name])}
    assert changed
    assert all("lora_" in name for name in changed)


def test_adapters_without_weights_below_them_that_are_saved_are_refused(tmp_path):
    with pytest.raises(UserError, match="saved without the weights below them"):
        fine_tune(student(), lessons(), LORA, tmp_path)
    assert not (tmp_path / "checkpoint").exists()


def test_adapters_of_a_pickle_or_of_code_are_refused(tmp_path, base):
    fine_tune(LocalModel.load(base), lessons(), LORA, tmp_path, say=lambda _: None)
    folder = tmp_path / "checkpoint" / "model"
    said = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(UserError, match="have no weights"):
        LocalModel.load(folder)
    (folder / "adapter_model.bin").rename(folder / "adapter_model.safetensors")
    for change in ({"base_model_name_or_path": str(tmp_path / "nowhere")}, {"base_model_name_or_path": None}, {"task_type": "NONE"}):
        (folder / "adapter_config.json").write_text(json.dumps(said | change))
        with pytest.raises(UserError, match="cannot be loaded") as refused:
            LocalModel.load(folder)
        assert "\n" not in str(refused.value)
    (folder / "adapter_config.json").write_text(json.dumps(said))
    whole = (folder / "adapter_model.safetensors").read_bytes()
    (folder / "adapter_model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="cannot be loaded"):
        LocalModel.load(folder)
