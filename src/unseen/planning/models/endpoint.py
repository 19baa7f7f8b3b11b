"""A language model behind an OpenAI-compatible URL: vLLM, llama.cpp, hosted ones.

Source: OpenAI's reference of POST /chat/completions; vLLM's of its additions, `continue_final_message` and `bad_words`.
"""

from __future__ import annotations

import json
import weakref
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from threading import Event
from typing import Any, Literal, get_args

from unseen.errors import UserError, unknown
from unseen.planning.models import answers
from unseen.planning.models.access import address, hide_secret, key_from
from unseen.planning.models.connection import Connection
from unseen.planning.models.contract import Capabilities, Completion, Prompt, Scored, Usage
from unseen.planning.models.failures import Final, Passing, failed, refusal
from unseen.planning.models.prices import Price
from unseen.planning.models.request import Request, requests

try:
    import tenacity
except ModuleNotFoundError as missing:
    raise UserError("endpoints need httpx and tenacity; install them with: pip install 'unseen[endpoint]'") from missing

Dialect = Literal["openai", "vllm"]
MaxTokensField = Literal["max_tokens", "max_completion_tokens"]

_OURS = {"model", "messages", "temperature", "top_p", "seed", "stop", "n", "stream", "logprobs", *get_args(MaxTokensField)}
_OURS |= {"add_generation_prompt", "continue_final_message", "echo", "bad_words"}


class EndpointModel:
    """Asks a server over HTTP, many prompts at a time, and again where what failed may pass by.

    Tried again, with waits that double (or as long as Retry-After says): no connection, no answer in time, HTTP 408, 409, 425, 429 and
    5xx, and answers that are torn, no JSON, or without what is promised. After the last try the completion has failed, and says why; the
    others of the batch go on. At once failed, because asking again brings nothing: a prompt too long for the model, an answer that was
    withheld, one larger than 4 MB, one with what was forbidden. An error: a key that is missing or refused, no such model, a setting that
    the server does not take; prompts in flight are waited for all the same.

    The words of `stop` are not sent: servers leave them out of the output. Hidden reasoning is no part of a text; its tokens are counted.
    Tokens that the server does not tell, or that cannot be true, are estimated (`Usage.estimated`).

    Log-probabilities that servers tell are the model's own. Those that the contract promises, after temperature, top-p and what was
    forbidden, are the same ones only where these change nothing: elsewhere, and after a forced beginning, they are None.

    Args:
        url: with the version, as in "http://127.0.0.1:8000/v1"; no user, no password.
        model: as the server calls it.
        key_variable: the environment variable with the key; None for servers without. The key is read when needed and kept nowhere.
        concurrency: prompts in flight at once, however many threads ask.
        timeout_s: seconds for an answer to come, from one try's beginning to its end.
        retries: tries after the first.
        backoff_s: seconds before the first of them; the waits double, and have as much again at random.
        max_backoff_s: that is waited at most, also where the server wants more.
        price: of its tokens, for `cost`.
        dialect: "vllm" can be made to begin with a text, and be kept from writing one; "openai" cannot.
        extra: more fields of a request, such as {"reasoning_effort": "low"}. They are part of the model's name.
        logprobs: whether to ask for tokens and their log-probabilities.
        max_tokens_field: what the server calls the limit.

    Raises:
        UserError: a setting that is not allowed, or no key.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        key_variable: str | None = "OPENAI_API_KEY",
        concurrency: int = 8,
        timeout_s: float = 60.0,
        retries: int = 5,
        backoff_s: float = 1.0,
        max_backoff_s: float = 60.0,
        price: Price | None = None,
        dialect: Dialect = "openai",
        extra: Mapping[str, Any] | None = None,
        logprobs: bool = False,
        max_tokens_field: MaxTokensField = "max_tokens",
    ) -> None:
        for name, value, least in (("concurrency", concurrency, 1), ("retries", retries, 0)):
            if value < least:
                raise UserError(f"{name} is {value}; give {least} or more")
        for name, value in (("timeout_s", timeout_s), ("backoff_s", backoff_s), ("max_backoff_s", max_backoff_s)):
            if not 0 <= value < 1e6 or (name == "timeout_s" and value == 0):
                raise UserError(f"{name} is {value}; give a number of seconds")
        for kind, value, allowed in (("dialect", dialect, Dialect), ("max_tokens_field", max_tokens_field, MaxTokensField)):
            if value not in get_args(allowed):
                raise unknown(kind, value, get_args(allowed))
        if not model:
            raise UserError("the model's name is empty; give the name under which the server has it")
        where, key = address(url), key_from(key_variable)  # a missing key is named now, not after an hour
        self._model, self._variable, self._extra = model, key_variable, _checked(extra or {})
        if hide_secret(told := f"{where} {self.name}", key) != told:
            raise UserError("the key stands in the URL, the model or extra, which are shown; leave it out, it goes into a header by itself")
        self._retries, self._backoff_s, self._max_backoff_s = retries, backoff_s, max_backoff_s
        self._dialect, self._logprobs, self._limit = dialect, logprobs, max_tokens_field
        self.price = price
        self._connection = Connection(where, timeout_s, concurrency)
        self._pool = ThreadPoolExecutor(concurrency, "endpoint")
        self._end = weakref.finalize(self, _end, self._connection, self._pool)

    @property
    def name(self) -> str:
        """The model's name, and what `extra` makes of it."""
        return " ".join([self._model, *(f"{field}={json.dumps(value, sort_keys=True)}" for field, value in sorted(self._extra.items()))])

    @property
    def capabilities(self) -> Capabilities:
        steered = self._dialect == "vllm"
        return Capabilities(logprobs=self._logprobs, force=steered, forbid=steered)

    def __repr__(self) -> str:
        return f"EndpointModel({self._connection.address.removesuffix('/chat/completions')!r}, {self.name!r}, dialect={self._dialect!r})"

    def __enter__(self) -> EndpointModel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of connections and threads; it is also done when the model is garbage."""
        self._end()

    def cost(self, usage: Usage) -> float | None:
        """Dollars for one completion; None where no price was given."""
        return None if self.price is None else self.price.cost(usage)

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        max_tokens: int | Sequence[int],
        stop: Sequence[str] = (),
        temperature: float = 1.0,
        top_p: float = 1.0,
        seed: int | Sequence[int] = 0,
        force: str | Sequence[str | None] | None = None,
        forbid: str | Sequence[str | None] | None = None,
    ) -> list[Completion]:
        """A completion for every prompt, in their order; see `LanguageModel.generate`."""
        asked = requests(
            prompts, max_tokens=max_tokens, stop=stop, temperature=temperature, top_p=top_p, seed=seed, force=force, forbid=forbid
        )
        came = dict(self.arriving(asked))
        return [came[place] for place in range(len(asked))]

    def score(self, prompts: Sequence[Prompt], continuations: Sequence[str], *, temperature: float = 1.0) -> list[Scored]:
        """Endpoints cannot.

        Raises:
            UserError: always.
        """
        raise UserError(f"{self.name} is an endpoint, which scores no given texts; use a model with local weights")

    def arriving(self, asked: Sequence[Request]) -> Iterator[tuple[int, Completion]]:
        """Completions as they come, each with its place: what was paid for can be kept before the last one is there.

        Raises:
            UserError: what cannot work at all, once all that was in flight has come.
        """
        if self._dialect == "openai" and any(request.force is not None or request.forbid is not None for request in asked):
            raise UserError(
                f"{self.name} can neither be made to begin with a text nor be kept from writing one; "
                'give dialect="vllm" if a vLLM server answers, or ask without force and forbid'
            )
        if not self._end.alive:
            raise UserError(f"{self.name} was closed; make it anew")
        key = key_from(self._variable)
        stopped = Event()
        places: dict[Future[Completion], int] = {}
        hopeless: UserError | None = None
        try:
            places.update((self._pool.submit(self._complete, request, key, stopped), place) for place, request in enumerate(asked))
            for future in as_completed(places):
                if future.cancelled():
                    continue
                try:
                    completion = future.result()
                except UserError as error:
                    hopeless = hopeless or error
                    stopped.set()
                    for other in places:
                        other.cancel()
                else:
                    yield places[future], completion
        finally:
            stopped.set()
            for future in places:
                future.cancel()
        if hopeless is not None:
            raise hopeless

    def _complete(self, request: Request, key: str, stopped: Event) -> Completion:
        """Ask until there is an answer, or no hope of one."""
        body, logprobs = self._body(request)
        content = json.dumps(body).encode()  # ASCII, also where a text holds half a surrogate pair
        tries = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self._retries + 1) | tenacity.stop_when_event_set(stopped),
            wait=self._wait,
            retry=tenacity.retry_if_exception_type(Passing),
            sleep=tenacity.sleep_using_event(stopped),
            reraise=True,
        )
        try:
            return tries(lambda: answers.read(self._answer(content, key), request, key, logprobs=logprobs))
        except Passing as reason:
            return failed(f"{reason} (tried {tries.statistics['attempt_number']} times)")
        except Final as reason:
            return failed(str(reason), reason.usage)

    def _wait(self, state: tenacity.RetryCallState) -> float:
        reason = state.outcome.exception() if state.outcome is not None else None
        if isinstance(reason, Passing) and reason.after is not None:
            return min(reason.after, self._max_backoff_s)
        doubling = tenacity.wait_exponential(self._backoff_s, self._max_backoff_s) + tenacity.wait_random(0, self._backoff_s)
        return min(doubling(state), self._max_backoff_s)

    def _body(self, request: Request) -> tuple[dict[str, Any], bool]:
        """The fields of a request, and whether the log-probabilities will be those of the contract."""
        body: dict[str, Any] = {
            **self._extra,
            "model": self._model,
            "messages": [message._asdict() for message in request.prompt],
            self._limit: request.max_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "seed": request.seed,
        }
        if request.force is not None:
            body["messages"].append({"role": "assistant", "content": request.force})
            body |= {"continue_final_message": True, "add_generation_prompt": False, "echo": False}
        if request.forbid is not None:
            body["bad_words"] = [request.forbid]
        plain = request.temperature == 1 and request.top_p == 1 and request.force is None and request.forbid is None
        if logprobs := self._logprobs and plain:
            body["logprobs"] = True
        return body, logprobs

    def _answer(self, content: bytes, key: str) -> bytes:
        """The body of an answer with status 200.

        Raises:
            Passing, Final, UserError: there is none.
        """
        answer = self._connection.post(content, key)
        if answer.status == 200:
            return answer.body
        raise refusal(
            answer.status, answer.body, answer.after, model=self._model, address=self._connection.address, variable=self._variable, key=key
        )


def _end(connection: Connection, pool: ThreadPoolExecutor) -> None:
    pool.shutdown(wait=False)
    connection.close()


def _checked(extra: Mapping[str, Any]) -> dict[str, Any]:
    for field in extra:
        if field in _OURS:
            raise UserError(f"extra holds {field!r}, which is set otherwise; leave it out")
    try:
        return json.loads(json.dumps(dict(extra)))
    except (TypeError, ValueError, RecursionError) as error:
        raise UserError("extra is no JSON; give texts, numbers, lists and tables of them") from error
