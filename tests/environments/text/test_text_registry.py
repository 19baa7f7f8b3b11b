"""Environments in words by name, and what is wrong with a name or an option in one line."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from unseen.environments.text import GraphSearch, registry
from unseen.environments.text.contract import TextEnvironment
from unseen.environments.text.registry import make, names, options_of, register
from unseen.errors import UserError


@pytest.fixture
def own_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that go with the test."""
    monkeypatch.setattr(registry, "_ADDED", dict(registry._ADDED))


def test_every_name_makes_an_environment_that_goes_by_it():
    assert names() == sorted(names())
    assert {"graph-search", "crafter"} <= set(names())
    pytest.importorskip("crafter")
    for name in names():
        made = make(name)
        assert isinstance(made, TextEnvironment)
        assert made.name == name


def test_options_reach_the_environment():
    made: Any = make("graph-search", nodes=9, radius=3, form="compact")
    assert isinstance(made, GraphSearch)
    assert (made.nodes, made.radius, made.form) == (9, 3, "compact")


def test_levels_of_minigrid_have_names_too():
    pytest.importorskip("minigrid")
    made = make("minigrid/MiniGrid-Empty-5x5-v0", max_steps=7)
    assert isinstance(made, TextEnvironment)
    assert made.max_steps == 7
    with pytest.raises(UserError):
        make("minigrid/NoSuchLevel-v0")


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("graph-serch", {}, "did you mean 'graph-search'"),
        ("", {}, "unknown text environment ''"),
        ("minigrid", {}, "did you mean 'minigrid/LEVEL'"),
        ("graph-search", {"node": 9}, "unknown option of graph-search 'node'; did you mean 'nodes'"),
        ("graph-search", {"self": 9}, "unknown option of graph-search 'self'"),
        ("graph-search", {"nodes": 1}, "nodes = 1"),
        ("crafter", {"steps": 9}, "did you mean 'max_steps'"),
    ],
)
def test_what_is_refused(name, options, says):
    with pytest.raises(UserError, match=says):
        make(name, **options)


def test_options_have_their_defaults():
    found = options_of(GraphSearch)
    assert "self" not in found
    assert (found["nodes"], found["radius"], found["form"]) == (20, 2, "lines")


@pytest.mark.usefixtures("own_names")
def test_an_environment_of_ones_own():
    register("small-search", lambda nodes=5: GraphSearch(nodes, min_backtracks=0))
    register("any-search", lambda **options: GraphSearch(**options))
    assert "small-search" in names()
    assert make("small-search").actions == ("0", "1", "2", "3", "4")
    assert len(make("small-search", nodes=7).actions) == 7
    assert len(make("any-search", nodes=6, radius=1).actions) == 6
    with pytest.raises(UserError, match="did you mean 'nodes'"):
        make("small-search", node=7)
    for taken in ("small-search", "crafter"):
        with pytest.raises(UserError, match="already"):
            register(taken, GraphSearch)
    with pytest.raises(UserError, match="levels of MiniGrid"):
        register("minigrid/mine", GraphSearch)


def test_names_cost_no_game():
    code = "import sys; from unseen.environments.text.registry import make, names; names(); make('graph-search'); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "unseen.environments.text.graph_search" in loaded
    assert not {"crafter", "minigrid", "torch", "jax"} & set(loaded)
