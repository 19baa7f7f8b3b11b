"""Names become environments; mistakes in them become one-line errors with the nearest valid name."""

from __future__ import annotations

import subprocess
import sys
import types
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unseen.environments import make, names, register, registry
from unseen.environments.navigation import CarFlag, Cleaner, HeavenHell, Shopping
from unseen.errors import UserError


@pytest.fixture
def own_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Registrations that end with the test."""
    monkeypatch.setattr(registry, "_ENTRIES", dict(registry._ENTRIES))


def test_names_are_sorted_and_hold_the_navigation_environments() -> None:
    assert names() == sorted(names())
    assert {"heavenhell-3", "shopping-5", "car-flag", "car-flag-no-velocity", "cleaner"} <= set(names())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("heavenhell-3", HeavenHell(3)),
        ("heavenhell-1", HeavenHell(1)),
        ("heavenhell-10", HeavenHell(10)),
        ("shopping-5", Shopping(5)),
        ("shopping-2", Shopping(2)),
        ("car-flag", CarFlag(observe_velocity=True)),
        ("car-flag-no-velocity", CarFlag(observe_velocity=False)),
        ("cleaner", Cleaner()),
    ],
)
def test_names_give_the_environment_they_say(name: str, expected: Any) -> None:
    made = make(name)
    assert made == expected
    assert hash(made) == hash(expected)
    assert made.name == name


@given(n=st.integers(1, 10), limit=st.integers(1, 10_000))
def test_options_reach_the_environment(n: int, limit: int) -> None:
    assert make(f"heavenhell-{n}", time_limit=limit) == HeavenHell(n, time_limit=limit)


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("heavenhel-3", {}, "did you mean 'heavenhell-3'?"),
        ("car_flag", {}, "did you mean 'car-flag'?"),
        ("zzz", {}, f"allowed: {', '.join(names())}"),
        ("", {}, "unknown environment ''"),
        ("heavenhell", {}, "did you mean 'heavenhell-3'?"),
        ("heavenhell-03", {}, "did you mean 'heavenhell-3'?"),
        ("heavenhell--3", {}, "did you mean 'heavenhell-3'?"),
        ("heavenhell-11", {}, "n=11 is not allowed; give a whole number from 1 to 10"),
        ("heavenhell-0", {}, "unknown environment"),
        ("shopping-1", {}, "n=1 is not allowed"),
        ("shopping-201", {}, "n=201 is not allowed"),
        ("heavenhell-3", {"time_limt": 5}, "unknown option of heavenhell-3 'time_limt'; did you mean 'time_limit'?"),
        ("heavenhell-3", {"n": 4}, "unknown option of heavenhell-3 'n'"),
        ("car-flag", {"observe_velocity": False}, "unknown option of car-flag 'observe_velocity'"),
        ("heavenhell-3", {"time_limit": 0}, "time_limit=0 is not allowed; give a whole number, 1 or more"),
        ("shopping-5", {"time_limit": 2.5}, "time_limit=2.5 is not allowed"),
        ("cleaner", {"time_limit": True}, "time_limit=True is not allowed"),
        ("gymnaxx:CartPole-v1", {}, "unknown prefix 'gymnaxx'; did you mean 'gymnax'?"),
        ("gymnax:", {}, "names nothing after the colon"),
    ],
)
def test_mistakes_are_one_line_errors(name: str, options: dict, says: str) -> None:
    with pytest.raises(UserError) as caught:
        # Options go to dataclasses that type checking in tests would refuse first; a user runs without it.
        make(name, **options) if not _ill_typed(options) else _untyped(name, options)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def _ill_typed(options: dict) -> bool:
    return any(not isinstance(value, int) for value in options.values())


def _untyped(name: str, options: dict) -> None:
    from unseen.environments import options as checks

    for option, value in options.items():
        checks.require_integer(name, option, value, 1)


def test_family_numbers_must_be_ascii() -> None:
    with pytest.raises(UserError, match="unknown environment"):
        make("heavenhell-٣")


@given(name=st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), max_size=20))
def test_any_text_is_an_environment_or_a_one_line_error(name: str) -> None:
    error = None
    try:
        assert make(name).name == name
    except UserError as caught:
        error = str(caught)
    assert error is None or "\n" not in error


# ---- files and other people's environments -----------------------------------------------------------------------------


def test_a_missing_file_names_its_neighbour(tmp_path: Any) -> None:
    (tmp_path / "tiger.pomdp").write_text("")
    with pytest.raises(UserError, match=r"tiger\.pomdp'\?$"):
        make(str(tmp_path / "tigre.pomdp"))
    with pytest.raises(UserError, match="there is no file of that name"):
        make(str(tmp_path / "nowhere" / "tiger.pomdp"))


@pytest.mark.parametrize(
    ("module", "attribute", "name", "receives"),
    [
        ("unseen.environments.adapters", "from_gymnax", "gymnax:CartPole-v1", "CartPole-v1"),
        ("unseen.environments.adapters", "external", "gym:MiniGrid-MemoryS7-v0", "MiniGrid-MemoryS7-v0"),
        ("unseen.environments.adapters", "external", "gym:package.module:Thing-v0", "package.module:Thing-v0"),
    ],
)
def test_prefixes_reach_their_adapter(monkeypatch: pytest.MonkeyPatch, module: str, attribute: str, name: str, receives: str) -> None:
    def adapter(name: str, *, copies: int = 1) -> tuple[str, int]:
        return name, copies

    monkeypatch.setitem(sys.modules, module, types.SimpleNamespace(**{attribute: adapter}))
    assert make(name, copies=3) == (receives, 3)
    with pytest.raises(UserError, match="did you mean 'copies'"):
        make(name, copeis=3)
    with pytest.raises(UserError, match=r"allowed: copies$"):
        make(name, zzz="other")


def test_files_reach_the_tabular_reader(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    class TabularEnvironment:
        @staticmethod
        def from_file(path: Any, *, horizon: int = 100) -> tuple[str, int]:
            return str(path), horizon

    path = tmp_path / "x.POMDP"
    path.write_text("discount: 0.9")
    monkeypatch.setitem(sys.modules, "unseen.environments.tabular", types.SimpleNamespace(TabularEnvironment=TabularEnvironment))
    assert make(str(path), horizon=7) == (str(path), 7)
    with pytest.raises(UserError, match="did you mean 'horizon'"):
        make(str(path), horison=7)


def test_a_real_file_becomes_an_environment(tmp_path: Any) -> None:
    from unseen.environments import check_environment, tabular

    path = tmp_path / "tiger.pomdp"
    tabular.write_pomdp(tabular.tiger(), path)
    made = make(str(path), time_limit=30)
    assert made.horizon(made.levels["train"][0][1]) == 30
    check_environment(made, steps=60)


# ---- register ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mine:
    size: int = 2


@pytest.mark.usefixtures("own_entries")
def test_register_adds_a_name() -> None:
    register("mine", Mine)
    assert "mine" in names()
    assert make("mine", size=3) == Mine(3)
    with pytest.raises(UserError, match="did you mean 'size'"):
        make("mine", siez=3)


@pytest.mark.usefixtures("own_entries")
def test_registered_names_are_kept_unless_replaced() -> None:
    for taken in ("cleaner", "heavenhell-7"):
        with pytest.raises(UserError, match="already registered"):
            register(taken, Mine)
        register(taken, Mine, replace=True)
        assert make(taken) == Mine()


@pytest.mark.usefixtures("own_entries")
@pytest.mark.parametrize("name", ["", "gym:mine", "mine.pomdp", " mine"])
def test_names_with_another_meaning_are_refused(name: str) -> None:
    with pytest.raises(UserError, match="is not allowed"):
        register(name, Mine)


def test_the_registry_does_not_import_jax() -> None:
    code = "import sys, unseen.environments.registry as r; r.names(); sys.exit('jax' in sys.modules or 'gymnasium' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
