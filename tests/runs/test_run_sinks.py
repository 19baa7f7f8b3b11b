"""Sinks open by name, a typo gets the nearest name, a missing package gets the command that installs it."""

import importlib.util

import pytest

from unseen.errors import UserError
from unseen.runs import sinks


def test_none_asked_for_none_opened(tmp_path):
    assert sinks.open_sinks([], tmp_path) == ()


def test_a_typo_gets_the_nearest_name(tmp_path):
    with pytest.raises(UserError, match="unknown sink 'tensorbord'; did you mean 'tensorboard'"):
        sinks.open_sinks(["tensorbord"], tmp_path)


def test_a_missing_package_gets_an_install_hint(tmp_path, monkeypatch):
    plain = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *args: None if name == "tensorboard" else plain(name, *args))
    with pytest.raises(UserError, match=r"pip install 'unseen\[track\]'"):
        sinks.open_sinks(["tensorboard"], tmp_path)


def test_tensorboard_reads_back_what_was_written(tmp_path):
    pytest.importorskip("tensorboard", reason="optional extra 'track'")
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    (sink,) = sinks.open_sinks(["tensorboard"], tmp_path)
    assert isinstance(sink, sinks.Sink)
    sink.write(100, {"return": 0.5, "loss": 2.0})
    sink.write(200, {"return": 0.75})
    sink.close()
    (file,) = (tmp_path / "tensorboard").iterdir()
    events = [(e.step, v.tag, v.simple_value) for e in LegacyEventFileLoader(str(file)).Load() for v in e.summary.value]
    assert events == [(100, "return", 0.5), (100, "loss", 2.0), (200, "return", 0.75)]
