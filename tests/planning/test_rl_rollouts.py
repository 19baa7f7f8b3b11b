"""What rollouts are made of: rewards, prices, seeds, groups, and what stands behind a cut."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from rl_toys import HOW, Hints, student

from unseen.planning.agent import Agent
from unseen.planning.rl.batch import Learner, rows_of
from unseen.planning.rl.critic import TextCritic, Values
from unseen.planning.rl.identity import digest_of, settings_of
from unseen.planning.rl.processes import Alone
from unseen.planning.rl.rollouts import Rollouts
from unseen.planning.rl.samples import Speech
from unseen.planning.rl.settings import RL

SETTINGS = RL(live=8, steps=10)


class Ledger(Hints):
    """The same world, which keeps an account of what it paid; words in capitals are illegal here."""

    def __init__(self, max_steps: int = 10):
        super().__init__(max_steps)
        self.paid: list[tuple[float, bool]] = []

    def step(self, action):
        step = super().step(action)
        self.paid.append((step.reward, step.illegal))
        return step


def rollouts(settings: RL, world: Hints | None = None, schedule: str = "dynamic", numbers=None, model=None) -> Rollouts:
    model = model or student()
    agent = Agent(model, schedule, **HOW)
    return Rollouts(agent, model, world or Hints(max_steps=10), settings, (), range(settings.live) if numbers is None else numbers)


# --- rewards


@pytest.mark.parametrize("prices", [0.4, (0.1, 3.0)])
def test_a_reward_is_what_was_paid_less_plans_and_illegal_actions_scaled(prices):
    playing = rollouts(replace(SETTINGS, steps=9, plan_price=prices, illegal_price=0.7, reward_scale=0.5), Ledger())
    model, seen = playing.model, []
    opens, closes = (model.tokens(tag)[0] for tag in ("<plan>", "</plan>"))
    moves = playing.play().moves
    for track in playing.tracks:
        for move, (paid, illegal) in zip(moves[track.number], track.live.environment.paid, strict=True):
            output = list(move.sample.output)
            length = 0
            if opens in output:
                rest = output[output.index(opens) :]
                length = rest.index(closes) + 1 if closes in rest else move.plan_tokens
            told = re.search(r"plan price (\d[\d. ]*)", model.vocabulary.text(move.sample.prompt))
            price = 0.4 if told is None else float(told[1].replace(" ", ""))
            assert (told is None) == (prices == 0.4)
            assert move.reward == pytest.approx(0.5 * (paid - price * length - 0.7 * illegal))
            seen.append((price, length > 0, illegal, paid > 0))
    assert {price for price, *_ in seen} == set(np.atleast_1d(prices))
    for fact in zip(*(row[1:] for row in seen), strict=True):
        assert set(fact) == {False, True}  # plans, illegal actions and payments all came up


# --- seeds


def seeds_of(settings: RL, episodes: int) -> set[int]:
    playing = rollouts(settings, Hints(max_steps=2))
    return {playing._track(Hints(max_steps=2), number, begun).live.seed for number in range(settings.live) for begun in range(episodes)}


@pytest.mark.parametrize("advantages", ["turn", "group"])
def test_episodes_of_training_are_none_of_evaluation_or_teaching_or_of_another_training(advantages):
    settings = replace(SETTINGS, advantages=advantages)
    each = [seeds_of(replace(settings, seed=seed), 50) for seed in (0, 1, 7)]
    assert all(len(some) == 50 * (8 if advantages == "turn" else 1) for some in each)
    assert not set.intersection(*each)
    assert len(set.union(*each)) == sum(map(len, each))
    assert min(map(min, each)) >= 1_000_000  # teachers begin at 100,000, evaluation at 0


@pytest.mark.parametrize("advantages", ["turn", "group"])
def test_another_seed_writes_otherwise_in_the_same_instances(advantages):
    def outputs(seed: int):
        playing = rollouts(replace(SETTINGS, advantages=advantages, seed=seed, first_seed=1_000_000 * (3 - seed)))
        begun = [track.live.seed for track in playing.tracks]
        return begun, [[move.sample.output for move in some] for some in playing.play().moves.values()]

    (instances, one), (same, other), (_, again) = outputs(1), outputs(2), outputs(1)
    assert instances == same
    assert one == again
    assert all(a != b for a, b in zip(one, other, strict=True))


# --- groups


def test_members_of_a_group_meet_one_instance_write_apart_and_share_a_baseline():
    settings = replace(SETTINGS, advantages="group", group=4, discount=0.9, normalise=False, plan_price=0.1)
    playing = rollouts(settings, Ledger())
    model = playing.model
    learner = Learner(model.model, Values(model.model, settings, TextCritic()), dict(model.model.named_parameters()), Speech.of(model), 1.0)
    met = []
    for _ in range(2):
        blocks = [list(track.live.environment.blocks) for track in playing.tracks]
        assert all(blocks[k] == blocks[k // 4 * 4] for k in range(8))
        assert blocks[0] != blocks[4]
        met.append((blocks[0], blocks[4]))
        moves = playing.play().moves
        assert len({tuple(move.sample.output for move in moves[k]) for k in range(4)}) == 4
        assert all(len(some) == 10 for some in moves.values())
        returns = [sum(0.9**t * move.reward for t, move in enumerate(moves[k])) for k in range(8)]
        for track, _, row in rows_of(moves, learner, settings, Alone())[0]:
            group = returns[track // 4 * 4 : track // 4 * 4 + 4]
            assert row.advantage == pytest.approx(np.full(len(row.move.sample.output), returns[track] - sum(group) / 4))
    assert len({str(one) for pair in met for one in pair}) == 4  # the next rollout has other instances


# --- cuts


@pytest.mark.parametrize("schedule", ["dynamic", "never", "every:3", "random:0.5", "budget:4"])
def test_behind_a_cut_stands_what_is_asked_next(schedule):
    playing = rollouts(replace(SETTINGS, steps=4), schedule=schedule)
    wanted, said = [], set()
    for _ in range(2):  # two rollouts, neither of which ends an episode of 10 steps
        moves = playing.play().moves
        for one, some in zip(wanted, moves.values(), strict=False):
            assert one == some[0].sample.prompt
        wanted = [some[-1].after for some in moves.values()]
        said |= {playing.model.vocabulary.text(one).split()[-1] for one in wanted}
    assert all(move.after is None for some in moves.values() for move in some[:-1])
    modes = {"dynamic": {"any"}, "never": {"act"}, "every:3": {"act"}, "random:0.5": {"act", "plan"}, "budget:4": {"any", "act"}}
    assert said == modes[schedule]


# --- what tells one training from another


def test_settings_of_an_environment_are_what_no_episode_changes():
    from unseen.environments.text import GraphSearch

    plain = settings_of(GraphSearch(6), 5)
    assert settings_of(GraphSearch(6), 5) == plain
    begun = GraphSearch(6)
    begun.reset(77)
    begun.step("0")
    assert settings_of(begun, 5) == plain
    for options in ({"nodes": 7}, {"radius": 1}, {"max_steps": 9}, {"min_backtracks": 0}, {"form": "compact"}, {"step_penalty": 0.5}):
        assert settings_of(GraphSearch(**{"nodes": 6, **options}), 5) != plain
    assert settings_of(Hints(9), 5)["max_steps"] == "9"
    assert settings_of(Hints(9, (2, 4)), 5) != settings_of(Hints(9), 5)
    assert "t" not in settings_of(Hints(9), 5)


def test_weights_and_tokens_have_digests():
    model = student()
    plain = digest_of(model)
    assert digest_of(student()) == plain
    assert digest_of(student(seed=1))["starting weights"] != plain["starting weights"]
    assert digest_of(student(seed=1))["tokenizer"] == plain["tokenizer"]
    with torch.no_grad():
        model.model.model.norm.weight[3] += 1e-3
    assert digest_of(model)["starting weights"] != plain["starting weights"]
    model.tokenizer.add_tokens(["elsewhere"])
    assert digest_of(model)["tokenizer"] != plain["tokenizer"]
