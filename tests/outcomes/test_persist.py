"""Saved learners say the same as before, and files of others cannot do harm."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pytest
from mdp import TablePolicy, random_mdp
from sklearn.ensemble import HistGradientBoostingRegressor
from test_learners import transitions

from unseen.errors import UserError
from unseen.outcomes import (
    FQE,
    MQL,
    Always,
    DoubleReinforcementLearning,
    DRQLearner,
    FromFunction,
    ModelBased,
    PointwiseDebias,
    QRegression,
    load,
)

ASKED = {"stage": ["I", "III"], "tumour": [2.0, 3.5]}


def some(states):
    return ["some"] * len(states)


@pytest.mark.parametrize(
    "learner",
    [
        DRQLearner(0.9),
        DRQLearner(0.9, features="splines"),
        DRQLearner(0.9, features="leaves"),
        DRQLearner(0.9, final=HistGradientBoostingRegressor(max_iter=5), ratio="linear", folds=2, sweeps=3),
        FQE(0.9),
        QRegression(0.9),
        MQL(0.9),
        DoubleReinforcementLearning(0.9),
    ],
    ids=lambda learner: f"{type(learner).__name__}-{getattr(learner, 'features', '')}",
)
def test_a_loaded_learner_says_the_same(learner, tmp_path):
    fitted = learner.fit(transitions(), Always("some"))
    again = load(fitted.save(tmp_path / "learner.zip"))
    np.testing.assert_array_equal(again.predict(ASKED), fitted.predict(ASKED))
    np.testing.assert_array_equal(again.predict_value(ASKED), fitted.predict_value(ASKED))
    assert again.value().estimate == fitted.value().estimate
    assert repr(again.get_params()) == repr(fitted.get_params())
    if type(learner) is DRQLearner:
        region = {"small": lambda states: states["tumour"].to_numpy() < 3}
        before, after = (one.contrast(region, "much", "none") for one in (fitted, again))
        np.testing.assert_array_equal(after.value, before.value)
        np.testing.assert_array_equal(after.influence, before.influence)
        assert str(again.diagnostics) == str(fitted.diagnostics)


@pytest.mark.parametrize("learner", [DRQLearner(0.9), ModelBased(0.9), PointwiseDebias(0.9), FQE(0.9)], ids=lambda one: type(one).__name__)
def test_counted_states_too(learner, tmp_path):
    mdp = random_mdp(0)
    data = mdp.sample(np.random.default_rng(1), 40)
    fitted = learner.fit(data, TablePolicy(mdp.policy))
    again = load(fitted.save(tmp_path / "learner.zip"))
    np.testing.assert_array_equal(again.g_.values(data.states), fitted.g_.values(data.states))


def test_a_function_is_left_out_and_can_be_given_again(tmp_path):
    fitted = DRQLearner(0.9).fit(transitions(), FromFunction(lambda states: ["some"] * len(states)))
    path = fitted.save(tmp_path / "learner.zip")
    again = load(path)
    assert again.value().estimate == fitted.value().estimate
    with pytest.raises(UserError, match="given by columns is not known at other states"):
        again.predict_value(ASKED)
    whole = load(path, policy=FromFunction(some))
    np.testing.assert_array_equal(whole.predict_value(ASKED), fitted.predict_value(ASKED))
    with pytest.raises(UserError, match="not the one that was evaluated"):
        load(path, policy=Always("none"))


def test_what_cannot_be_saved_is_refused(tmp_path):
    class Mine:
        def values(self, states):
            return np.zeros((len(states), 3))

    fitted = DRQLearner(0.9, initial_q=Mine()).fit(transitions(), Always("some"))
    with pytest.raises(UserError, match="cannot be saved without pickle"):
        fitted.save(tmp_path / "learner.zip")
    assert not (tmp_path / "learner.zip").exists()


def altered(path, change):
    """The archive with its structure changed."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    stored = json.loads(parts["learner.json"])
    change(stored)
    parts["learner.json"] = json.dumps(stored).encode()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    path.write_bytes(file.getvalue())


@pytest.mark.parametrize("name", ["os:system", "subprocess:Popen", "unseen.outcomes.persist:importlib.import_module", "unseen.cli:main"])
def test_foreign_names_are_refused(name, tmp_path):
    path = FQE(0.9).fit(transitions(), Always("some")).save(tmp_path / "learner.zip")

    def change(stored):
        stored["nodes"][0] = {"class": name, "state": {}}

    altered(path, change)
    with pytest.raises(UserError, match="no saved learner or is damaged"):
        load(path)


def test_a_strangers_model_must_be_trusted(tmp_path):
    import skops.io
    from sklearn.base import BaseEstimator

    class Stranger(BaseEstimator):
        pass

    learner = DRQLearner(0.9, final=HistGradientBoostingRegressor(max_iter=3), ratio="linear", folds=2, sweeps=2)
    path = learner.fit(transitions(), Always("some")).save(tmp_path / "learner.zip")
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    changed = next(name for name in parts if name.startswith("models/"))
    parts[changed] = skops.io.dumps(Stranger())
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    with pytest.raises(UserError, match="is not trusted"):
        load(path)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x05\x06" + bytes(18)])
def test_damaged_files(content, tmp_path):
    path = tmp_path / "learner.zip"
    path.write_bytes(content)
    with pytest.raises(UserError, match="no saved learner or is damaged"):
        load(path)
    with pytest.raises(UserError, match="no file"):
        load(tmp_path / "other.zip")
