"""Rollouts from a server: the trainer's tokens go there, sampled tokens come back, and after every update it loads the new weights.

Source: vLLM's OpenAI-compatible server: POST /v1/completions with a prompt of tokens and `return_token_ids`; POST /tokenize; for adapters
POST /v1/load_lora_adapter with `load_inplace` (VLLM_ALLOW_RUNTIME_LORA_UPDATING=True, --enable-lora); for whole weights POST
/collective_rpc with the method `reload_weights` (VLLM_SERVER_DEV_MODE=1, and the server serves the directory that they are written to).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from unseen.errors import UserError
from unseen.planning.checkpoints import save_model
from unseen.planning.grammar import CLOSE, OPEN
from unseen.planning.models.access import address, key_from
from unseen.planning.models.connection import Connection
from unseen.planning.models.contract import Capabilities, Completion, Prompt, Scored, Usage, seeds, spread
from unseen.planning.models.failures import Final, Passing, refusal
from unseen.planning.models.forbidden import Forbidden
from unseen.planning.models.local import LocalModel
from unseen.planning.models.request import one_seed

PROBES = (f"{OPEN}go on{CLOSE}\nnorth", "node: 12, neighbors: [3, 4]", "Your status: 9/9, é–木")


class ServedModel:
    """Writes what a trained model would, on a server that has its weights.

    The tokens of its prompts are the trainer's own, and those of its outputs are taken as they were sampled. The words of `stop` end an
    output outside plans only, which servers cannot be told: where plans may be written, what is behind such a word is cut off here.
    Log-probabilities are told where nothing was forbidden and the temperature is 1, as the server's are the model's own; the trainer
    computes all of them itself, and compares (see `reinforce`).
    """

    def __init__(
        self,
        url: str,
        served: str,
        model: LocalModel,
        directory: str | os.PathLike[str],
        *,
        key_variable: str | None = None,
        concurrency: int = 32,
        timeout_s: float = 600.0,
        retries: int = 3,
    ):
        """
        Args:
            url: with the version, as in "http://127.0.0.1:8000/v1".
            served: the model's name there; with adapters the name they are loaded under.
            model: that is trained; its tokenizer is used.
            directory: where new weights are written; the server reads it too.
            key_variable: the environment variable with the key; None for servers without.
            concurrency: prompts in flight at once.
            timeout_s: seconds for an answer.
            retries: tries after the first where what failed may pass by.

        Raises:
            UserError: no URL, or no key.
        """
        base = address(url).removesuffix("/chat/completions")
        self._root, self._base, self._served, self._model = base.removesuffix("/v1"), base, served, model
        self._directory, self._variable, self._retries = Path(directory), key_variable, retries
        key_from(key_variable)
        self._connections = {path: Connection(path, timeout_s, concurrency) for path in self._paths()}
        self._pool = ThreadPoolExecutor(concurrency, "served")
        self._never = Forbidden(OPEN, model.vocabulary)
        self._checked = False

    def _paths(self) -> list[str]:
        return [f"{self._base}/completions", f"{self._base}/load_lora_adapter", f"{self._root}/tokenize", f"{self._root}/collective_rpc"]

    @property
    def name(self) -> str:
        return self._served

    @property
    def capabilities(self) -> Capabilities:
        return self._model.capabilities._replace(logprobs=False, score=False)

    def close(self) -> None:
        """Let go of connections and threads."""
        self._pool.shutdown(wait=False)
        for connection in self._connections.values():
            connection.close()

    def score(self, prompts: Sequence[Prompt], continuations: Sequence[str], *, temperature: float = 1.0) -> list[Scored]:
        """Raises:
        UserError: always.
        """
        raise UserError("a server scores no given texts; the trained model does")

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
        """See `LanguageModel.generate`.

        Raises:
            UserError: a refusal, a top-p below 1, something else than the tag that opens a plan to be forbidden, or a server that does not
                tell its tokens.
        """
        n = len(prompts)
        limits, forced, forbidden = spread(max_tokens, n, "max_tokens"), spread(force, n, "force"), spread(forbid, n, "forbid")
        if top_p != 1 or any(never not in (None, OPEN) for never in forbidden):
            raise UserError(f"a server in training draws from all tokens but {OPEN}; give top_p = 1 and forbid nothing else")
        ends = [ids[0] for ids in map(self._model.tokens, stop) if len(ids) == 1]
        asked = []
        for ids, limit, begin, never, pair in zip(self._model.read(prompts), limits, forced, forbidden, seeds(seed, n), strict=True):
            began = self._model.tokens(begin) if begin else []
            asked.append((ids, began, self._body(ids + began, limit - len(began), temperature, one_seed(*pair), never is not None, ends)))
        answers = list(self._pool.map(lambda one: self._post(f"{self._base}/completions", one[2]), asked))
        plain = [temperature == 1 and never is None for never in forbidden]
        return [self._completion(ids, began, answer, ends, own) for (ids, began, _), answer, own in zip(asked, answers, plain, strict=True)]

    def _body(self, ids: Sequence[int], limit: int, temperature: float, seed: int, forbidden: bool, ends: Sequence[int]) -> dict[str, Any]:
        """The fields of a request."""
        body: dict[str, Any] = {"model": self._served, "prompt": list(ids), "max_tokens": limit, "temperature": temperature, "seed": seed}
        body |= {"top_p": 1.0, "logprobs": 0, "return_token_ids": True, "add_special_tokens": False, "skip_special_tokens": False}
        body["stop_token_ids"] = sorted({*self._model.ends, *(ends if forbidden else ())})
        if forbidden:
            tag = self._model.tokens(OPEN)
            never = self._never.tokens(0).tolist()
            body |= {"logit_bias": {str(token): -100.0 for token in never}} if len(tag) == 1 else {"bad_words": [OPEN]}
        return body

    def _completion(self, prompt: list[int], began: list[int], answer: Mapping[str, Any], ends: Sequence[int], plain: bool) -> Completion:
        """What came, up to where the output ends; with log-probabilities where they are plainly the model's."""
        choice = (answer.get("choices") or [{}])[0]
        sampled = choice.get("token_ids")
        if not isinstance(sampled, list):
            raise UserError(f"the server of {self._served!r} does not tell the tokens it sampled (return_token_ids); use a newer vLLM")
        told = choice.get("logprobs") or {}
        logprobs = told.get("token_logprobs") if isinstance(told, Mapping) else None
        kept = self._kept(began, sampled, frozenset(ends))
        ids = [*began, *sampled[:kept]]
        values = None
        if plain and isinstance(logprobs, list) and len(logprobs) >= kept and all(isinstance(v, int | float) for v in logprobs[:kept]):
            values = np.array([0.0] * len(began) + logprobs[:kept])
        parts = self._model.vocabulary.pieces(ids)
        stopped = choice.get("finish_reason") != "length" or kept < len(sampled)
        usage = Usage(len(prompt), 0, 0, len(ids))
        return Completion("".join(parts), "stop" if stopped else "length", usage, tuple(ids), parts, values, tuple(prompt))

    def _kept(self, began: Sequence[int], sampled: Sequence[int], ends: frozenset[int]) -> int:
        """How many tokens there are up to the one that ends the output: an end token, or a word of `stop` outside a plan."""
        opens, closes = self._model.tokens(OPEN), self._model.tokens(CLOSE)
        single = len(opens) == len(closes) == 1  # else a word inside a plan could not be told from one behind it
        inside = single and opens[0] in began
        for k, token in enumerate(sampled):
            if token in self._model.ends or (single and token in ends and not inside):
                return k + 1
            if single and token in (opens[0], closes[0]):
                inside = token == opens[0]
        return len(sampled)

    def load(self, model: LocalModel) -> None:
        """Write the model's weights and have the server load them; the first time see that its tokens are the trainer's.

        Raises:
            UserError: a server with other tokens, or one that does not load weights.
        """
        if not self._checked:
            self._same_tokens()
            self._checked = True
        fresh = self._directory.with_name(f".{self._directory.name}.fresh")
        shutil.rmtree(fresh, ignore_errors=True)
        save_model(model, fresh)
        self._directory.mkdir(parents=True, exist_ok=True)
        for path in fresh.iterdir():
            os.replace(path, self._directory / path.name)  # file by file: the server keeps the directory open
        shutil.rmtree(fresh)
        if hasattr(model.model, "peft_config"):
            where = str(self._directory.resolve())
            self._post(f"{self._base}/load_lora_adapter", {"lora_name": self._served, "lora_path": where, "load_inplace": True})
        else:
            self._post(f"{self._root}/collective_rpc", {"method": "reload_weights"})

    def _same_tokens(self) -> None:
        for probe in PROBES:
            mine = self._model.tokens(probe)
            # without a model: adapters have no name there before they are loaded, and their tokens are those of the model below them
            theirs = self._post(f"{self._root}/tokenize", {"prompt": probe, "add_special_tokens": False}).get("tokens")
            if theirs != mine:
                raise UserError(
                    f"the tokenizer at {self._root} is not the trainer's: {probe!r} is {theirs} there and {mine} here; serve the model "
                    "that is trained, with its tokenizer"
                )

    def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """An answer in JSON, or what is said instead of one."""
        key, why = key_from(self._variable), ""
        for _ in range(self._retries + 1):
            try:
                answer = self._connections[path].post(json.dumps(body).encode(), key)
                if answer.status != 200:
                    raise refusal(
                        answer.status, answer.body, answer.after, model=self._served, address=path, variable=self._variable, key=key
                    )
                try:
                    found = json.loads(answer.body)
                except ValueError:
                    found = {}  # vLLM confirms a loaded adapter in words
                return found if isinstance(found, dict) else {}
            except Passing as reason:
                why = str(reason)
            except Final as reason:
                raise UserError(f"{path} refused: {reason}") from None
        raise UserError(f"{path} does not answer: {why}; what was saved goes on once it does")
