"""The loop: resumed to the bit, in pieces and processes as in one, with adapters and half precision; and what may go wrong."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from local_models import bytes_model
from rl_toys import HOW, WORDING, WORDS, Hints, student

from unseen.errors import UserError
from unseen.planning.agent import Agent
from unseen.planning.models import local
from unseen.planning.models.local import LocalModel
from unseen.planning.play import evaluate
from unseen.planning.rl import loop
from unseen.planning.rl.batch import Learner, rows_of
from unseen.planning.rl.critic import TextCritic, Values
from unseen.planning.rl.loop import reinforce
from unseen.planning.rl.processes import Alone, by_the_first
from unseen.planning.rl.rollouts import Rollouts
from unseen.planning.rl.samples import Speech
from unseen.planning.rl.settings import RL
from unseen.planning.rl.silence import in_words, stopped_planning
from unseen.planning.rl.update import learn

SETTINGS = RL(
    updates=5, live=4, steps=6, minibatch=12, accumulate=2, epochs=2, learning_rate=3e-3, warmup=1, save_every=2, plan_price=0.05, seed=3
)
TIMES = ("wall_s", "generation_share", "environment_share", "update_share")


def quiet(_: str) -> None:
    """Nothing is said."""


def trained(settings: RL = SETTINGS, folder: Path | None = None, model: LocalModel | None = None, **how):
    return reinforce(model or student(), Hints(max_steps=10), settings, folder, **HOW | {"say": quiet} | how)


def weights(model: LocalModel) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.model.named_parameters()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def close(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor], within: float) -> bool:
    return a.keys() == b.keys() and all(bool(((a[name] - b[name]).abs() <= within).all()) for name in a)


@pytest.fixture(scope="module")
def uninterrupted():
    done = trained()
    return weights(done.model), done.curves


# --- going on


class Killed(BaseException):
    pass


@pytest.mark.parametrize("at", [1, 3, 4])
def test_an_interrupted_run_goes_on_to_the_same_bits(tmp_path, monkeypatch, uninterrupted, at):
    real = loop.learn

    def dying(*given):
        if given[4] == at:
            raise Killed
        return real(*given)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "learn", dying)
        with pytest.raises(Killed):
            trained(folder=tmp_path)
    assert (tmp_path / "checkpoint").exists() == (at >= 2)
    torch.manual_seed(at)
    done = trained(folder=tmp_path, model=student())
    assert same(weights(done.model), uninterrupted[0])
    assert done.curves.drop(TIMES).equals(uninterrupted[1].drop(TIMES))
    assert same(weights(LocalModel.load(tmp_path / "checkpoint" / "model")), uninterrupted[0])
    again = trained(folder=tmp_path, model=student())  # finished: nothing is left to do
    assert same(weights(again.model), uninterrupted[0])


@pytest.mark.parametrize(
    ("how", "history"),
    [({"advantages": "dual"}, 1), ({"advantages": "group", "group": 2}, 1), ({"plan_price": (0.0, 0.5)}, 1), ({}, 3)],
)
def test_other_advantages_told_prices_and_longer_windows_go_on_to_the_same_bits(tmp_path, monkeypatch, how, history):
    settings, real = replace(SETTINGS, **how), loop.learn
    whole = trained(settings, history=history)

    def dying(*given):
        if given[4] == 3:
            raise Killed
        return real(*given)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "learn", dying)
        with pytest.raises(Killed):
            trained(settings, tmp_path, history=history)
    done = trained(settings, tmp_path, student(), history=history)
    assert same(weights(done.model), weights(whole.model))


def test_a_run_in_slices_is_stopped_where_a_whole_one_is(tmp_path):
    """Each slice ends between two snapshots of good weights, and the divergence is looked at after every update."""
    how = {"warmup": 0, "learning_rate": 0.01, "kl_limit": 0.45, "kl_target": None, "kl_weight": 0.0, "save_every": 4}
    settings = replace(SETTINGS, updates=9, **how)
    whole = trained(settings, tmp_path / "whole")
    assert "above kl_limit" in whole.stopped
    assert len(whole.curves) >= 4
    for updates in range(1, 10):
        sliced = trained(replace(settings, updates=updates), tmp_path / "slices", student())
        assert not (sliced.stopped and updates < len(whole.curves))
    assert sliced.stopped == whole.stopped
    assert sliced.curves.drop(TIMES).equals(whole.curves.drop(TIMES))
    assert same(weights(sliced.model), weights(whole.model))
    assert same(weights(LocalModel.load(tmp_path / "slices" / "checkpoint" / "model")), weights(whole.model))


def test_the_start_and_the_world_are_a_part_of_what_a_run_is(tmp_path):
    trained(replace(SETTINGS, updates=1), tmp_path)
    with pytest.raises(UserError, match=r"holds a run with starting weights = '[0-9a-f]{16}', not '[0-9a-f]{16}'; give another directory"):
        trained(folder=tmp_path, model=student(seed=9))
    how = HOW | {"say": quiet}
    for world, said in ((Hints(max_steps=11), "max_steps = '10', not '11'"), (Hints(10, (2, 4)), r"lengths = '\(2, 8\)', not '\(2, 4\)'")):
        with pytest.raises(UserError, match=f"holds a run with environment's {said}"):
            reinforce(student(), world, SETTINGS, tmp_path, **how)


def test_another_kind_of_run_is_left_alone(tmp_path):
    trained(replace(SETTINGS, updates=1), tmp_path)
    (tmp_path / "checkpoint" / "rl.json").rename(tmp_path / "checkpoint" / "sft.json")
    asked = []
    with pytest.raises(UserError, match=r"holds another kind of run \(sft.json, not rl.json\); give another directory"):
        trained(folder=tmp_path, model=student(), accepted=lambda: asked.append(1))
    assert not asked
    trained(replace(SETTINGS, updates=1), tmp_path / "new", accepted=lambda: asked.append(1))
    assert asked == [1]


def test_more_updates_are_the_same_run_and_other_settings_another(tmp_path, uninterrupted):
    trained(replace(SETTINGS, updates=4), tmp_path)
    assert same(weights(trained(folder=tmp_path, model=student()).model), uninterrupted[0])
    for other, said in (({"clip": 0.1}, "clip = 0.2, not 0.1"), ({"plan_price": 0.5}, "plan_price = 0.05, not 0.5")):
        with pytest.raises(UserError, match=said):
            trained(replace(SETTINGS, **other), tmp_path, student())
    with pytest.raises(UserError, match="history = 1, not 2"):
        trained(folder=tmp_path, model=student(), history=2)
    path = tmp_path / "checkpoint" / "critic.safetensors"
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(UserError, match="is damaged"):
        trained(folder=tmp_path, model=student())


# --- parts and the whole


def test_pieces_of_a_minibatch_add_up_to_it(uninterrupted):
    for pieces in (1, 5):
        assert close(weights(trained(replace(SETTINGS, accumulate=pieces)).model), uninterrupted[0], 2e-4)


CHILD = """
import os
import sys
sys.path.insert(0, {tests!r})
import test_rl_loop
from safetensors.torch import save_file
from accelerate import PartialState
rank = os.environ["RANK"]
accepted = lambda: test_rl_loop.Path({out!r}, f"accepted-{{rank}}").touch()
for updates in (2, 3):  # the second one goes on
    settings = test_rl_loop.replace(test_rl_loop.SETTINGS, updates=updates)
    done = test_rl_loop.trained(settings, test_rl_loop.Path({folder!r}), accepted=accepted)
save_file(test_rl_loop.weights(done.model), {out!r} + f"/{{rank}}.safetensors")
done.curves.write_parquet({out!r} + f"/{{rank}}.parquet")
PartialState().destroy_process_group()
"""


@pytest.mark.slow
def test_two_processes_learn_what_one_does(tmp_path):
    from safetensors.torch import load_file

    script, folder = tmp_path / "child.py", tmp_path / "run"
    script.write_text(CHILD.format(tests=str(Path(__file__).parent), folder=str(folder), out=str(tmp_path)))
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(script)]  # what `accelerate` uses
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(launch, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    alone = trained(replace(SETTINGS, updates=3))
    one, other = (load_file(tmp_path / f"{rank}.safetensors") for rank in range(2))
    assert same(one, other)
    assert close(one, weights(alone.model), 2e-4)
    assert same(weights(LocalModel.load(folder / "checkpoint" / "model")), one)
    assert [path.name for path in tmp_path.glob("accepted-*")] == ["accepted-0"]
    curves = pl.read_parquet(tmp_path / "1.parquet")
    assert curves["env_steps"].to_list() == alone.curves["env_steps"].to_list()
    assert curves["planning_frequency"].to_list() == pytest.approx(alone.curves["planning_frequency"].to_list())
    said = json.loads((folder / "checkpoint" / "rl.json").read_text())
    assert sorted(track["number"] for track in said["tracks"]) == [0, 1, 2, 3]


def test_half_precision_runs_and_keeps_whole_weights():
    model = student()
    done = trained(replace(SETTINGS, precision="bfloat16", updates=3), model=model)
    assert {p.dtype for p in done.model.model.parameters()} == {torch.float32}
    assert not same(weights(done.model), weights(student()))
    assert done.curves["kl"][-1] < 5


def test_adapters_alone_are_trained_and_the_reference_is_the_model_without_them(tmp_path):
    plain = student()
    plain.model.save_pretrained(tmp_path / "base")
    plain.tokenizer.save_pretrained(tmp_path / "base")
    model = LocalModel.load(tmp_path / "base")
    done = trained(replace(SETTINGS, lora=2), tmp_path / "run", model)
    network = done.model.model
    assert all(("lora_" in name) == p.requires_grad for name, p in network.named_parameters())
    moved = [bool((p != 0).any()) for name, p in network.named_parameters() if "lora_B" in name]
    assert all(moved)
    asked = [WORDING.conversation("", [], Hints().seen(), None, "choose")]
    with network.disable_adapter():
        off = done.model.scored(done.model.read(asked), [done.model.tokens("red")])[0].logprobs
    np.testing.assert_allclose(off, plain.scored(plain.read(asked), [plain.tokens("red")])[0].logprobs, atol=1e-6)
    loaded = LocalModel.load(tmp_path / "run" / "checkpoint" / "model")
    mine, theirs = (m.scored(m.read(asked), [m.tokens("red")])[0].logprobs for m in (done.model, loaded))
    np.testing.assert_allclose(mine, theirs, atol=1e-6)
    assert abs(float(mine[0] - off[0])) > 1e-4


def test_an_ordinary_checkpoint_learns_with_tags_of_several_tokens_or_of_one():
    settings = replace(SETTINGS, updates=2, warmup=0)
    how = {"prompts": "compact", "history": 1, "max_plan_tokens": 12, "max_action_tokens": 4, "say": quiet}
    apart = reinforce(bytes_model(), Hints(max_steps=5), settings, **how)
    assert apart.curves["plan_probability"].null_count() == 2
    one = reinforce(bytes_model(), Hints(max_steps=5), replace(settings, add_tags=True), **how)
    assert len(Speech.of(one.model).tag) == 1
    assert one.curves["plan_probability"].null_count() == 0
    start = bytes_model()
    size = len(start.tokenizer)
    rows = one.model.model.get_input_embeddings().weight[size:].detach()
    assert (rows - rows.mean(0)).abs().max() > 1e-4  # both were trained


def test_adapters_learn_with_tags_of_one_token_and_nothing_else_of_the_embedding_moves(tmp_path):
    settings = replace(SETTINGS, updates=3, warmup=0, add_tags=True, lora=2, save_every=1)
    how = {"prompts": "compact", "history": 1, "max_plan_tokens": 12, "max_action_tokens": 4, "say": quiet}
    size = len(bytes_model().tokenizer)
    done = reinforce(bytes_model(), Hints(max_steps=5), settings, tmp_path / "run", **how)
    assert [len(done.model.tokens(tag)) for tag in ("<plan>", "</plan>")] == [1, 1]
    trained = {name for name, p in done.model.model.named_parameters() if p.requires_grad}
    assert all("lora_" in name or "trainable_tokens_delta" in name for name in trained)
    base, new = LocalModel.load(tmp_path / "run" / "base"), done.model.model.merge_and_unload()
    before, after = (network.get_input_embeddings().weight.detach() for network in (base.model, new))
    assert torch.equal(before[:size], after[:size])
    assert bool(((before[size:] - after[size:]).abs() > 1e-6).any(1).all())
    loaded = LocalModel.load(tmp_path / "run" / "checkpoint" / "model")
    assert torch.allclose(loaded.model.merge_and_unload().get_input_embeddings().weight, after, atol=1e-7)
    for updates in (1, 2, 3):
        sliced = reinforce(bytes_model(), Hints(max_steps=5), replace(settings, updates=updates), tmp_path / "slices", **how)
    assert sliced.curves.drop(TIMES).equals(done.curves.drop(TIMES))


def test_the_first_process_does_what_is_done_once_and_all_hear_of_its_mistakes():
    class Second:
        rank, count = 1, 2

        def __init__(self, first: str | None):
            self.first = first

        def total(self, tensor):
            return tensor

        def everyone(self, one):
            return [self.first, one]

    done = []
    by_the_first(Alone(), lambda: done.append(0))
    by_the_first(Second(None), lambda: done.append(1))
    assert done == [0]
    with pytest.raises(UserError, match="no space left"):
        by_the_first(Second("no space left"), lambda: done.append(1))


def test_each_process_has_an_accelerator_of_its_own(monkeypatch):
    class Cuda:
        is_available, device_count = staticmethod(lambda: True), staticmethod(lambda: 4)

    class Torch:
        cuda = Cuda

    assert local._accelerator(Torch) == "cuda:0"
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert local._accelerator(Torch) == "cuda:3"
    assert local._accelerator(torch) == ("cuda:3" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("temperature", [0.6, 1.0])
def test_who_writes_and_who_learns_see_the_same_probabilities(temperature):
    found = trained(replace(SETTINGS, warmup=0, learning_rate=3e-2), temperature=temperature).curves
    assert found["mismatch"].max() < 1e-4
    assert found["kl"][-1] > 1e-3


# --- the critic


def test_the_actors_prompt_is_the_same_with_and_without_an_informed_critic():
    def played(signals):
        model = student()
        agent = Agent(model, "dynamic", **HOW)
        return Rollouts(agent, model, Hints(), SETTINGS, signals, range(4)).play()

    plain, informed = played(()), played(("word",))
    for track in range(4):
        for a, b in zip(plain.moves[track], informed.moves[track], strict=True):
            assert a.sample.prompt == b.sample.prompt
            assert a.sample.output == b.sample.output
            assert a.context == a.sample.prompt
            assert b.context[: len(b.sample.prompt)] == b.sample.prompt  # the history stays in the critic's input
            assert len(b.context) > len(b.sample.prompt)


@pytest.mark.parametrize("where", ["pass", "model"])
@pytest.mark.parametrize("advantages", ["turn", "dual"])
def test_an_informed_critic_learns_beside_the_actor(where, advantages):
    model = student()
    before = weights(model)
    settings = replace(SETTINGS, advantages=advantages, warmup=5)
    done = trained(settings, model=model, critic=TextCritic(("word",), where))
    assert same(weights(done.model), before)  # the actor waits
    assert done.curves["value_loss"].min() > 0
    assert not same(weights(trained(replace(settings, warmup=0), critic=TextCritic(("word",), where)).model), before)


@pytest.mark.parametrize("where", ["pass", "model"])
@pytest.mark.parametrize("advantages", ["turn", "dual"])
def test_an_informed_critic_learns_the_returns_of_a_rollout(where, advantages):
    model, settings = student(), replace(SETTINGS, advantages=advantages, value_clip=None, accumulate=1)
    playing = Rollouts(Agent(model, "dynamic", **HOW), model, Hints(max_steps=10), settings, ("word",), range(4))
    values = Values(model.model, settings, TextCritic(("word",), where))
    learner = Learner(model.model, values, {n: p.detach().clone() for n, p in model.model.named_parameters()}, Speech.of(model), 1.0)
    rows, seen = rows_of(playing.play().moves, learner, settings, Alone())
    returns = np.concatenate(seen.targets)
    values.take_in(len(returns), float(returns.sum()), float(np.sum(returns**2)))
    optimiser = torch.optim.AdamW([{"params": list(model.model.parameters())}, {"params": values.parameters}], lr=1e-2)
    losses = [learn(rows, learner, optimiser, settings, 0, Alone()).value for _ in range(10)]
    assert losses[-1] < 0.95 * losses[0], losses


def test_critics_that_would_bias_the_gradient_are_refused():
    with pytest.raises(UserError, match="gradient is biased"):
        TextCritic(history=False)
    with pytest.raises(UserError, match="a pass of its own"):
        TextCritic(("word",), "shared")
    with pytest.raises(UserError, match="unknown signal of hints 'wrod'; did you mean 'word'"):
        trained(critic=TextCritic(("wrod",)))
    with pytest.raises(UserError, match="of no use with group"):
        trained(replace(SETTINGS, advantages="group", group=2), critic=TextCritic(("word",)))


def test_words_that_the_critic_cannot_read_are_told():
    class Foreign(Hints):
        def signals(self):
            return {"word": "xyzzy plugh", "block": "red blue"}

    def said(signal: str) -> list[str]:
        lines: list[str] = []
        how = HOW | {"say": lines.append}
        reinforce(student(), Foreign(max_steps=10), replace(SETTINGS, updates=1), critic=TextCritic((signal,)), **how)
        return [line for line in lines if "unknown to the model's tokenizer" in line]

    assert said("word")[0].startswith("80% of the words that tell the critic 'word'")  # all texts at once, behind one name
    assert said("block")[0].startswith("10% of the words that tell the critic 'block'")
    lines: list[str] = []
    trained(replace(SETTINGS, updates=1), critic=TextCritic(("word",)), say=lines.append)
    assert not any("unknown" in line for line in lines)


def test_what_is_about_to_be_done_is_said_first_and_every_update_is_watched(tmp_path):
    said, rows = [], []
    done = trained(folder=tmp_path, say=said.append, watch=rows.append)
    weights = sum(p.numel() for p in done.model.model.parameters())
    assert said[0] == f"5 updates of 4 environments by 6 steps, {weights:,} weights are trained; a line every 2"
    assert [row["update"] for row in rows] == [0, 1, 2, 3, 4]
    assert rows == done.curves.to_dicts()
    said.clear()
    trained(folder=tmp_path, model=student(), say=said.append)
    assert said == []


def test_the_price_of_plans_stands_beside_the_return_and_is_not_taken_from_it():
    """The seeds, the weights and so the first rollout are the same; only the price differs."""
    free, dear = (trained(replace(SETTINGS, updates=1, steps=12, plan_price=price)) for price in (0.0, 0.5))
    assert free.curves["return"].equals(dear.curves["return"])
    assert free.curves["price"].to_list() == [0.0]
    whole = trained(replace(SETTINGS, updates=1, steps=12, plan_price=1.0)).curves["price"].item()  # plan tokens of an ended episode
    assert whole > 0
    assert dear.curves["price"].item() == pytest.approx(whole / 2)


# --- what may go wrong


def test_a_divergence_that_blows_up_stops_the_run_with_the_last_good_weights(tmp_path):
    said = []
    settings = replace(SETTINGS, updates=30, warmup=0, learning_rate=0.3, kl_limit=0.5, kl_target=None, kl_weight=0.0, save_every=1)
    done = trained(settings, tmp_path, say=said.append)
    assert re.match(r"after update \d+: the divergence .* above kl_limit = 0\.5", done.stopped)
    assert any("stopped with the last good weights" in line for line in said)
    assert len(done.curves) < 30
    assert done.curves["kl"].max() <= 0.5
    model = LocalModel.load(tmp_path / "checkpoint" / "model")
    assert same(weights(model), weights(done.model))
    assert trained(settings, tmp_path, student()).stopped == done.stopped


def test_a_loss_that_is_no_number_stops_the_run_with_the_last_good_weights(monkeypatch):
    real, model = loop.learn, student()

    def spoiled(rows, *given):
        return real([(a, b, row._replace(advantage=row.advantage * (np.nan if given[3] == 2 else 1))) for a, b, row in rows], *given)

    monkeypatch.setattr(loop, "learn", spoiled)
    done = trained(replace(SETTINGS, warmup=0, save_every=1), model=model)
    assert "no number" not in done.stopped
    assert "update 2: the loss of a minibatch is nan" in done.stopped
    assert all(bool(torch.isfinite(p).all()) for p in done.model.model.parameters())


def test_a_price_that_stops_all_planning_is_said_and_marked():
    said, model = [], student()
    with torch.no_grad():  # it plans half of the time
        model.model.get_output_embeddings().weight[model.tokens("<plan>")[0]] += 0.0
    settings = replace(SETTINGS, updates=25, live=8, steps=10, minibatch=40, learning_rate=1e-2, warmup=0, plan_price=3.0, kl_target=None)
    done = trained(replace(settings, kl_limit=None, kl_weight=0.0, entropy_weight=0.0), model=model, say=said.append)
    assert done.silent
    (line,) = (line for line in said if "planning has stopped" in line)
    assert re.search(r"0\.\d\d% of steps planned in the last 3 rollouts, [1-9]\d*\.\d\d% in the first 3$", line)
    assert not trained(replace(SETTINGS, plans="never"), model=student()).silent


def test_planning_has_stopped_where_it_fell_below_2_percent_of_what_it_was():
    def curves(*shares: float) -> list[dict[str, float]]:
        return [{"planning_frequency": share} for share in shares]

    assert stopped_planning(curves(0.3, 0.2, 0.1, 0.5, 0.004, 0.003, 0.004))
    assert not stopped_planning(curves(0.3, 0.2, 0.1, 0.5, 0.004, 0.004, 0.005))
    assert not stopped_planning(curves(0.003, 0.004, 0.003, 0.003))
    assert stopped_planning(curves(0.0, 0.0, 0.0))  # it never did
    assert not stopped_planning(curves(0.0, 0.0))
    assert in_words(curves(0.3, 0.2, 0.1, 0.0, 0.0, 0.003)) == "0.10% of steps planned in the last 3 rollouts, 20.00% in the first 3"


def test_without_plans_none_is_ever_written():
    done = trained(replace(SETTINGS, plans="never"))
    assert done.curves["plan_tokens"].max() == 0
    assert done.curves["decision_entropy"].null_count() == len(done.curves)
    played = evaluate(Agent(done.model, "never", **HOW), Hints(), 3)
    assert "<plan>" not in " ".join(played.text["output"])


def test_settings_that_do_not_fit_are_refused():
    with pytest.raises(UserError, match="temperature = 0"):
        trained(temperature=0.0)
    model = bytes_model()
    assert model.tokens("plan price 0.1")
    tokenizer = student().tokenizer
    small = LocalModel(student().model, tokenizer)
    with pytest.raises(UserError, match="does not know 'plan price 1e-07'"):
        trained(replace(SETTINGS, plan_price=(0.0, 1e-7)), model=small)


def test_advantages_and_values_of_a_rollout_are_those_of_its_rewards():
    """Truncated episodes are bootstrapped from the state that was seen last, with the critic's value of it."""
    model = student()
    agent = Agent(model, "dynamic", **HOW)
    settings = replace(SETTINGS, normalise=False, steps=11, lambda_=1.0, discount=1.0)
    rollouts = Rollouts(agent, model, Hints(max_steps=5), settings, (), range(2))
    values = Values(model.model, settings, TextCritic())
    with torch.no_grad():
        values.head.bias.fill_(2.0)  # every state is worth 2
    learner = Learner(model.model, values, {n: p.detach().clone() for n, p in model.model.named_parameters()}, Speech.of(model), 1.0)
    moves = rollouts.play().moves
    rows, seen = rows_of(moves, learner, settings, Alone())
    assert seen.kl == pytest.approx(0, abs=1e-6)
    assert seen.mismatch / seen.compared < 1e-5
    for track, t, row in rows:
        some = moves[track]
        end = next(k for k in range(t, 11) if some[k].after is not None)
        assert end in (4, 9, 10)
        assert row.advantage[0] == pytest.approx(sum(move.reward for move in some[t : end + 1]) + 2.0 - 2.0)
        assert row.target[0] == pytest.approx(row.advantage[0] + 2.0)
        assert len(row.advantage) == len(row.move.sample.output)


def test_an_update_with_a_ratio_of_one_is_a_step_of_the_policy_gradient():
    """In the first minibatch ρ = 1: the gradient is −Σ A ∇ log π / steps, by hand."""
    model = student()
    agent = Agent(model, "dynamic", **HOW)
    settings = replace(SETTINGS, kl_weight=0.0, entropy_weight=0.0, value_weight=0.0, epochs=1, minibatch=1000, max_gradient_norm=1e9)
    rollouts = Rollouts(agent, model, Hints(max_steps=5), settings, (), range(4))
    values = Values(model.model, settings, TextCritic())
    learner = Learner(model.model, values, {n: p.detach().clone() for n, p in model.model.named_parameters()}, Speech.of(model), 1.0)
    rows, _ = rows_of(rollouts.play().moves, learner, settings, Alone())
    total = torch.zeros(())
    for _, _, row in rows:
        one = row.move.sample
        logits = model.model(input_ids=torch.tensor([[*one.prompt, *one.output]])).logits[0, len(one.prompt) - 1 : -1]
        logp = torch.log_softmax(logits, -1)[torch.arange(len(one.output)), torch.tensor(one.output)]
        total = total - float(row.advantage[0]) * logp.sum() / len(rows)
    plain = torch.autograd.grad(total, list(model.model.parameters()))
    optimiser = torch.optim.SGD([{"params": list(model.model.parameters())}, {"params": values.parameters}], lr=0.0)
    learn(rows, learner, optimiser, settings, settings.warmup, Alone())
    for p, g in zip(model.model.parameters(), plain, strict=True):
        np.testing.assert_allclose(p.grad, g, atol=2e-5)
    assert WORDS
