"""The walker's moves are legal, its plans are well-formed, as frequent as asked for, and of no use."""

from __future__ import annotations

import re

import numpy as np
import pytest
from planning_toys import Walk

from unseen.environments.text import GraphSearch
from unseen.environments.text.registry import make
from unseen.errors import UserError
from unseen.planning.accounting import per_episode
from unseen.planning.collecting import collect
from unseen.planning.teachers.walker import RandomWalker

WORLD = GraphSearch(8, max_steps=20)


def test_no_move_is_illegal_and_every_legal_one_occurs():
    walks = collect(RandomWalker(), WORLD, 60)
    assert not walks.accounts["illegal"].any()
    walker, world, moves = RandomWalker(), GraphSearch(8), set()
    world.reset(3)
    walker.begin(np.random.default_rng(0))
    for _ in range(200):
        moves.add(walker.write(world).written.action)
    near = np.flatnonzero(world.structured()["adjacency"][world.node])
    assert moves == {str(node) for node in near}
    assert len(moves) > 1


@pytest.mark.parametrize("share", [0.0, 0.1, 1.0])
def test_plans_are_as_frequent_as_asked_for(share):
    walks = collect(RandomWalker(plans=share), WORLD, 100)
    planned = walks.accounts["planned"].astype(bool)
    assert abs(planned.mean() - share) <= 3 * np.sqrt(share * (1 - share) / len(planned))
    assert {str(reason) for reason in walks.text["reason"]} == {"" if not share else "at random", "" if share < 1 else "at random"}


def test_plans_have_the_teachers_form_and_know_nothing():
    walks = collect(RandomWalker(plans=0.5), WORLD, 200)
    planned = walks.accounts["planned"].astype(bool)
    plans = [str(plan) for plan in walks.text["plan"][planned]]
    assert all(re.fullmatch(r"(explore|target) \d via \d( \d){0,3} later (none|\d( \d){0,3})", plan) for plan in plans)
    heads = [plan.split()[:2] for plan in plans if plan.startswith("target")]
    targets = {str(node) for _, node in heads}
    assert targets == {str(node) for node in range(8)}  # whatever the target is


def test_the_same_seed_walks_the_same_way():
    first, second = (collect(RandomWalker(), WORLD, 5, seed=7) for _ in range(2))
    assert list(first.text["output"]) == list(second.text["output"])
    assert list(collect(RandomWalker(), WORLD, 5, seed=8).text["output"]) != list(first.text["output"])


def test_it_walks_through_crafter_too():
    walks = collect(RandomWalker(plans=0.5), make("crafter", max_steps=15), 2)
    assert not walks.accounts["illegal"].any()
    plans = [str(p) for p, planned in zip(walks.text["plan"], walks.accounts["planned"]) if planned]
    assert all(re.fullmatch(r"[A-Z].+, because .+\. Then .+\.", plan) for plan in plans)
    assert len(set(plans)) > 3


def test_it_is_better_at_nothing():
    walks = collect(RandomWalker(), WORLD, 100)
    taught = collect("graph-search", WORLD, 100)
    assert per_episode(walks)["success"].mean() < per_episode(taught)["success"].mean() - 0.2


def test_what_it_cannot_do_is_said():
    with pytest.raises(UserError, match=r"plans = 1\.5"):
        RandomWalker(plans=1.5)
    with pytest.raises(UserError, match="random walker has no words for"):
        collect(RandomWalker(), Walk(), 1)
