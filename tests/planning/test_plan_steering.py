"""Plans from outside: scripts, that they are shown in time, and whether an agent obeys them."""

from __future__ import annotations

import math
import re
from collections import Counter

import numpy as np
import polars as pl
import pytest
from planning_toys import Custom, Walk, complete, failed, obedient

from unseen.environments.text import GraphSearch
from unseen.errors import UserError
from unseen.planning import steering
from unseen.planning.agent import Agent
from unseen.planning.models.contract import Capabilities
from unseen.planning.models.reader import reader
from unseen.planning.models.scripted import ScriptedModel
from unseen.planning.paired_runs import states
from unseen.planning.steering import Intervention, follows, graph_plans, intervene, obedience, read_script, steered
from unseen.planning.steps import begin

ABLE = Capabilities(force=True, forbid=True)
SMALL = GraphSearch(12, max_steps=14)


def script(path, text: str):
    path.write_text(text, encoding="utf-8")
    return read_script(path)


def test_a_script_is_read(tmp_path):
    found = script(
        tmp_path / "plans.toml",
        """
        [[plan]]
        step = 9
        [[plan]]
        step = 0
        text = "find water"
        [[plan]]
        step = 4
        text = "hide"
        hold = 3
        [[plan]]
        step = 6
        text = "wait"
        hold = "until released"
        """,
    )
    assert found == [(0, "find water", 0.0), (4, "hide", 3.0), (6, "wait", math.inf), (9, None, 0.0)]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "sets no plan"),
        ("[[plans]]\nstep = 1", "did you mean 'plan'"),
        ("[plan]\nstep = 1\ntext = 'a'", r"begin each with \[\[plan\]\]"),
        ("plan = 'go'", r"begin each with \[\[plan\]\]"),
        ("plan = ['go']", r"begin each with \[\[plan\]\]"),
        ("[[plan]]\ntext = 'a'", "plan 0 of the script: step = None"),
        ("[[plan]]\nstep = -1\ntext = 'a'", "step = -1"),
        ("[[plan]]\nstep = 1.0\ntext = 'a'", "step = 1.0"),
        ("[[plan]]\nstep = true\ntext = 'a'", "step = True"),
        ("[[plan]]\nstep = 1\ntext = 'a'\n[[plan]]\nstep = 2\ntext = ' '", "plan 1 of the script: text = ' '"),
        ("[[plan]]\nstep = 1\ntext = 3", "text = 3"),
        ("[[plan]]\nstep = 1\ntexts = 'a'", "did you mean 'text'"),
        ("[[plan]]\nstep = 1\ntext = 'a'\nhold = -2", "hold = -2"),
        ("[[plan]]\nstep = 1\ntext = 'a'\nhold = nan", "hold = nan"),
        ("[[plan]]\nstep = 1\ntext = 'a'\nhold = true", "hold = True"),
        ("[[plan]]\nstep = 1\ntext = 'a'\nhold = 'long'", "hold = 'long'"),
        ("[[plan]]\nstep = ", "is not TOML"),
    ],
)
def test_scripts_that_are_refused(tmp_path, text, says):
    with pytest.raises(UserError, match=says):
        script(tmp_path / "plans.toml", text)


def test_files_that_are_no_scripts(tmp_path):
    with pytest.raises(UserError, match="No such file"):
        read_script(tmp_path / "none.toml")
    with pytest.raises(UserError, match="directory"):
        read_script(tmp_path)
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="is not TOML"):
        read_script(str(tmp_path / "bytes.toml"))


# --- in time


def test_a_plan_is_shown_in_the_very_step_it_is_set_for():
    model = Custom(lambda *_: "go", ABLE)
    found = steered(Agent(model, "never"), Walk(lambda seed: 4 + seed), [Intervention(1, "theirs"), Intervention(3, None)], 2, 2)
    assert found.info["seed"].tolist() == [2, 3]
    for prompt in model.prompts:
        place = re.findall(r"place (\d+)", prompt[-1].content)[-1]
        assert ("theirs" in prompt[-1].content) == (place in "12")
    assert found.text["plan"].tolist() == ["", "theirs", "theirs", "", "", "", "", "theirs", "theirs", "", "", "", ""]
    assert found.text["owner"].tolist()[:4] == ["nobody", "script", "script", "nobody"]
    assert found.accounts["plan_age"].tolist()[:6] == [-1, 0, 1, -1, -1, -1]


def test_a_suggestion_may_be_overwritten_and_a_later_line_wins():
    eager = ScriptedModel(lambda prompt, force, forbid, _: "<plan>mine</plan>go" if "place 2 " in prompt[-1].content else "go")
    found = steered(Agent(eager, "dynamic"), Walk(), [Intervention(1, "first"), Intervention(1, "second")])
    assert found.text["plan"].tolist() == ["", "second", "mine", "mine", "mine"]
    assert found.text["owner"].tolist() == ["nobody", "script", "model", "model", "model"]


def test_what_cannot_be_steered():
    with pytest.raises(UserError, match="episodes = 0"):
        steered(Agent(obedient()), Walk(), [Intervention(0, "a")], episodes=0)
    with pytest.raises(UserError, match="seed = -1"):
        steered(Agent(obedient()), Walk(), [Intervention(0, "a")], seed=-1)
    unable = Agent(Custom(lambda *_: "go"))
    live = begin(unable, Walk(), 0)
    with pytest.raises(UserError, match="suggest the plan instead"):
        intervene(unable, live, Intervention(0, "a", 1.0), "human")
    intervene(unable, live, Intervention(0, "a"), "human")
    assert (live.slot.plan, live.slot.owner) == ("a", "human")
    intervene(unable, live, Intervention(0, None), "human")
    assert live.slot.plan is None


# --- plans of graph search


def test_correct_wrong_and_shuffled_plans_are_what_they_say():
    environment = GraphSearch(15)
    for seed in range(40):
        environment.reset(seed)
        tree, here = environment.tree, environment.node
        target = int(environment.structured()["target_node"])
        plans = graph_plans(environment, np.random.default_rng(seed))
        assert list(plans) == ["none", "correct", "wrong", "shuffled"]
        assert plans["none"] is None
        path = tree.path(here, target)
        assert plans["correct"] == f"target {target} via {' '.join(map(str, path[1:]))} later none"
        assert plans["shuffled"] is not None
        assert Counter(plans["shuffled"].split()) == Counter(str(plans["correct"]).split())
        others = [node for node in range(15) if node != here and path[1] not in tree.path(here, node)]
        if not others:
            assert plans["wrong"] is None
            continue
        assert plans["wrong"] is not None
        goal, *route = (int(word) for word in re.findall(r"\d+", plans["wrong"]))
        assert goal == target
        assert route == tree.path(here, route[-1])[1:]
        assert route[0] != path[1]
        assert route[-1] in others
        assert tree.distance(route[-1], target) == max(tree.distance(node, target) for node in others)
    shuffles = {graph_plans(environment, np.random.default_rng(seed))["shuffled"] for seed in range(10)}
    assert len(shuffles) > 1


@pytest.mark.parametrize(
    ("plan", "here", "action", "kept"),
    [
        ("target 5 via 2 3 5 later none", 1, "2", True),
        ("target 5 via 2 3 5 later none", 1, "3", False),
        ("target 5 via 2 3 5 later none", 2, " 3\n", True),
        ("target 5 via 2 3 5 later none", 3, "5", True),
        ("target 5 via 2 3 5 later none", 3, "2", False),
        ("target 5 via 2 3 5", 5, "3", None),
        ("explore 12 via 12", 1, "12", True),
        ("explore 12 via 12", 1, "1", False),
        ("explore 12", 1, "12", None),
        ("via none later 3", 1, "3", None),
        ("", 1, "3", None),
    ],
)
def test_whether_a_move_keeps_to_a_plan(plan, here, action, kept):
    assert follows(plan, here, action) is kept


# --- obedience


def by_kind(table: pl.DataFrame) -> dict[str, list[dict]]:
    return {str(kind[0]): part.to_dicts() for kind, part in table.group_by("kind", maintain_order=True)}


@pytest.fixture(scope="module")
def of_the_reader() -> dict[str, list[dict]]:
    return by_kind(obedience(Agent(reader(), "every:3", history=2), SMALL, 30, replicates=2))


def test_the_reader_obeys(of_the_reader):
    kinds = of_the_reader
    assert list(kinds) == ["none", "correct", "wrong", "shuffled"]
    assert len({len(rows) for rows in kinds.values()}) == 1
    assert len(kinds["none"]) > 10
    assert {row["obedience"] for row in kinds["correct"]} == {1.0}
    assert {row["obedience"] for row in kinds["wrong"]} == {0.0}
    assert {row["own"] for row in kinds["correct"]} == {1.0}
    assert all(row["own"] > 0.3 for row in kinds["wrong"])  # a short wrong route ends while the plan is still held
    assert {row["own"] for row in kinds["none"]} == {None}
    assert 0 < np.mean([row["obedience"] for row in kinds["none"]]) < 1
    for rows in kinds.values():
        assert [(row["seed"], row["step"]) for row in rows] == [(row["seed"], row["step"]) for row in kinds["none"]]


def test_a_correct_plan_helps_who_obeys(of_the_reader):
    reached = {kind: np.mean([row["reached"] for row in rows]) for kind, rows in of_the_reader.items()}
    returns = {kind: np.mean([row["return"] for row in rows]) for kind, rows in of_the_reader.items()}
    assert reached["correct"] > reached["none"] > reached["wrong"]
    assert returns["correct"] > returns["wrong"] + 10


def test_a_model_that_ignores_its_slot_does_the_same_with_every_plan():
    def ignoring(prompt, force, forbid, generator):
        now = prompt[-1].content.rpartition("Current Observation:")[2]
        here = re.search(r"current node: (\d+)", now)
        assert here is not None
        near = re.search(rf"^node: {here[1]}, neighbors: \[([\d, ]+)\]", now, re.MULTILINE)
        assert near is not None
        action = str(generator.choice(near[1].split(", ")))
        return f"<plan>to and fro</plan>{action}" if force else action

    table = obedience(Agent(ScriptedModel(ignoring), "every:3"), SMALL, 20, replicates=2)
    kinds = by_kind(table.select("seed", "step", "kind", "obedience", "reached", "return"))
    bare = [{name: row[name] for name in row if name != "kind"} for row in kinds["none"]]
    assert len(bare) > 5
    assert len({row["obedience"] for row in bare}) > 1
    for rows in kinds.values():
        assert [{name: row[name] for name in row if name != "kind"} for row in rows] == bare


def test_a_plan_is_held_for_as_many_steps_as_asked_and_then_the_agent_goes_on():
    modes = []

    def write(prompt, force, forbid, generator):
        modes.append((force, forbid))
        return "<plan>p</plan>0" if force else "0"  # mostly nonsense: nobody arrives

    world = GraphSearch(6, max_steps=8)
    table = obedience(Agent(ScriptedModel(write), "always"), world, 4, steps=2, replicates=1)
    assert set(table["kind"]) == {"none", "correct", "wrong", "shuffled"}
    forbidden = sum(forbid is not None for _, forbid in modes)
    held = [min(2, 8 - row["step"]) for row in table.to_dicts() if row["reached"] == 0]
    assert sum(held) <= forbidden <= 2 * len(table)


def test_a_state_in_which_the_model_failed_is_left_out(monkeypatch):
    agent = Agent(reader(), "every:3")
    whole = obedience(agent, SMALL, 8, replicates=2)
    dead = int(whole["seed"][0])
    target = SMALL.reset(dead).long_term.rpartition(" ")[2]
    others = {seed for seed in whole["seed"].unique() if SMALL.reset(seed).long_term.rpartition(" ")[2] != target}
    assert others
    drawn = []

    def first(*args, **how):
        drawn.extend(states(*args, **how))
        return drawn

    def failing(prompt, force, forbid, generator):
        """Fails once the states are drawn, on the way to this target."""
        now = prompt[-1].content
        if drawn and f"target node: {target}\n" in now:
            return failed()
        return complete(reader().generate([prompt], max_tokens=99, force=force, forbid=forbid, seed=int(generator.integers(99)))[0])

    monkeypatch.setattr(steering, "states", first)
    found = obedience(Agent(Custom(failing, ABLE), "every:3"), SMALL, 8, replicates=2)
    assert dead in {state.seed for state in drawn}
    assert dead not in found["seed"].to_list()
    assert len(found) == 4 * found["seed"].n_unique() > 0


def test_what_obedience_refuses():
    with pytest.raises(UserError, match="cannot be kept from replacing"):
        obedience(Agent(Custom(lambda *_: "go")), SMALL, 2)
    with pytest.raises(UserError, match="cannot be kept from replacing"):
        obedience(Agent(reader(), impose=False), SMALL, 2)
    with pytest.raises(UserError, match="nothing to compare"):
        obedience(Agent(reader(), "never"), SMALL, 2)
    for wrong in ({"episodes": 0}, {"steps": 0}, {"replicates": 0}, {"live": 0}, {"seed": -1}):
        with pytest.raises(UserError, match="of obedience must be"):
            obedience(Agent(reader()), SMALL, **wrong)
