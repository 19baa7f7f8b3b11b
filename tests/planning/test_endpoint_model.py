"""An endpoint that delays, drops, truncates and lies gives completions all the same, or says what is wrong; the key is shown nowhere."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
import pytest
from endpoint_server import LONG, UNCLOSED, Running, running
from hypothesis import given, settings
from hypothesis import strategies as st

from unseen.errors import UserError
from unseen.planning.grammar import parse
from unseen.planning.models import answers
from unseen.planning.models.access import address
from unseen.planning.models.contract import Completion, LanguageModel, Message, Usage
from unseen.planning.models.endpoint import EndpointModel
from unseen.planning.models.failures import Final, Passing, refusal, seconds
from unseen.planning.models.prices import Price
from unseen.planning.models.request import Request, one_seed

KEY = "sk-do-not-show/me+anywhere-4711"


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running() as up:
        yield up


@pytest.fixture(autouse=True)
def environment(monkeypatch, server):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server.look("/forget")


def model(server: Running, name: str, **options) -> EndpointModel:
    return EndpointModel(server.url, name, **{"timeout_s": 5.0, "retries": 2, "backoff_s": 0.01, "max_backoff_s": 2.0} | options)


def prompt(text: str = "look") -> list[Message]:
    return [Message("system", "play"), Message("user", text)]


def ask(server: Running, name: str, text: str = "look", **options) -> Completion:
    with model(server, name, **options) as asked:
        return asked.generate([prompt(text)], max_tokens=20)[0]


def test_a_request_is_what_the_reference_says(server):
    with model(server, "fine", extra={"reasoning_effort": "low"}, max_tokens_field="max_completion_tokens") as asked:
        assert isinstance(asked, LanguageModel)
        assert asked.name == 'fine reasoning_effort="low"'
        (came,) = asked.generate([prompt()], max_tokens=9, temperature=0.5, top_p=0.9, seed=3, stop=["north"])
    assert came == Completion("echo look", "stop", Usage(7, 0, 0, 2))
    (seen,) = server.look()["seen"]
    assert seen["path"] == "/v1/chat/completions"
    assert seen["authorization"] == f"Bearer {KEY}"
    assert seen["body"] == {
        "model": "fine",
        "messages": [{"role": "system", "content": "play"}, {"role": "user", "content": "look"}],
        "max_completion_tokens": 9,
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 3,
        "reasoning_effort": "low",
    }


def test_order_concurrency_and_settings_of_each_prompt(server):
    names = [f"prompt {k}" for k in range(12)]
    with model(server, "slow", concurrency=3) as asked:
        came = asked.generate([prompt(name) for name in names], max_tokens=list(range(1, 13)), seed=list(range(100, 112)))
        assert asked.generate([], max_tokens=1) == []
    assert [each.text for each in came] == [f"echo {name}" for name in names]
    assert 2 <= server.look()["most"] <= 3
    sent = {body["messages"][1]["content"]: (body["max_tokens"], body["seed"]) for body in server.bodies()}
    assert sent == {name: (k + 1, 100 + k) for k, name in enumerate(names)}


def test_one_seed_for_all_differs_by_place(server):
    with model(server, "fine") as asked:
        asked.generate([prompt()] * 4, max_tokens=5, seed=11)
    sent = {body["seed"] for body in server.bodies()}
    assert len(sent) == 4
    assert 11 in sent
    assert all(0 <= seed < 2**31 for seed in (*sent, one_seed(-1, 0), one_seed(2**70, 0)))


@pytest.mark.parametrize("name", ["dropping-once", "broken-twice"])
def test_what_passes_by_is_tried_again(server, name):
    assert ask(server, name).text == "echo look"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("delayed", "no answer in 0.3 s"),
        ("dripping", "no whole answer in 0.3 s"),
        ("dropping", "no connection"),
        ("truncating", "no connection"),
        ("malformed", "no JSON"),
        ("nothing", "no choices"),
        ("broken", "HTTP 500: out of memory"),
        ("page", "HTTP 502 (tried"),
    ],
)
def test_after_the_last_try_a_completion_has_failed(server, name, says):
    came = ask(server, name, retries=1, timeout_s=0.3 if name in ("delayed", "dripping") else 5.0)
    assert (came.text, came.finish_reason, came.usage) == ("", "failed", Usage(0, 0, 0, 0))
    assert says in came.error
    assert "tried 2 times" in came.error
    assert len(server.bodies()) == 2


def test_a_server_that_is_not_there():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        with EndpointModel(url, "any", retries=1, backoff_s=0.01) as asked:
            (came,) = asked.generate([prompt()], max_tokens=5)
    assert came.finish_reason == "failed"
    assert "no connection" in came.error


def test_others_of_the_batch_go_on(server):
    with model(server, "by-prompt", retries=0) as asked:
        came = asked.generate([prompt(f"as {kind}") for kind in ("fine", "broken", "too-short", "fine", "endless")], max_tokens=5)
    assert [each.finish_reason for each in came] == ["stop", "failed", "failed", "stop", "failed"]
    assert "context length" in came[2].error
    assert "was cut" in came[4].error


def test_retry_after_is_kept_and_bounded(server):
    began = time.monotonic()
    assert ask(server, "busy-once").text == "echo look"
    assert time.monotonic() - began >= 1
    began = time.monotonic()
    assert "slow down" in ask(server, "busy-for-a-year", retries=1, max_backoff_s=0.1).error
    assert time.monotonic() - began < 5


def test_retry_after_is_read():
    now = datetime(2025, 1, 1, 12, tzinfo=UTC)
    assert seconds("Wed, 01 Jan 2025 12:00:30 GMT", now) == 30
    assert seconds("Wed, 01 Jan 2025 11:00:00 GMT", now) == 0
    assert (seconds("2.5"), seconds("-1"), seconds("soon"), seconds("nan"), seconds(None)) == (2.5, 0, None, None, None)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("locked", "OPENAI_API_KEY"),
        ("absent", "no model 'absent'"),
        ("picky", "no temperature for you"),
        ("moved", "give the URL that it moved to"),
    ],
)
def test_what_cannot_work_is_an_error_of_one_line_at_once(server, name, says):
    with pytest.raises(UserError) as caught:
        ask(server, name)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 450
    assert len(server.bodies()) == 1


def test_what_came_before_an_error_is_not_lost(server):
    asked = [Request(tuple(prompt(f"as {kind}")), 5) for kind in ("fine", "locked", "slow")]
    came = {}
    with model(server, "by-prompt") as endpoint, pytest.raises(UserError, match="HTTP 401"):
        came.update((place, completion.text) for place, completion in endpoint.arriving(asked))
    assert came == {0: "echo as fine", 2: "echo as slow"}


def test_the_key_is_shown_nowhere(server, capfd, caplog, monkeypatch):
    caplog.set_level(0)
    shown = []
    with model(server, "echoing", price=Price(1.0, 0.5, 2.0)) as asked:
        shown += [repr(asked), asked.name, str(vars(asked)), *asked.generate([prompt()], max_tokens=5)]
    shown += [ask(server, "echoing-text"), ask(server, "dropping")]
    with pytest.raises(UserError) as caught:
        ask(server, "locked")
    with pytest.raises(UserError) as named:
        EndpointModel(server.url, "fine", key_variable=KEY)
    with pytest.raises(UserError) as carried:
        EndpointModel(server.url, "fine", extra={"token": KEY})
    with pytest.raises(UserError) as lower:
        EndpointModel(server.url, "fine", key_variable="gsk_abc")  # a key that could be a name
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\n\x01{KEY}")
    with pytest.raises(UserError) as illegal:
        model(server, "fine")
    raised = [repr(error.value) for error in (caught, named, carried, lower, illegal)]
    everything = " ".join([*map(str, shown), *raised, caplog.text, *capfd.readouterr()])
    assert "[key]" in everything
    assert KEY not in everything
    assert KEY.replace("/", "%2F").replace("+", "%2B") not in everything
    assert "gsk_abc" not in everything


def test_a_missing_key_is_named_before_the_first_call(server, monkeypatch):
    asked = model(server, "fine")
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(UserError, match="OPENAI_API_KEY is not set"):
        model(server, "fine")
    with asked, pytest.raises(UserError, match="OPENAI_API_KEY is not set"):
        asked.generate([prompt()], max_tokens=5)
    assert server.bodies() == []
    assert ask(server, "fine", key_variable=None).text == "echo look"
    assert server.look()["seen"][0]["authorization"] is None


def test_odd_texts_are_texts(server):
    assert ask(server, "empty")[:2] == ("", "stop")
    assert ask(server, "mislabelled").text == "fine"
    assert ask(server, "unclosed")[:2] == (UNCLOSED, "length")
    assert parse(UNCLOSED).unclosed
    assert ask(server, "long").text == LONG


def test_usage_is_told_or_estimated(server):
    assert ask(server, "thinking")[:3] == ("north", "stop", Usage(20, 16, 25, 5))
    assert ask(server, "lying", "1234567890").usage == Usage(4, 0, 0, 2, estimated=True)


def usage(told: object, **message) -> Usage:
    choice = {"message": {"content": "12345678", **message}, "finish_reason": "stop"}
    return answers.read(json.dumps({"choices": [choice], "usage": told}).encode(), Request(tuple(prompt("12345678")), 5)).usage


def test_usage_that_cannot_be_true_is_estimated():
    told = {"prompt_tokens": 9, "completion_tokens": 4}
    assert usage(told) == usage(told | {"prompt_tokens_details": None, "completion_tokens_details": {}}) == Usage(9, 0, 0, 4)
    estimated = Usage(3, 0, 0, 2, estimated=True)
    lies = [
        None,
        [],
        told | {"prompt_tokens": True},
        told | {"prompt_tokens": 0},
        told | {"completion_tokens": 1.5},
        told | {"completion_tokens": float("nan")},
        told | {"completion_tokens": 10**400},
        told | {"completion_tokens": 0},
        told | {"completion_tokens_details": {"reasoning_tokens": 5}},
        told | {"prompt_tokens_details": {"cached_tokens": 10}},
    ]
    for lie in lies:
        assert usage(lie) == estimated
    assert usage(None, reasoning="1234") == Usage(3, 0, 1, 2, estimated=True)
    assert usage(told, reasoning_content="12345678") == Usage(9, 0, 2, 2, estimated=True)


def test_vllm_is_made_to_begin_and_kept_from_writing(server):
    with model(server, "fine", dialect="vllm") as asked:
        assert asked.capabilities.force
        assert asked.capabilities.forbid
        came = asked.generate([prompt(), prompt("b")], max_tokens=5, force=["<plan>", None], forbid=[None, "<plan>"])
        (broken,) = asked.generate([prompt()], max_tokens=5, forbid="echo")
    assert [each.text for each in came] == ["<plan>echo <plan>", "echo b"]
    assert broken.finish_reason == "failed"
    assert broken.usage.output == 2
    forced, forbidden = sorted(server.bodies()[:2], key=lambda body: "bad_words" in body)
    assert forced["messages"][-1] == {"role": "assistant", "content": "<plan>"}
    assert (forced["continue_final_message"], forced["add_generation_prompt"]) == (True, False)
    assert forbidden["bad_words"] == ["<plan>"]
    assert "continue_final_message" not in forbidden


def test_openai_cannot_be_steered_and_nobody_scores(server):
    with model(server, "fine") as asked:
        assert asked.capabilities == (False,) * 6 + (None,)
        for steered in ({"force": "<plan>"}, {"forbid": "<plan>"}):
            with pytest.raises(UserError, match="vllm"):
                asked.generate([prompt()], max_tokens=5, **steered)
        with pytest.raises(UserError, match="scores no"):
            asked.score([prompt()], ["north"])


def test_logprobs_where_they_are_those_of_the_contract(server):
    with model(server, "fine", logprobs=True) as asked:
        assert asked.capabilities.logprobs
        (plain,) = asked.generate([prompt()], max_tokens=5)
        (warm,) = asked.generate([prompt()], max_tokens=5, temperature=0.7)
    assert plain.pieces == tuple("echo look")
    np.testing.assert_array_equal(plain.logprobs, [-0.5] * 9)
    assert (warm.pieces, warm.logprobs) == (None, None)
    for content in (
        [{"token": "ech", "logprob": -1}],
        [{"token": "echo", "logprob": 1}],
        [{"token": "echo", "logprob": -(10**400)}],
        [3],
        "x",
    ):
        body = {"choices": [{"message": {"content": "echo"}, "logprobs": {"content": content}}]}
        assert answers.read(json.dumps(body).encode(), Request(tuple(prompt()), 5), logprobs=True).pieces is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["content", "message", "error", "token", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
CHOICE = st.fixed_dictionaries(
    {},
    optional={
        "message": JSON | st.fixed_dictionaries({}, optional={"content": JSON, "reasoning_content": JSON}),
        "finish_reason": JSON | st.sampled_from(["stop", "length", "content_filter", "abort"]),
        "logprobs": JSON
        | st.fixed_dictionaries({"content": st.lists(st.fixed_dictionaries({"token": JSON, "logprob": JSON}), max_size=2)}),
    },
)
COUNTS = st.dictionaries(
    st.sampled_from(["prompt_tokens", "completion_tokens"]), JSON | st.fixed_dictionaries({"reasoning_tokens": JSON, "cached_tokens": JSON})
)
ANSWER = JSON | st.fixed_dictionaries({}, optional={"choices": st.lists(CHOICE, max_size=2), "usage": JSON | COUNTS, "error": JSON})


@settings(max_examples=150)
@given(ANSWER, st.sampled_from([None, "<plan>"]))
def test_any_json_is_read_or_tried_again(answer, force):
    body = json.dumps(answer).encode()
    refused = refusal(400, body, None, model="m", address="a", variable=None, key=KEY)
    assert isinstance(refused, Final | UserError)
    try:
        came = answers.read(body, Request(tuple(prompt()), 5, force=force), KEY, logprobs=True)
    except (Passing, Final):
        return
    came.text.encode()
    assert came.finish_reason in ("stop", "length")
    assert min(came.usage) >= 0
    if came.pieces is not None:
        assert "".join(came.pieces) == came.text
        assert came.logprobs.shape == (len(came.pieces),)


@given(st.binary(max_size=60) | st.just(b"[" * 200_000) | st.just(b'{"choices": ' + b"9" * 5000 + b"}") | st.just(b'"\xff"'))
def test_any_bytes_are_read_or_tried_again(body):
    with pytest.raises(Passing):
        answers.read(body, Request(tuple(prompt()), 5), KEY)
    assert isinstance(refusal(500, body, None, model="m", address="a", variable=None, key=KEY), Passing)


def test_half_a_surrogate_pair_and_a_withheld_answer():
    body = b'{"choices": [{"message": {"content": "a\\ud800b"}, "finish_reason": %s}]}'
    assert answers.read(body % b"null", Request(tuple(prompt()), 5)).text == "a\ufffdb"
    with pytest.raises(Final, match="withheld"):
        answers.read(body % b'"content_filter"', Request(tuple(prompt()), 5))


def test_urls():
    assert address("https://x.org/v1/") == "https://x.org/v1/chat/completions"
    assert address("http://[::1]:80") == "http://[::1]:80/chat/completions"
    for url in ("x.org/v1", "ftp://x.org", "http://", "http://x.org:99999", "http://[", "http://a b", "http://x.org/v1/chat/completions"):
        with pytest.raises(UserError, match=r"http://127|leave"):
            address(url)
    for url in ("http://u:geheim@x.org", "http://geheim@x.org", "http://x.org?key=geheim", "http://x.org/#geheim"):
        with pytest.raises(UserError) as caught:
            address(url)
        assert "geheim" not in str(caught.value)
    with pytest.raises(UserError, match="is no URL"):
        EndpointModel("http://1.2.3.999/v1", "any")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"concurrency": 0}, "concurrency is 0"),
        ({"retries": -1}, "retries is -1"),
        ({"timeout_s": 0.0}, "timeout_s is 0"),
        ({"backoff_s": float("nan")}, "backoff_s is nan"),
        ({"extra": {"n": 2}}, "'n'"),
        ({"extra": {"x": {1}}}, "no JSON"),
    ],
)
def test_settings_that_are_not_allowed(server, options, says):
    with pytest.raises(UserError, match=says):
        model(server, "fine", **options)


@pytest.mark.parametrize(
    ("options", "says"),
    [({"temperature": -1.0}, "temperature"), ({"top_p": 0.0}, "top_p"), ({"max_tokens": 0}, "max_tokens"), ({"forbid": ""}, "forbid")],
)
def test_arguments_that_are_not_allowed(server, options, says):
    with model(server, "fine") as asked, pytest.raises(UserError, match=says):
        asked.generate([prompt()], **{"max_tokens": 5} | options)


def test_a_proxy_that_cannot_be_used_is_not_repeated(server, monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "nonsense://user:geheim@there")
    with pytest.raises(UserError, match="ALL_PROXY") as caught:
        model(server, "fine")
    assert "geheim" not in str(caught.value)


def test_a_closed_model_says_so(server):
    with model(server, "fine") as asked:
        pass
    with pytest.raises(UserError, match="closed"):
        asked.generate([prompt()], max_tokens=5)


def test_prices(tmp_path, server):
    price = Price(2.0, 0.5, 10.0)
    assert price.cost(Usage(1_000_000, 400_000, 30_000, 70_000)) == pytest.approx(1.2 + 0.2 + 1.0)
    with model(server, "fine", price=price) as asked, model(server, "fine") as free:
        assert asked.cost(Usage(500_000, 0, 0, 0)) == 1.0
        assert free.cost(Usage(1, 0, 0, 0)) is None
    table = tmp_path / "prices.toml"
    table.write_text('["my-model"]\nprompt = 2\ncached = 0.5\noutput = 10\n[other]\nprompt = 1.0\noutput = 1.0\n')
    assert Price.read(table) == {"my-model": price, "other": Price(1.0, 1.0, 1.0)}
    assert Price.read() == {}
    for text, says in (
        ("a = 1", "table"),
        ("[a]\nprompt = -1", "prompt of a"),
        ("[a]\npromt = 1", "prompt"),
        ("[a]\nprompt = 1", "output"),
        ("=", "TOML"),
    ):
        table.write_text(text)
        with pytest.raises(UserError, match=says):
            Price.read(table)
    with pytest.raises(UserError, match="cannot read"):
        Price.read(tmp_path / "none.toml")
