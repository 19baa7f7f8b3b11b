"""A cassette gives back exactly what came, asks for nothing that it holds, and loses nothing to a kill."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from endpoint_server import Running, running
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from unseen.errors import UserError
from unseen.planning.models.cassette import Cassette
from unseen.planning.models.contract import Capabilities, Completion, LanguageModel, Message, Usage
from unseen.planning.models.endpoint import EndpointModel
from unseen.planning.models.lines import Header, Recorded, header_line, key, line, read_header, read_line
from unseen.planning.models.request import Request
from unseen.planning.models.tape import TornTape

LOOK = (Message("user", "look"),)
KEY = "sk-never-on-a-tape-4711"


class Counting:
    """Answers with a number that goes up, fails where told to, and keeps what it was asked."""

    def __init__(self, name: str = "counting", failing: Sequence[int] = ()) -> None:
        self.name, self.failing, self.calls, self.asked = name, failing, 0, []

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(token_ids=True, logprobs=True, score=True, parameters=7)

    def generate(self, prompts, **settings) -> list[Completion]:
        self.asked.append((prompts, settings))
        return [self.one() for _ in prompts]

    def one(self) -> Completion:
        self.calls += 1
        if self.calls in self.failing:
            return Completion("", "failed", Usage(0, 0, 0, 0), error="down")
        text = f"answer {self.calls}"
        return Completion(text, "stop", Usage(3, 1, 0, 2, True), (1, 2), ("answer", text[6:]), np.float32([-0.1, -0.7]), (9,))

    def score(self, prompts, continuations, *, temperature=1.0):
        raise AssertionError


def texts(cassette: Cassette, count: int = 1, **settings) -> list[str]:
    return [each.text for each in cassette.generate([LOOK] * count, **{"max_tokens": 5} | settings)]


def same(one: Completion, other: Completion) -> bool:
    if (one.logprobs is None) != (other.logprobs is None):
        return False
    if one.logprobs is not None and one.logprobs.dtype != other.logprobs.dtype:
        return False
    if one.logprobs is not None and one.logprobs.tobytes() != other.logprobs.tobytes():
        return False
    return one._replace(logprobs=None) == other._replace(logprobs=None)


def test_what_was_recorded_is_replayed_without_a_model(tmp_path):
    tape = tmp_path / "folder" / "tape.jsonl"
    model = Counting(failing=[3])
    with Cassette(model, tape, "record") as cassette:
        assert isinstance(cassette, LanguageModel)
        told = [*cassette.generate([LOOK, LOOK], max_tokens=5), *cassette.generate([LOOK], max_tokens=5, temperature=0.5)]
        again = cassette.generate([LOOK], max_tokens=5)
        assert again[0].text == "answer 4"
    with Cassette(None, tape, "replay") as replay:
        assert (replay.name, replay.capabilities) == ("counting", Capabilities(True, True, parameters=7))
        back = [*replay.generate([LOOK, LOOK], max_tokens=5), *replay.generate([LOOK], max_tokens=5, temperature=0.5)]
        assert all(same(*pair) for pair in zip(told, back))
        assert back[2].error == "down"
        assert same(replay.generate([LOOK], max_tokens=5)[0], again[0])  # the second time that the first prompt was asked
    assert model.calls == 4


def test_the_kth_time_gives_the_kth_answer(tmp_path):
    with Cassette(Counting(), tmp_path / "tape", "auto") as cassette:
        assert texts(cassette, 2, seed=[1, 1]) + texts(cassette, seed=[1]) == ["answer 1", "answer 2", "answer 3"]
    replay = Cassette(None, tmp_path / "tape", "replay")
    assert [texts(replay, seed=1) for _ in range(3)] == [["answer 1"], ["answer 2"], ["answer 3"]]
    for _ in range(2):
        with pytest.raises(UserError, match="3 answers"):
            texts(replay, seed=1)


def test_auto_asks_for_what_is_not_there_and_again_for_what_failed(tmp_path):
    with Cassette(Counting(failing=[2]), tmp_path / "tape") as first:
        assert texts(first, 3) == ["answer 1", "", "answer 3"]
    model = Counting()
    with Cassette(model, tmp_path / "tape") as second:
        assert texts(second, 4) == ["answer 1", "answer 1", "answer 3", "answer 2"]
    ((_, settings),) = model.asked
    assert len(settings["seed"]) == 2  # those of places 1 and 3
    assert texts(Cassette(None, tmp_path / "tape", "replay"), 4) == ["answer 1", "answer 1", "answer 3", "answer 2"]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"temperature": 0.7}, "temperature 0.7, on tape 1.0"),
        ({"max_tokens": 6, "seed": 4}, "max_tokens 6, on tape 5; seed 4, on tape 0"),
        ({"force": "<plan>"}, "force '<plan>', on tape None"),
        ({"stop": ["a"]}, r"stop \['a'\], on tape \[\]"),
        ({"prompts": [(Message("user", "loop"),)]}, "message 1 from character 3 is 'p', on tape 'k'"),
        ({"prompts": [(Message("system", "look"),)]}, "message 1 is the system's, on tape the user's"),
        ({"prompts": [LOOK * 2]}, "2 messages, on tape 1"),
    ],
)
def test_what_is_not_on_tape_is_said(tmp_path, settings, says):
    with Cassette(Counting(), tmp_path / "tape") as cassette:
        cassette.generate([LOOK, (Message("user", "quite another"),)], max_tokens=5)
    replay = Cassette(None, tmp_path / "tape", "replay")
    with pytest.raises(UserError, match=says):
        replay.generate(**{"prompts": [LOOK], "max_tokens": 5} | settings)
    assert texts(replay) == ["answer 1"]


def test_a_torn_last_line_is_dropped_and_recording_goes_on(tmp_path):
    tape = tmp_path / "tape"
    with Cassette(Counting(), tape) as cassette:
        texts(cassette, 2)
    whole = tape.read_bytes()
    header = whole.index(b"\n")
    for cut in (1, header - 1, header + 2, header + 30, len(whole) - 2):
        tape.write_bytes(whole[:cut])
        if cut > header:
            with pytest.warns(TornTape, match="torn"):
                Cassette(None, tape, "replay")
            assert tape.read_bytes() == whole[:cut]
        with pytest.warns(TornTape, match="torn"):
            cassette = Cassette(Counting(), tape)
        with cassette:
            kept = 1 if cut > len(whole) - 5 else 0
            assert texts(cassette, 2) == (["answer 1", "answer 1"] if kept else ["answer 1", "answer 2"])
        assert len(tape.read_bytes().splitlines()) == 3
    tape.write_bytes(whole[:-1])  # whole but for its line break
    with Cassette(Counting(), tape) as cassette:
        assert texts(cassette, 3) == ["answer 1", "answer 2", "answer 1"]
    assert len(tape.read_bytes().splitlines()) == 4


@pytest.mark.parametrize("damage", [b"{}", b"", b"[", b"\x00\xff", b"[" * 100_000, b'{"asked": {}, "came": 3}'])
def test_a_damaged_line_is_named(tmp_path, damage):
    tape = tmp_path / "tape"
    with Cassette(Counting(), tape) as cassette:
        texts(cassette, 3)
    lines = tape.read_bytes().split(b"\n")
    lines[2] = damage
    tape.write_bytes(b"\n".join(lines))
    before = tape.read_bytes()
    for mode in ("auto", "replay"):
        with pytest.raises(UserError, match="line 3 of"):
            Cassette(Counting(), tape, mode)
    assert tape.read_bytes() == before


def test_files_that_are_no_tapes_are_left_alone(tmp_path):
    tape = tmp_path / "notes"
    for text in ("my notes", "my notes\n", '{"cassette": 99}\n', '{"cassette": 1}\n'):
        tape.write_text(text)
        with pytest.raises(UserError, match=r"not a cassette|line 1"):
            Cassette(Counting(), tape)
        assert tape.read_text() == text
    for path, mode in ((tmp_path / "none", "replay"), (tmp_path, "replay"), (tmp_path, "auto")):
        with pytest.raises(UserError):
            Cassette(Counting(), path, mode)
    (tmp_path / "empty").touch()
    with pytest.raises(UserError, match="nothing on"):
        Cassette(None, tmp_path / "empty", "replay")


def test_modes_and_models_that_do_not_fit(tmp_path):
    tape = tmp_path / "tape"
    with Cassette(Counting(), tape) as cassette:
        texts(cassette)
        with pytest.raises(UserError, match="another cassette"):
            Cassette(Counting(), tape)
        with pytest.raises(UserError, match="scores"):
            cassette.score([LOOK], ["a"])
    with pytest.raises(UserError, match="closed"):
        texts(cassette)
    with pytest.raises(UserError, match="no model"):
        Cassette(None, tape)
    with pytest.raises(UserError, match="a recording already"):
        Cassette(Counting(), tape, "record")
    with pytest.raises(UserError, match="answers of counting"):
        Cassette(Counting("another"), tape)
    with Cassette(Counting(), tape) as cassette:  # the refusals let go of the lock
        assert texts(cassette) == ["answer 1"]


class Breaking(Counting):
    """Tells its answers as they come, out of order, and breaks in the middle."""

    def arriving(self, asked: Sequence[Request]) -> Iterator[tuple[int, Completion]]:
        for place in reversed(range(len(asked))):
            if self.calls == 2:
                raise UserError("no permission")
            yield place, self.one()


def test_what_came_before_an_error_is_on_tape_in_its_place(tmp_path):
    model = Breaking()
    with Cassette(model, tmp_path / "tape") as cassette:
        with pytest.raises(UserError, match="no permission"):
            texts(cassette, 3, seed=[1, 1, 1])
        model.calls = 10
        assert texts(cassette, 3, seed=[1, 1, 1]) == ["answer 11", "answer 2", "answer 1"]
    assert texts(Cassette(None, tmp_path / "tape", "replay"), 3, seed=[1, 1, 1]) == ["answer 11", "answer 2", "answer 1"]


def test_no_room_leaves_the_tape_whole(tmp_path, monkeypatch):
    write, tape = os.write, tmp_path / "tape"

    def half(descriptor: int, data: bytes) -> int:
        if len(data) < 60:
            raise OSError(28, "No space left on device")
        return write(descriptor, data[: len(data) - 50])

    with Cassette(Counting(), tape) as cassette:
        texts(cassette)
        before = tape.read_bytes()
        monkeypatch.setattr(os, "write", half)
        with pytest.raises(UserError, match="no space left"):
            texts(cassette)
        assert tape.read_bytes() == before
        monkeypatch.undo()
        texts(cassette)
    assert texts(Cassette(None, tape, "replay"), 1) == ["answer 1"]


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running() as up:
        yield up


def test_an_endpoint_is_replayed_offline_and_its_key_is_not_on_tape(server, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    prompts = [(Message("user", f"as {kind}"),) for kind in ("fine", "thinking", "echoing", "echoing-text", "unclosed", "lying", "empty")]
    with (
        EndpointModel(server.url, "by-prompt", retries=0, logprobs=True) as model,
        Cassette(model, tmp_path / "tape", "record") as cassette,
    ):
        told = cassette.generate(prompts, max_tokens=20)
        name, capabilities = cassette.name, cassette.capabilities
    monkeypatch.delenv("OPENAI_API_KEY")
    replay = Cassette(None, tmp_path / "tape", "replay")
    assert all(same(*pair) for pair in zip(told, replay.generate(prompts, max_tokens=20)))
    assert (replay.name, replay.capabilities) == (name, capabilities)
    assert KEY not in (tmp_path / "tape").read_text()
    assert "[key]" in (tmp_path / "tape").read_text()


KILLED = """
import sys
from unseen.planning.models.cassette import Cassette
from unseen.planning.models.contract import Message
from unseen.planning.models.endpoint import EndpointModel
model = EndpointModel(sys.argv[1], "by-prompt", key_variable=None, timeout_s=30.0, concurrency=4)
names = ["fine"] * 3 + ["delayed"]
Cassette(model, sys.argv[2]).generate([[Message("user", "as " + name)] for name in names], max_tokens=5)
"""


def test_a_kill_in_the_middle_of_a_batch_loses_nothing_that_came(server, tmp_path):
    tape = tmp_path / "tape"
    environment = os.environ | {"NO_PROXY": "127.0.0.1"}
    with subprocess.Popen([sys.executable, "-c", KILLED, server.url, str(tape)], env=environment) as process:
        while not (tape.exists() and tape.read_bytes().count(b"\n") == 4):
            assert process.poll() is None
        process.kill()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TornTape)
        replay = Cassette(None, tape, "replay")
    came = replay.generate([(Message("user", "as fine"),)] * 3, max_tokens=5)
    assert [each.text for each in came] == ["echo as fine"] * 3


COUNTS = st.integers(0, 10**9)
LOGPROBS = st.sampled_from([np.float16, np.float32, np.float64]).flatmap(
    lambda kind: hnp.arrays(kind, st.integers(0, 5), elements=hnp.from_dtype(np.dtype(kind), allow_nan=False))
)
REQUESTS = st.builds(
    Request,
    st.lists(st.builds(Message, st.sampled_from(["system", "user", "assistant"]), st.text()), max_size=3).map(tuple),
    st.integers(1, 10**6),
    st.lists(st.text(), max_size=2).map(tuple),
    st.floats(0, 10),
    st.floats(0, 1, exclude_min=True),
    st.integers(0, 2**31),
    st.none() | st.text(min_size=1),
    st.none() | st.text(min_size=1),
)
IDS = st.none() | st.lists(COUNTS, max_size=4).map(tuple)
COMPLETIONS = st.builds(
    Completion,
    st.text(),
    st.sampled_from(["stop", "length", "failed"]),
    st.builds(Usage, COUNTS, COUNTS, COUNTS, COUNTS, st.booleans()),
    IDS,
    st.none() | st.lists(st.text(), max_size=4).map(tuple),
    st.none() | LOGPROBS,
    IDS,
    st.text(),
)


@given(REQUESTS, COUNTS, COMPLETIONS)
def test_a_line_gives_back_what_was_written(request_, time, completion):
    text = line(Recorded(request_, time, completion))
    assert text.count(b"\n") == 1
    back = read_line(text)
    assert (back.request, back.time) == (request_, time)
    assert same(back.completion, completion)
    assert key(back.request) == key(request_)


@given(REQUESTS, REQUESTS)
def test_keys_differ_where_requests_do(one, other):
    assert (key(one) == key(other)) == (one == other)


@given(st.text(), st.builds(Capabilities, *[st.booleans()] * 6, st.none() | COUNTS))
def test_a_header_gives_back_what_was_written(name, capabilities):
    assert read_header(header_line(Header(name, capabilities))) == Header(name, capabilities)


@given(
    st.binary(max_size=80)
    | st.dictionaries(st.sampled_from(["asked", "came", "time", "cassette"]), st.none() | st.text()).map(lambda d: str(d).encode())
)
def test_any_other_line_is_a_value_error(text):
    for read in (read_line, read_header):
        with pytest.raises(ValueError, match=r"."):
            read(text)


def test_numbers_of_numpy_are_recorded(tmp_path: Path):
    completion = Completion("a", "stop", Usage(1, 0, 0, 1), tuple(np.array([4, 5])))
    assert read_line(line(Recorded(Request(LOOK, 5), 0, completion))).completion.token_ids == (4, 5)
