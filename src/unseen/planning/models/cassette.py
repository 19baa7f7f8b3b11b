"""A language model on tape: what was asked and what came, to be played back without network, key or model."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from threading import Lock
from typing import Literal, Protocol, get_args, runtime_checkable

from unseen.errors import UserError, unknown
from unseen.planning.models.contract import Capabilities, Completion, LanguageModel, Prompt, Scored
from unseen.planning.models.difference import difference
from unseen.planning.models.lines import Header, Recorded, key
from unseen.planning.models.request import Request, requests
from unseen.planning.models.tape import Tape
from unseen.runs.files import local_path

Mode = Literal["auto", "record", "replay"]
_Time = tuple[str, int]  # a request's key, and how often it was asked before


@runtime_checkable
class Arriving(Protocol):
    """A model whose completions can be had one by one, as they come."""

    def arriving(self, asked: Sequence[Request]) -> Iterator[tuple[int, Completion]]:
        """Each with its place among what was asked, in any order."""
        ...


class Cassette:
    """Records what a model writes, and plays it back.

    An answer is a line of JSON that is on the disk before it is handed on; of a model that tells its answers as they come (`Arriving`), a
    kill in the middle of a batch loses none that came. The k-th time that the same is asked, the k-th answer is played. A seed for many
    prompts becomes one for each of them first, so that what is asked does not depend on what is on tape already.

    Completions that failed are on tape too, and played back as they were: what an agent did next hung on them. Going on with a tape in
    mode "auto" asks those again, and the newer answer counts.

    A tape belongs to one model, by name and capabilities; what is scored is not recorded. Threads may share a cassette, but then who asks
    the same first is chance. What else is promised of the file: see `Tape`.

    Args:
        model: to ask; None to play back only.
        path: of the tape, a file.
        mode: "auto" plays what is on tape and asks for the rest; "record" asks for everything, on a new tape; "replay" asks for nothing.

    Warns:
        TornTape: the last line was not written to its end, and is left out.

    Raises:
        UserError: no model where one is needed, a tape of another model, or one that cannot be read, is in use or damaged.
    """

    def __init__(self, model: LanguageModel | None, path: str | os.PathLike[str], mode: Mode = "auto") -> None:
        if mode not in get_args(Mode):
            raise unknown("mode of a cassette", mode, get_args(Mode))
        if model is None and mode != "replay":
            raise UserError(f'mode is {mode!r} and there is no model to ask; give one, or mode="replay"')
        self._model, self._mode = None if mode == "replay" else model, mode
        self._tape = Tape(local_path(path), write=mode != "replay")
        try:
            self._header = self._started(model)
        except BaseException:
            self._tape.close()
            raise
        self._known = {(key(each.request), each.time): each for each in self._tape.recorded}  # a later line counts
        self._asked: Counter[str] = Counter()
        self._lock = Lock()

    def _started(self, model: LanguageModel | None) -> Header:
        """The header of the tape, written if need be."""
        own = None if model is None else Header(model.name, model.capabilities._replace(score=False))
        found = self._tape.header
        if found is None:
            if own is None or self._mode == "replay":
                raise UserError(f"there is nothing on {self._tape.path}; record with mode='auto', or correct the name")
            self._tape.begin(own)
            return own
        if self._mode == "record":
            raise UserError(f"{self._tape.path} holds a recording already; choose another name, or go on with it in mode='auto'")
        if own is not None and own != found:
            raise UserError(
                f"{self._tape.path} holds answers of {found.name} with {_listed(found.capabilities)}, "
                f"and the model is {own.name} with {_listed(own.capabilities)}; choose another name, or that model"
            )
        return found

    @property
    def name(self) -> str:
        """The model's."""
        return self._header.name

    @property
    def capabilities(self) -> Capabilities:
        """The model's, but for scoring."""
        return self._header.capabilities

    def __repr__(self) -> str:
        return f"Cassette({self.name!r}, {os.fspath(self._tape.path)!r}, {self._mode!r})"

    def __enter__(self) -> Cassette:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the tape; also done when the cassette is garbage. The model stays open."""
        self._tape.close()

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
        """A completion for every prompt, from the tape or the model; see `LanguageModel.generate`.

        Raises:
            UserError: nothing on tape answers and there is no model, with what differs; or the model's. What had come is on tape.
        """
        asked = requests(
            prompts, max_tokens=max_tokens, stop=stop, temperature=temperature, top_p=top_p, seed=seed, force=force, forbid=forbid
        )
        times = self._count(asked)
        try:
            came = {place: self._known[time].completion for place, time in enumerate(times) if self._plays(time)}
            missing = [place for place in range(len(asked)) if place not in came]
            if missing and self._model is None:
                raise self._unknown(asked[missing[0]], times[missing[0]])
            for place, completion in self._ask([asked[place] for place in missing]):
                self._record(Recorded(asked[missing[place]], times[missing[place]][1], completion))
                came[missing[place]] = completion
        except BaseException:
            with self._lock:  # whoever asks this again asks for the same answers
                self._asked.subtract(each for each, _ in times)
            raise
        return [came[place] for place in range(len(asked))]

    def score(self, prompts: Sequence[Prompt], continuations: Sequence[str], *, temperature: float = 1.0) -> list[Scored]:
        """Cassettes cannot.

        Raises:
            UserError: always.
        """
        raise UserError("a cassette does not record scores; ask the model itself")

    def _count(self, asked: Sequence[Request]) -> list[_Time]:
        """Which time it is that each of these is asked."""
        with self._lock:
            times: list[_Time] = []
            for request in asked:
                each = key(request)
                times.append((each, self._asked[each]))
                self._asked[each] += 1
            return times

    def _plays(self, time: _Time) -> bool:
        found = self._known.get(time)
        return found is not None and (self._model is None or found.completion.finish_reason != "failed")

    def _ask(self, asked: list[Request]) -> Iterator[tuple[int, Completion]]:
        """What the model answers, as soon as it does."""
        if not asked or self._model is None:
            return
        if isinstance(self._model, Arriving):
            yield from self._model.arriving(asked)
            return
        first = asked[0]
        yield from enumerate(
            self._model.generate(
                [request.prompt for request in asked],
                max_tokens=[request.max_tokens for request in asked],
                stop=first.stop,
                temperature=first.temperature,
                top_p=first.top_p,
                seed=[request.seed for request in asked],
                force=[request.force for request in asked] if any(request.force for request in asked) else None,
                forbid=[request.forbid for request in asked] if any(request.forbid for request in asked) else None,
            )
        )

    def _record(self, recorded: Recorded) -> None:
        with self._lock:
            self._tape.append(recorded)
            self._known[key(recorded.request), recorded.time] = recorded

    def _unknown(self, request: Request, time: _Time) -> UserError:
        each, before = time
        if before and (each, 0) in self._known:
            return UserError(
                f"{self._tape.path} holds {before} answers to this, and a further one is asked for; record it with mode='auto'"
            )
        differs = difference(request, [recorded.request for recorded in self._known.values()])
        return UserError(f"{self._tape.path} holds no answer to this; {differs}; ask as it was recorded, or record it with mode='auto'")


def _listed(capabilities: Capabilities) -> str:
    return ", ".join(f"{name}={value}" for name, value in capabilities._asdict().items() if value) or "no capabilities"
