"""Effect modifiers: what is known besides the state, by which effects are compared though nothing is fitted on it."""

from __future__ import annotations

from itertools import product

import numpy as np
import polars as pl
import pytest
from mdp import TablePolicy, random_mdp
from test_influence import dosed
from test_learners import POLICY, patients

from unseen.data import Episodes, check_table
from unseen.errors import UserError
from unseen.outcomes import DRQLearner, Transitions, Uniform, load, recommend

COLUMNS = {"id": "patient", "time": "day", "state": ["stage", "tumour"], "action": "dose", "reward": "benefit", "terminated": "died"}


def with_sex(frame, seed=0):
    """Sex and age by patient, neither of which does anything."""
    rng = np.random.default_rng(seed)
    sex = rng.choice(["f", "m"], frame["patient"].max() + 1)
    return frame.with_columns(
        sex=pl.Series(sex)[frame["patient"].to_numpy()], age=pl.Series(rng.normal(60, 9, len(sex)))[frame["patient"].to_numpy()]
    )


def read(**options):
    return Transitions.from_table(with_sex(pl.DataFrame(patients())), **(COLUMNS | options))


def test_they_travel_with_the_rows():
    data = read(modifiers=["sex", "age"])
    assert [c.name for c in data.modifier_schema.columns] == ["sex", "age"]
    assert data.modifiers.shape == (len(data), 2)
    some = data.select([3, 5])
    frame = some.describe(some.states, some.modifiers)
    assert frame.columns == ["stage", "tumour", "sex", "age"]
    assert set(frame["sex"]) <= {"f", "m"}
    assert data.describe(data.states[:2], None).columns == ["stage", "tumour"]
    assert read().modifiers is None


def test_a_column_is_one_or_the_other():
    for name, role in (("stage", "state"), ("benefit", "reward"), ("dose", "action"), ("patient", "id"), ("died", "terminated")):
        with pytest.raises(UserError, match=f"column '{name}' is the {role} and cannot be a modifier"):
            read(modifiers=name)
    with pytest.raises(UserError, match="modifiers name \\['sex', 'sex'\\]; each column once"):
        read(modifiers=["sex", "sex"])
    assert "cannot be a modifier" in str(check_table(with_sex(pl.DataFrame(patients())), **COLUMNS, modifiers=["benefit"]))


def test_what_is_fitted_does_not_see_them():
    with_them, without = (DRQLearner(0.9).fit(read(**options), POLICY) for options in ({"modifiers": ["sex", "age"]}, {}))
    np.testing.assert_array_equal(with_them.g_.theta, without.g_.theta)
    np.testing.assert_allclose(with_them.value().influence, without.value().influence, atol=1e-12)


@pytest.mark.parametrize("state", [["stage", "tumour"], ["stage"]])  # linear; counted
def test_regions_by_modifier_are_like_regions_by_state(state):
    """A column that is in the state as well under another name: both ways of asking give the same numbers."""
    table = pl.DataFrame(patients(trajectories=150)).with_columns(twin=pl.col("stage"))
    data = Transitions.from_table(table, **(COLUMNS | {"state": state, "modifiers": ["twin"]}))
    fitted = DRQLearner(0.9).fit(data, Uniform())
    plain = DRQLearner(0.9).fit(Transitions.from_table(table, **(COLUMNS | {"state": state})), Uniform())
    one = plain.contrast({s: (lambda f, s=s: (f["stage"] == s).to_numpy()) for s in ("I", "II")}, "much", "none")
    two = fitted.contrast({s: (lambda f, s=s: (f["twin"] == s).to_numpy()) for s in ("I", "II")}, "much", "none")
    np.testing.assert_allclose(one.value, two.value, atol=1e-12)
    np.testing.assert_allclose(one.influence, two.influence, atol=1e-10)


@pytest.mark.parametrize("self_normalised", [True, False])
def test_a_modifier_that_follows_the_state_by_chance(self_normalised):
    """P(V = 1 | s) = known: on the population E[Q(S, a) | V = 1] is exact, though V is no function of the state."""
    mdp = random_mdp(4, ending=0.1)
    chance = np.linspace(0.1, 0.9, 5)
    rows, weight = mdp.population()
    twice = {
        "id": [], "t": [], "s": [], "a": [], "r": [], "end": [], "next": [], "v": [],
    }  # fmt: skip
    share = []
    for i, v in product(range(len(rows)), (0, 1)):
        s, p = int(rows.states[i, 0]), chance[int(rows.states[i, 0])]
        end = bool(rows.terminated[i])
        cells = (len(share), 0, s, int(rows.actions[i]), float(rows.rewards[i]), end, None if end else int(rows.next_states[i, 0]), v)
        for key, value in zip(twice, cells):
            twice[key].append(value)
        share.append(weight[i] * (p if v else 1 - p))
    data = Transitions.from_table(
        twice, id="id", time="t", state={"s": "categorical"}, action="a", reward="r", terminated="end", next_state=["next"],
        modifiers={"v": "categorical"},
    )  # fmt: skip
    learner = DRQLearner(mdp.discount, folds=1, self_normalised=self_normalised, behaviour=TablePolicy(mdp.behaviour))
    fitted = learner.fit(data, TablePolicy(mdp.policy), sample_weight=np.array(share))
    p_b = mdp.density * chance
    expected = (p_b @ (mdp.q[:, 2] - mdp.q[:, 0])) / p_b.sum()
    found = fitted.contrast({"v": lambda frame: frame["v"].to_numpy() == 1}, 2, 0)
    np.testing.assert_allclose(found.value, [expected], atol=1e-8)


def test_effects_along_columns_are_the_projection():
    """Effects linear in the state: the slopes are those of the learner's own projection; the average is that of all decisions."""
    data = read(modifiers=["sex", "age"])
    fitted = DRQLearner(0.9).fit(data, POLICY)
    found = fitted.effect_along(["tumour", "stage"], "much", "none")
    assert found.names == ("on average", "tumour", "stage=II", "stage=III")
    low, high = (fitted.contrast({"stage": [s], "tumour": [t]}, "much", "none").value[0] for s, t in (("II", 2.0), ("II", 4.0)))
    np.testing.assert_allclose(found.value[1], (high - low) / 2, atol=1e-8)
    other = fitted.contrast({"stage": ["I"], "tumour": [2.0]}, "much", "none").value[0]
    np.testing.assert_allclose(found.value[2], low - other, atol=1e-8)


def test_the_average_effect_is_that_of_all_decisions_whatever_the_weights():
    data = read(modifiers=["sex", "age"])
    weight = np.where(data.modifiers[:, 0] == 1, 3.0, 1.0)
    fitted = DRQLearner(0.9).fit(data, POLICY, sample_weight=weight)
    along, everybody = fitted.effect_along(["age", "sex"], "much", "none"), fitted.contrast(None, "much", "none")
    np.testing.assert_array_equal(along.value[0], everybody.value[0])
    np.testing.assert_array_equal(along.influence[:, 0], everybody.influence[:, 0])


def test_units_do_not_matter():
    """Income in cents has slopes a hundredth of those in whole units, and other slopes stay."""
    frame = with_sex(pl.DataFrame(patients())).with_columns(income=pl.col("age") * 1e4, cents=pl.col("age") * 1e8)
    one, two = (
        DRQLearner(0.9)
        .fit(Transitions.from_table(frame, **COLUMNS, modifiers=["sex", unit]), POLICY)
        .effect_along(["sex", unit], "much", "none")
        for unit in ("income", "cents")
    )
    np.testing.assert_allclose(one.value, two.value * [1, 1, 1e4], rtol=1e-8)
    np.testing.assert_allclose(np.sqrt(np.diag(one.covariance)), np.sqrt(np.diag(two.covariance)) * [1, 1, 1e4], rtol=1e-8)


def decisive(kind="categorical", seed=0):
    """One step; the state says nothing, and the modifier decides whether to act is good (north) or bad (south)."""
    rng = np.random.default_rng(seed)
    n = 4_000
    north, action = rng.integers(0, 2, n), rng.integers(0, 2, n)
    reward = np.where(north == 1, 1.0, -1.0) * action + 0.5 * rng.normal(size=n)
    table = {"id": np.arange(n), "t": np.zeros(n, int), "s": rng.integers(0, 2, n), "a": action, "r": reward, "end": np.ones(n, bool)}
    return Transitions.from_table(
        table | {"north": north}, id="id", time="t", state={"s": kind}, action="a", reward="r", terminated="end",
        modifiers={"north": "categorical"},
    )  # fmt: skip


@pytest.mark.parametrize("settings", [{}, {"self_normalised": False}])
@pytest.mark.parametrize("kind", ["categorical", "numeric"])
def test_a_modifier_that_tells_more_than_the_state_is_told(kind, settings):
    if kind == "numeric" and settings:
        return
    fitted = DRQLearner(0.9, **settings).fit(decisive(kind), Uniform())
    regions = {name: (lambda f, v=v: f["north"].to_numpy() == v) for name, v in (("north", 1), ("south", 0))}
    found = fitted.contrast(regions, 1, 0)
    np.testing.assert_allclose(found.value, [1.0, -1.0], atol=0.12)  # one step: the same by cell and by row
    assert any("north: 1 did otherwise than the state says" in c for c in found.cautions)
    assert any("did otherwise than the state says" in c for c in fitted.effect_along("north", 1, 0).cautions)
    advice = recommend(fitted, regions, despite_red=True)
    assert advice.labels == ("no recommendation", "no recommendation")
    assert all("otherwise than the state says" in why for why in advice.reasons)


def test_a_modifier_that_decided_what_was_done_is_told():
    rng = np.random.default_rng(1)
    n = 4_000
    v = rng.integers(0, 2, n)
    table = {"id": np.arange(n), "t": np.zeros(n, int), "s": rng.integers(0, 2, n), "a": (rng.random(n) < 0.2 + 0.6 * v).astype(int)}
    data = Transitions.from_table(
        table | {"r": rng.normal(size=n), "end": np.ones(n, bool), "v": v}, id="id", time="t", state={"s": "categorical"}, action="a",
        reward="r", terminated="end", modifiers={"v": "categorical"},
    )  # fmt: skip
    found = DRQLearner(0.9).fit(data, Uniform()).contrast({"v": lambda f: f["v"].to_numpy() == 1}, 1, 0)
    assert any("v: 1 was chosen otherwise than the state says" in c for c in found.cautions)


def test_an_innocent_modifier_is_not_accused():
    found = DRQLearner(0.9).fit(read(modifiers=["sex", "age"]), POLICY).effect_along(["sex", "age"], "much", "none")
    assert not any("otherwise" in c for c in found.cautions), found.cautions


@pytest.mark.slow
def test_slopes_along_a_modifier_are_covered():
    """Age sorts patients by what they begin with; what a dose does is the same for all of them, so that the true slope is 0."""
    inside, replications = 0, 400
    for k in range(replications):
        rng = np.random.default_rng([9, k])
        table = dosed(rng, 300)
        first = table["tumour"][table["day"] == 0]
        age = 60 + 3 * (first - 3) + rng.normal(0, 3, 300)
        data = Transitions.from_table(
            table | {"age": age[table["patient"]]}, id="patient", time="day", state="tumour", action="dose", reward="benefit",
            terminated="died", next_state="next", modifiers="age",
        )  # fmt: skip
        low, high = DRQLearner(0.9, random_state=k, n_jobs=1).fit(data, Uniform()).effect_along("age", 2, 0).interval()
        inside += low[1] <= 0.0 <= high[1]
    assert 0.915 <= inside / replications <= 0.98, inside / replications


def test_what_effects_cannot_vary_along():
    fitted = DRQLearner(0.9).fit(read(modifiers=["sex"]), POLICY)
    with pytest.raises(UserError, match="unknown column of state or modifiers 'sexe'; did you mean 'sex'"):
        fitted.effect_along("sexe", "much", "none")
    with pytest.raises(UserError, match="name at least one column"):
        fitted.effect_along([], "much", "none")
    frame = with_sex(pl.DataFrame(patients())).with_columns(months=pl.col("age") * 12, sex2=pl.lit("f"))
    fitted = DRQLearner(0.9).fit(Transitions.from_table(frame, **COLUMNS, modifiers=["age", "months", "sex2"]), POLICY)
    with pytest.raises(UserError, match="of the columns age, months one can be told from the others"):
        fitted.effect_along(["age", "months"], "much", "none")
    with pytest.raises(UserError, match="column 'sex2' is the same everywhere"):
        fitted.effect_along("sex2", "much", "none")


def test_a_level_without_the_action_is_refused():
    rows = pl.DataFrame(patients())
    ward = (
        pl.when(pl.col("dose") == "much").then(pl.lit("A")).otherwise(pl.when(pl.col("day") > 2).then(pl.lit("B")).otherwise(pl.lit("A")))
    )
    data = Transitions.from_table(rows.with_columns(ward=ward), **COLUMNS, modifiers=["ward"])
    with pytest.raises(UserError, match="action 'much' was never taken in 'ward=B'"):
        DRQLearner(0.9).fit(data, POLICY).effect_along("ward", "much", "none")


def test_a_saved_learner_keeps_them(tmp_path):
    fitted = DRQLearner(0.9).fit(read(modifiers=["sex"]), POLICY)
    again = load(fitted.save(tmp_path / "learner.zip"))
    np.testing.assert_array_equal(again.effect_along("sex", "much", "none").value, fitted.effect_along("sex", "much", "none").value)


def test_signals_as_modifiers():
    """What a critic is told, and the actor never sees, is not part of the agent's state: effects can be compared by it."""
    steps, n = 4, 30
    rng = np.random.default_rng(0)
    played = Episodes.from_padded(
        observations={"observation": rng.normal(size=(steps + 1, n, 1))},
        actions=rng.integers(0, 2, (steps, n)),
        rewards=rng.normal(size=(steps, n)),
        terminated=np.zeros((steps, n), bool),
        truncated=np.arange(steps)[:, None] == np.full(n, steps - 1),
        valid=np.ones((steps, n), bool),
        signals={"goal": rng.integers(0, 2, (steps + 1, n))},
    )
    data = Transitions.from_episodes(played, modifiers="signal.goal")
    assert [c.name for c in data.modifier_schema.columns] == ["signal.goal"]
    assert set(np.unique(data.modifiers)) == {0.0, 1.0}
