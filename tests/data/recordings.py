"""Random recordings: lists of per-episode dicts, the plainest form there is, from which tests build everything else."""

from typing import Any

import numpy as np
from hypothesis import strategies as st

DTYPES = ("bool", "int8", "uint8", "int32", "int64", "float16", "float32", "float64")
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


def _rows(draw: st.DrawFn, count: int, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Random bits, so that floats take every size and sign; what is not finite becomes a signed zero."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    if dtype == "bool":
        return rng.random((count, *shape)) < 0.5
    width = np.dtype(dtype).itemsize
    values = np.frombuffer(rng.bytes(width * count * int(np.prod(shape))), dtype).reshape(count, *shape).copy()
    return np.where(np.isfinite(values), values, np.copysign(np.zeros_like(values), values)) if values.dtype.kind == "f" else values


OPTIONAL = ("signals", "reads", "accounts", "text", "tokens", "info", "behaviour_log_probability")


@st.composite
def recordings(draw: st.DrawFn, min_episodes: int = 1) -> list[dict[str, Any]]:
    """Episodes of unequal lengths with columns of any dtype and shape, and text, tokens, reads, accounts and info now and then."""
    lengths = draw(st.lists(st.integers(1, 4), min_size=min_episodes, max_size=4))
    shapes = st.sampled_from([(), (1,), (3,), (65,), (2, 2), (2, 1, 3)])
    observations = draw(
        st.dictionaries(st.sampled_from(["observation", "image", "a.b", "word"]), st.tuples(st.sampled_from(DTYPES), shapes), min_size=1)
    )
    action, signal, read = (draw(st.tuples(st.sampled_from(DTYPES), shapes)) for _ in range(3))
    rewards = draw(st.sampled_from(["float32", "float64"]))
    optional = {name: draw(st.booleans()) for name in OPTIONAL}
    ending = st.sampled_from([(True, False), (False, True), (False, False)])
    episodes: list[dict[str, Any]] = []
    for e, steps in enumerate(lengths):
        terminated, truncated = draw(ending)
        episode: dict[str, Any] = {
            "observations": {name: _rows(draw, steps + 1, *form) for name, form in observations.items()},
            "actions": _rows(draw, steps, *action),
            "rewards": _rows(draw, steps, rewards, ()),
            "terminated": terminated,
            "truncated": truncated,
        }
        if "word" in observations:
            episode["observations"]["word"] = draw(st.lists(WORDS, min_size=steps + 1, max_size=steps + 1))
        if optional["signals"]:
            episode["signals"] = {"heaven": _rows(draw, steps + 1, *signal)}
        if optional["reads"]:
            episode["reads"] = {"slots": _rows(draw, steps, *read)}
        if optional["accounts"]:
            episode["accounts"] = {"plan_tokens": _rows(draw, steps, *read), "owner": draw(st.lists(WORDS, min_size=steps, max_size=steps))}
        if optional["text"]:
            episode["text"] = {"completion": draw(st.lists(WORDS, min_size=steps, max_size=steps))}
        if optional["tokens"]:
            episode["tokens"] = {"completion": draw(st.lists(st.lists(st.integers(0, 9), max_size=3), min_size=steps, max_size=steps))}
        if optional["info"]:
            episode["info"] = {"seed": e, "level": "train", "progress": np.nan}
        if optional["behaviour_log_probability"]:
            episode["behaviour_log_probability"] = _rows(draw, steps, "float64", ())
        episodes.append(episode)
    return episodes


def simple(*lengths: int, terminated: bool = True) -> list[dict[str, Any]]:
    """Episodes whose every value says where it belongs: observation 100 e + t, reward e + t / 10."""
    return [
        {
            "observations": 100 * e + np.arange(steps + 1),
            "actions": np.arange(steps) % 2,
            "rewards": e + np.arange(steps) / 10,
            "terminated": terminated,
            "truncated": not terminated,
            "signals": {"twice": np.stack([np.arange(steps + 1), 2 * np.arange(steps + 1)], axis=1)},
            "info": {"seed": 7 * e},
        }
        for e, steps in enumerate(lengths)
    ]
