"""Effect modifiers: what is known besides the state, by which effects are compared though nothing is fitted on it."""

from __future__ import annotations

from itertools import product

import numpy as np
import polars as pl
import pytest
from mdp import TablePolicy, random_mdp
from test_learners import POLICY, patients

from unseen.data import Episodes
from unseen.errors import UserError
from unseen.outcomes import DRQLearner, Transitions, Uniform, load

COLUMNS = {"id": "patient", "time": "day", "state": ["stage", "tumour"], "action": "dose", "reward": "benefit", "terminated": "died"}


def with_sex(frame, seed=0):
    """Sex by patient, and more tumour in men, so that effects differ though sex is no part of the state."""
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
    with pytest.raises(UserError, match="column 'stage' is both state and modifier"):
        read(modifiers="stage")


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
    for normal, twin in (("stage", "twin"), ("twin", "stage")):
        one = fitted.contrast({s: (lambda f, s=s, c=normal: (f[c] == s).to_numpy()) for s in ("I", "II")}, "much", "none")
        two = fitted.contrast({s: (lambda f, s=s, c=twin: (f[c] == s).to_numpy()) for s in ("I", "II")}, "much", "none")
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
    """Effects linear in the state: the slopes are those of the learner's own projection, and those of all else are 0."""
    data = read(modifiers=["sex", "age"])
    fitted = DRQLearner(0.9).fit(data, POLICY)
    found = fitted.effect_along(["tumour", "stage"], "much", "none")
    assert found.names == ("where all are average or first", "tumour", "stage=II", "stage=III")
    low, high = (fitted.contrast({"stage": [s], "tumour": [t]}, "much", "none").value[0] for s, t in (("II", 2.0), ("II", 4.0)))
    np.testing.assert_allclose(found.value[1], (high - low) / 2, atol=1e-8)
    other = fitted.contrast({"stage": ["I"], "tumour": [2.0]}, "much", "none").value[0]
    np.testing.assert_allclose(found.value[2], low - other, atol=1e-8)
    by_age = fitted.effect_along("age", "much", "none")
    everybody = fitted.contrast(None, "much", "none")
    np.testing.assert_allclose(by_age.value[0], everybody.value[0], atol=1e-8)  # centred: the average effect
    assert by_age.names[1] == "age"


@pytest.mark.slow
def test_slopes_along_a_modifier_are_covered():
    """Age sorts patients by what they begin with, so that effects vary along it; 300 data sets against one of 40,000 patients."""

    def data(trajectories, seed):
        frame = pl.DataFrame(patients(seed, trajectories))
        first = frame.group_by("patient", maintain_order=True).first()["tumour"].to_numpy()
        age = 60 + 3 * (first - 3) + np.random.default_rng(seed).normal(0, 3, trajectories)
        return Transitions.from_table(frame.with_columns(age=pl.Series(age)[frame["patient"].to_numpy()]), **COLUMNS, modifiers=["age"])

    truth = DRQLearner(0.9).fit(data(20_000, 10_000), POLICY).effect_along("age", "much", "none").value[1]
    inside = 0
    for seed in range(300):
        low, high = DRQLearner(0.9, folds=2, n_jobs=1).fit(data(200, seed), POLICY).effect_along("age", "much", "none").interval()
        inside += low[1] <= truth <= high[1]
    assert 0.90 <= inside / 300 <= 0.985, inside / 300


def test_what_effects_cannot_vary_along():
    fitted = DRQLearner(0.9).fit(read(modifiers=["sex"]), POLICY)
    with pytest.raises(UserError, match="unknown column of state or modifiers 'sexe'; did you mean 'sex'"):
        fitted.effect_along("sexe", "much", "none")
    with pytest.raises(UserError, match="name at least one column"):
        fitted.effect_along([], "much", "none")


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
