"""A language model with local weights: many prompts in one batch, what they begin with read once, every row cut where its output ends."""

from __future__ import annotations

import contextlib
import copy
import json
import math
import os
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from unseen.errors import UserError
from unseen.planning.grammar import CLOSE, OPEN
from unseen.planning.models.contract import Capabilities, Completion, Prompt, Scored, Usage, seeds, spread
from unseen.planning.models.forbidden import Forbidden
from unseen.planning.models.sampling import draw
from unseen.planning.models.small import needed, without_bars
from unseen.planning.models.vocabulary import Vocabulary

SHORTEST_PREFIX = 16  # tokens; what is shared and shorter is read again with every prompt
KEPT_PREFIXES = 4
READ_AT_ONCE = 1_152  # tokens of prompts that a processor reads in one pass


@dataclass
class _Row:
    """One output.

    Attributes:
        prompt, began: tokens that were read, and those that were forced.
        limit: tokens that it may have, forced ones included.
        mask, state: what may not be written, and how much of it stands at the end.
        generator: of its draws.
        cached: tokens of the prompt that were read before.
    """

    prompt: list[int]
    began: list[int]
    limit: int
    mask: Forbidden | None
    generator: np.random.Generator
    state: int = 0
    cached: int = 0
    in_plan: bool = False
    over: bool = False
    stopped: bool = False
    written: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)


class LocalModel:
    """A causal model of the `transformers` library and its tokenizer.

    Equal seeds give equal outputs, whatever else is in the batch, up to rounding: a batch of another size may add up in another order.
    """

    def __init__(self, model: Any, tokenizer: Any, *, name: str = "local", batch: int = 64):
        """
        Args:
            model: a causal language model.
            tokenizer: its own, with a chat template and an end-of-output token.
            name: for tables.
            batch: prompts that are read at the same time.

        Raises:
            UserError: a tokenizer without a chat template or without an end, or with tokens that the model does not know.
        """
        torch, _, _ = needed()
        if getattr(tokenizer, "chat_template", None) is None:
            raise UserError(f"the tokenizer of {name!r} has no chat template; set tokenizer.chat_template")
        if tokenizer.eos_token_id is None:
            raise UserError(f"the tokenizer of {name!r} has no token for the end of an output; set tokenizer.eos_token")
        if batch < 1:
            raise UserError(f"batch = {batch} of a local model must be 1 or more")
        known = model.get_input_embeddings().weight.shape[0]
        if len(tokenizer) > known:
            raise UserError(f"the tokenizer of {name!r} has {len(tokenizer):,} tokens, and the model only {known:,}: they are no pair")
        self.model, self.tokenizer, self._name, self._batch = model, tokenizer, name, batch
        self._torch = torch
        self._joins = True  # whether caches of parts of a batch can be put together
        self._prefixes: OrderedDict[tuple[int, ...], Any] = OrderedDict()
        self._forbidden: dict[str, Forbidden] = {}
        self._parameters: int | None = None
        ends = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
        more: list[int] = ends if isinstance(ends, list) else [] if ends is None else [ends]
        self._ends = frozenset([tokenizer.eos_token_id, *more])
        self.vocabulary = Vocabulary(tokenizer, self._ends)
        tags = [self._plain(tag) for tag in (OPEN, CLOSE)]
        self._tags = (tags[0][0], tags[1][0]) if all(len(tag) == 1 for tag in tags) else None

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, device: str | None = None, dtype: str = "auto", batch: int = 64) -> LocalModel:
        """A model from a directory in the format of `transformers`, adapters of `peft` beside it or not. Nothing in it is executed.

        Args:
            path: the directory.
            device: "cpu", "cuda", …; None: the accelerator, where there is one, and of several that of this process.
            dtype: of the weights, as in "bfloat16"; "auto": as they were saved.
            batch: see the constructor.

        Raises:
            UserError: there is no model there, it is damaged or lacks weights, or it asks for code of its own.
        """
        torch, transformers, _ = needed()
        folder = Path(path).resolve()
        adapted = (folder / "adapter_config.json").is_file()
        if not adapted and not (folder / "config.json").is_file():
            raise UserError(f"there is no language model in {str(path)!r}; a directory with config.json, weights and a tokenizer is needed")
        if adapted and not (folder / "adapter_model.safetensors").is_file():
            raise UserError(f"the adapters in {str(path)!r} have no weights; adapter_model.safetensors is needed beside their settings")
        safely = {"dtype": dtype, "use_safetensors": True, "local_files_only": True, "trust_remote_code": False}
        lacking: list[str] = []
        try:
            if adapted:
                _plain_attention(Path(json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))["base_model_name_or_path"]))
                from peft import AutoPeftModelForCausalLM

                with unwarned(), without_bars():
                    model = AutoPeftModelForCausalLM.from_pretrained(folder, **safely)
            else:
                _plain_attention(folder)
                with without_bars():
                    model, told = transformers.AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True, **safely)
                lacking = sorted(told["missing_keys"])
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            model = model.to(device or _accelerator(torch)).eval()
        except Exception as error:  # files that somebody sent fail in any way, each library's own
            why = " ".join(str(error).split("\n\n")[0].split())[:300] or type(error).__name__
            raise UserError(f"the language model in {str(path)!r} cannot be loaded: {why}") from None
        if lacking:
            raise UserError(f"the language model in {str(path)!r} lacks weights: {', '.join(lacking[:3])}{', …' if lacking[3:] else ''}")
        return cls(model, tokenizer, name=folder.name, batch=batch)

    @property
    def name(self) -> str:
        return self._name

    @property
    def capabilities(self) -> Capabilities:
        if self._parameters is None:  # an agent asks at every step
            self._parameters = sum(p.numel() for p in self.model.parameters())
        return Capabilities(token_ids=True, logprobs=True, force=True, forbid=True, score=True, stops=True, parameters=self._parameters)

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

        A text of `stop` that is no single token stops nothing, nor does one with which another begins, token for token; none does where
        the tags of a plan are no single tokens.
        """
        if not prompts:
            return []
        n = len(prompts)
        limits, forced, forbidden = spread(max_tokens, n, "max_tokens"), spread(force, n, "force"), spread(forbid, n, "forbid")
        if min(limits) < 1:
            raise UserError(f"max_tokens = {min(limits)} must be 1 or more")
        if not (math.isfinite(temperature) and temperature >= 0 and 0 < top_p <= 1):
            raise UserError(f"temperature = {temperature} must be 0 or more, top_p = {top_p} above 0 and at most 1")
        rows = [
            _Row(ids, self._plain(begin) if begin else [], limit, self._forbid(never) if never else None, np.random.default_rng(pair))
            for ids, begin, limit, never, pair in zip(self.read(prompts), forced, limits, forbidden, seeds(seed, n), strict=True)
        ]
        context = getattr(self.model.config, "max_position_embeddings", None)
        for row in rows:
            if context is not None and len(row.prompt) + row.limit > context:
                raise UserError(
                    f"a prompt of {len(row.prompt)} tokens and {row.limit} to be written do not fit into the {context} of model "
                    f"{self.name!r}; show a shorter history, or allow shorter plans"
                )
            if len(row.began) >= row.limit:
                raise UserError(f"max_tokens = {row.limit} leaves nothing to write behind the forced {len(row.began)} tokens")
            for token in row.began:
                _stands(row, token, self._tags)
        for begin, never in zip(forced, forbidden, strict=True):
            if begin and never and never in begin:
                raise UserError(f"an output cannot begin with {begin!r} and not contain {never!r}")
        ending = _Ending(self._stops(stop), self._ends, self._tags)
        for at in range(0, n, self._batch):
            self._write(rows[at : at + self._batch], ending, temperature, top_p)
        return [self._completion(row) for row in rows]

    def score(self, prompts: Sequence[Prompt], continuations: Sequence[str], *, temperature: float = 1.0) -> list[Scored]:
        """The log-probabilities of given outputs, the end token behind each of them included."""
        if len(prompts) != len(continuations):
            raise UserError(f"{len(continuations)} continuations for {len(prompts)} prompts; give one for each")
        outputs = [[*self._plain(text), self.tokenizer.eos_token_id] for text in continuations]
        return self.scored(self.read(prompts), outputs, temperature)

    def scored(self, prompts: Sequence[Sequence[int]], outputs: Sequence[Sequence[int]], temperature: float = 1.0) -> list[Scored]:
        """The log-probabilities of outputs given as tokens.

        Raises:
            UserError: a temperature that is not above 0, or an output without tokens.
        """
        if not (math.isfinite(temperature) and temperature > 0):
            raise UserError(f"temperature = {temperature} must be above 0 to score with")
        if not all(map(len, outputs)):
            raise UserError("an output without tokens cannot be scored")
        torch, found = self._torch, []
        for at in range(0, len(prompts), self._batch):
            some = list(zip(prompts[at : at + self._batch], outputs[at : at + self._batch], strict=True))
            tokens, mask = left_padded(torch, [[*prompt, *output] for prompt, output in some], self.model.device)
            ends = max(len(output) for _, output in some)  # the logits of long prompts over a large vocabulary would fill the memory
            read = {"input_ids": tokens, "attention_mask": mask, "position_ids": positions_of(mask)}
            with torch.inference_mode():
                logits = self.model(**read, use_cache=False, logits_to_keep=ends + 1).logits[:, :-1]
                logp = torch.log_softmax(logits.double() / temperature, -1).gather(-1, tokens[:, -ends:, None])[..., 0].cpu().numpy()
            for row, (_, output) in zip(logp, some, strict=True):
                found.append(Scored(tuple(output), row[ends - len(output) :]))
        return found

    def read(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """The tokens of conversations, up to where the answer begins; what looks like a control token of the model is made harmless."""
        if not prompts:
            return []
        spoken = [[{"role": role, "content": self.vocabulary.harmless(content)} for role, content in prompt] for prompt in prompts]
        texts = [self.tokenizer.apply_chat_template(one, tokenize=False, add_generation_prompt=True) for one in spoken]
        return self.tokenizer(texts, add_special_tokens=False)["input_ids"]

    def count(self, text: str) -> int:
        """Tokens of a text."""
        return len(self._plain(text))

    def tokens(self, text: str) -> list[int]:
        """The tokens of a text, and no others."""
        return self._plain(text)

    @property
    def ends(self) -> frozenset[int]:
        """The tokens that end an output."""
        return self._ends

    def forget(self) -> None:
        """Read shared beginnings anew: the weights have changed."""
        self._prefixes.clear()
        self._parameters = None

    def _plain(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def _forbid(self, text: str) -> Forbidden:
        if text not in self._forbidden:
            self._forbidden[text] = Forbidden(text, self.vocabulary)
        return self._forbidden[text]

    def _stops(self, stop: Sequence[str]) -> frozenset[int]:
        if self._tags is None:  # a word inside a plan could not be told from one behind it
            return frozenset()
        tokens = [self._plain(text) for text in stop]
        begun = {ids[0] for ids in tokens if len(ids) > 1}  # "1" must not stop an output that says "12", where digits are tokens
        return frozenset(ids[0] for ids in tokens if len(ids) == 1) - begun

    def _prefix(self, ids: Sequence[list[int]]) -> tuple[tuple[int, ...], Any, bool]:
        """What all rows begin with, its keys and values, and whether they were there already."""
        first, last = min(ids), max(ids)
        n = next((k for k, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
        n = min(n, min(map(len, ids)) - 1)  # something must be left to be read
        known = max((len(p) for p in self._prefixes if p == tuple(first[: len(p)]) and len(p) <= n), default=0)
        if known >= max(SHORTEST_PREFIX, n // 2):  # a little more in common this time is no reason to read it all again
            key = tuple(first[:known])
            self._prefixes.move_to_end(key)
            return key, self._prefixes[key], True
        if n < SHORTEST_PREFIX or len(ids) == 1:
            return (), None, False
        key, torch = tuple(first[:n]), self._torch
        with torch.inference_mode():
            cache = self.model(input_ids=torch.tensor([key], device=self.model.device), use_cache=True).cache
        self._prefixes[key] = cache
        while len(self._prefixes) > KEPT_PREFIXES:
            self._prefixes.popitem(last=False)
        return key, cache, False

    def _write(self, rows: Sequence[_Row], ending: _Ending, temperature: float, top_p: float) -> None:
        """Write one batch. All rows take a token per pass; rows that have ended leave it once half of them have."""
        torch, device = self._torch, self.model.device
        prefix, kept, cached = self._prefix([row.prompt for row in rows])
        tokens, mask = left_padded(torch, [[*row.prompt[len(prefix) :], *row.began] for row in rows], device)
        mask = torch.cat([torch.ones(len(rows), len(prefix), dtype=mask.dtype, device=device), mask], 1)
        positions, going = positions_of(mask)[:, -tokens.shape[1] :], list(rows)
        for row in rows:
            row.cached = len(prefix) if cached else 0
        with torch.inference_mode():
            logits, cache = self._first_pass(tokens, mask, positions, kept)
            while True:
                uniform = np.array([row.generator.random() for row in going])
                forbidden = [None if row.mask is None else row.mask.tokens(row.state) for row in going]
                drawn = draw(logits, uniform, temperature=temperature, top_p=top_p, forbidden=forbidden)
                for row, token, logprob in zip(going, *drawn, strict=True):
                    if not row.over:
                        ending.add(row, token, logprob)
                taken = drawn[0]
                live = [k for k, row in enumerate(going) if not row.over]
                if not live:
                    return
                if len(live) <= len(going) // 2:
                    keep = torch.tensor(live, device=device)
                    cache.batch_select_indices(keep)
                    mask, positions = mask[keep], positions[keep]
                    taken, going = [taken[k] for k in live], [going[k] for k in live]
                tokens = torch.tensor(taken, device=device)[:, None]
                mask = torch.cat([mask, torch.ones(len(going), 1, dtype=mask.dtype, device=device)], 1)
                positions = positions[:, -1:] + 1
                logits, cache = self._pass(tokens, mask, positions, cache)

    def _pass(self, tokens: Any, mask: Any, positions: Any, cache: Any) -> tuple[Any, Any]:
        """Logits of the token behind each row, (rows, vocabulary), and the cache with what was read."""
        read = {"input_ids": tokens, "attention_mask": mask, "position_ids": positions, "cache": cache}
        out = self.model(**read, use_cache=True, logits_to_keep=1)
        return out.logits[:, -1], out.cache

    def _first_pass(self, tokens: Any, mask: Any, positions: Any, kept: Any) -> tuple[Any, Any]:
        """Read the prompts behind their shared beginning; on a processor some rows at a time, so that what is computed stays near.

        Of 32 rows of 141 tokens, a million weights, two cores: 104 milliseconds in parts of eight rows, 152 in one.
        """
        parts = len(tokens) if self.model.device.type != "cpu" or not self._joins else max(1, READ_AT_ONCE // tokens.shape[1])
        logits, caches = [], []
        for at in range(0, len(tokens), parts):
            some, cache = slice(at, at + parts), None
            if kept is not None:
                cache = copy.deepcopy(kept)
                cache.batch_repeat_interleave(len(tokens[some]))
            logits_of, cache = self._pass(tokens[some], mask[some], positions[some], cache)
            logits.append(logits_of)
            caches.append(cache)
            if parts < len(tokens) and not _plain(cache):  # other kinds of cache are not put together here
                self._joins = False
                return self._first_pass(tokens, mask, positions, kept)
        return self._torch.cat(logits), _joined(self._torch, caches)

    def _completion(self, row: _Row) -> Completion:
        ids = [*row.began, *row.written]
        parts = self.vocabulary.pieces(ids)
        usage = Usage(len(row.prompt), row.cached, 0, len(ids))
        logprobs = np.array([0.0] * len(row.began) + row.logprobs)
        return Completion("".join(parts), "stop" if row.stopped else "length", usage, tuple(ids), parts, logprobs, tuple(row.prompt))


def _plain(cache: Any) -> bool:
    """Whether a cache is one tensor of keys and one of values per layer, a row for every prompt."""
    return all(type(layer).__name__ == "DynamicLayer" for layer in getattr(cache, "layers", [None]))


def _joined(torch: Any, caches: Sequence[Any]) -> Any:
    """One cache of all rows."""
    whole = caches[0]
    if len(caches) > 1:
        for k, layer in enumerate(whole.layers):
            layer.keys = torch.cat([cache.layers[k].keys for cache in caches])
            layer.values = torch.cat([cache.layers[k].values for cache in caches])
    return whole


class _Ending(NamedTuple):
    """When an output ends: with an end token, with a word that ends outputs where it stands outside a plan, or at its limit.

    Attributes:
        stops, ends: tokens.
        tags: that open and close a plan.
    """

    stops: frozenset[int]
    ends: frozenset[int]
    tags: tuple[int, int] | None

    def add(self, row: _Row, token: int, logprob: float) -> None:
        """The next token of a row."""
        row.written.append(token)
        row.logprobs.append(logprob)
        if math.isnan(logprob):
            raise UserError("the model's weights or logits are no numbers: nothing can be drawn from it")
        _stands(row, token, self.tags)
        row.stopped = token in self.ends or (token in self.stops and not row.in_plan)
        row.over = row.stopped or len(row.began) + len(row.written) >= row.limit


def _stands(row: _Row, token: int, tags: tuple[int, int] | None) -> None:
    """Where an output stands after a token: how much of what is forbidden it ends with, and whether it is inside a plan."""
    if row.mask is not None:
        row.state = row.mask.after(row.state, token)
    if tags is not None and token in tags:
        row.in_plan = token == tags[0]


@contextlib.contextmanager
def unwarned() -> Iterator[None]:
    """Without what `peft` does that `transformers` calls outdated."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        yield


def _plain_attention(folder: Path) -> None:
    """Raises:
    ValueError: a model's settings ask for an implementation of attention from somewhere else, which is code.
    """
    path = folder / "config.json"
    said = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    for name, value in said.items():
        if "attn_implementation" in name and "/" in str(value):
            raise ValueError(f"it asks for code of its own ({name})")


def _accelerator(torch: Any) -> str:
    """Where weights go when nothing is said: each process that a launcher has started has an accelerator of its own."""
    if not torch.cuda.is_available():
        return "cpu"
    return f"cuda:{int(os.environ.get('LOCAL_RANK', '0')) % torch.cuda.device_count()}"


def left_padded(torch: Any, rows: Sequence[Sequence[int]], device: Any) -> tuple[Any, Any]:
    """Tokens and the mask of what is read, both (rows, longest)."""
    width = max(map(len, rows))
    tokens = torch.zeros(len(rows), width, dtype=torch.long)
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    for k, row in enumerate(rows):
        tokens[k, width - len(row) :] = torch.tensor(row, dtype=torch.long)
        mask[k, width - len(row) :] = 1
    return tokens.to(device), mask.to(device)


def positions_of(mask: Any) -> Any:
    return (mask.cumsum(-1) - 1).clamp(min=0)
