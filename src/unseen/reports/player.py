"""The episode player: one watched episode with its pictures and numbers, as HTML that brings its own data and needs nothing else."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Callable
from importlib import resources
from typing import Any

import numpy as np
from PIL import Image

from unseen.errors import UserError
from unseen.experiments.watched import Choices, Picture, Watched, spread
from unseen.reports.text import escape, readable

LARGEST = 3_000_000  # bytes of a player's data on the page
SIZE, SMALLEST = 384, 96  # a picture has at most as many pixels as such a square; before pictures are left out, as the smaller one
POWER = 0.6  # of what is too much: pictures shrink by a little more than their bytes ask for, so that few tries are needed


def script() -> str:
    """What makes players of all episodes on a page."""
    return resources.files("unseen.reports").joinpath("player.js").read_text(encoding="utf-8")


def policy() -> str:
    """What a page's content security policy must allow: this script, known by its hash, and no other."""
    return f"script-src 'sha256-{base64.b64encode(hashlib.sha256(script().encode()).digest()).decode()}'"


def html(watched: Watched, caption: str, identity: str) -> str:
    """The player of an episode, hidden until its script runs.

    Args:
        watched: the episode.
        caption: below it.
        identity: unique on the page.

    Raises:
        UserError: it does not fit.
    """
    name, data = escape(watched.environment), document(watched)
    return (
        f'<figure class="player" id="{identity}" role="group" aria-label="Episode of {name}" tabindex="0" hidden>\n'
        f"<figcaption>{escape(caption)}</figcaption>\n"
        f'<script type="application/json">{data}</script>\n</figure>\n'
        "<noscript><p>With JavaScript switched on, the episode can be played here step by step.</p></noscript>"
    )


def document(watched: Watched, *, largest: int = LARGEST) -> str:
    """The episode as JSON that may stand in a page, within `largest` bytes: pictures are made smaller first, then left out.

    Raises:
        UserError: the numbers alone, without pictures, are more than that.
    """
    numbers = _numbers(watched)
    bare = len(_json(numbers))
    if not fits(watched, largest=largest):
        raise UserError(
            f"the {len(watched)} steps of this episode take {bare:,} bytes without pictures, more than half of the {largest:,} allowed: "
            "show an animation"
        )
    drawn = np.unique(watched.drawn).tolist()

    def made(size: int, count: int) -> str:
        kept = np.asarray(spread(drawn, count))
        of_step = kept[np.searchsorted(kept, np.arange(len(watched) + 1), side="right") - 1]
        used, shown = np.unique(watched.shown[of_step], return_inverse=True)
        pictures = [f"data:image/png;base64,{base64.b64encode(png(watched.pictures[k], size)).decode()}" for k in used]
        return _json(numbers | {"pictures": pictures, "shown": shown.tolist(), "drawn": of_step.tolist()})

    return _within(made, len(drawn), largest, bare)


def fits(watched: Watched, *, largest: int = LARGEST) -> bool:
    """Whether the numbers of an episode leave room for pictures."""
    return len(_json(_numbers(watched))) < largest // 2


def _within(made: Callable[[int, int], str], count: int, largest: int, bare: int) -> str:
    size = SIZE
    while len(text := made(size, count)) > largest:
        share = (largest - bare) / (len(text) - bare)
        if size > SMALLEST:
            size = max(SMALLEST, int(size * min(0.9, share**POWER)))
        elif count > 2:
            count = max(2, int(count * min(0.95, share)))
        else:
            size = max(1, size // 2)
    return text


def _numbers(watched: Watched) -> dict[str, Any]:
    policy = watched.policy
    if isinstance(policy, Choices):
        names = [readable(name) for name in policy.names]
        acting: dict[str, Any] = {"names": names, "probabilities": _rounded(policy.probabilities, 4), "chosen": policy.chosen.tolist()}
    else:
        acting = {key: _rounded(getattr(policy, key), 4) for key in ("mean", "deviation", "drawn")}
    told: dict[str, Any] = {
        "steps": len(watched),
        "terminated": watched.terminated,
        "actions": [readable(action) for action in watched.actions],
        "policy": acting,
        "rewards": _rounded(watched.rewards, 6),
        "values": _rounded(watched.values, 6),
    }
    if watched.reads:
        told["recalled"] = [_recalled(*row) for row in zip(watched.reads["step"], watched.reads["weight"], strict=True)]
    return told


def _recalled(step: np.ndarray, weight: np.ndarray) -> list[tuple[int, float]]:
    """(step, weight) of what was there to read, the heaviest first."""
    order = [k for k in np.argsort(-weight, kind="stable") if step[k] >= 0]
    return [(int(step[k]), round(float(weight[k]), 4)) for k in order]


def _rounded(values: np.ndarray, decimals: int) -> list[Any]:
    """Plain numbers, None where there is none."""
    if values.ndim > 1:
        return [_rounded(row, decimals) for row in values]
    return [round(float(x), decimals) if np.isfinite(x) else None for x in values]


def _json(value: Any) -> str:
    """JSON in which nothing can end a script element or begin a comment."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def png(picture: Picture, size: int) -> bytes:
    """A PNG file of at most `size`² pixels; exact where it need not be reduced and has at most 256 colours."""
    image = Image.fromarray(picture)
    if image.width * image.height > size * size:
        scale = size / (image.width * image.height) ** 0.5
        image = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))), Image.Resampling.LANCZOS)
    if image.getcolors(256) is not None:
        packed = np.asarray(image).astype(np.uint32) @ np.asarray([1 << 16, 1 << 8, 1], np.uint32)
        colours, index = np.unique(packed, return_inverse=True)
        listed = Image.fromarray(index.reshape(packed.shape).astype(np.uint8), mode="P")
        listed.putpalette(np.stack([colours >> 16, colours >> 8, colours], axis=1).astype(np.uint8).tobytes())
    else:
        listed = image.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    stream = io.BytesIO()
    listed.save(stream, format="PNG", optimize=True)
    return stream.getvalue()
