"""What a person is shown of an observation: its picture where there is one, otherwise its numbers. Never the state."""

from __future__ import annotations

import base64
import io
from typing import Any

import gymnasium
import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image

from unseen.environments.contract import Observation, Params
from unseen.errors import UserError

SMALLEST = 32  # pixels a side; a smaller array of bytes is a table, as of what lies in each cell
MOST = 4_096  # numbers in one table
PER_ROW = 10  # of a vector that is too long for one row
LONGEST_ROW = 16


def observed(environment: Any, observation: Observation, params: Params) -> list[dict[str, Any]]:
    """The observation in parts that a page can show.

    Args:
        environment: with `picture(observation, params) -> uint8 (height, width, 3)` if it draws its observations for people.
        observation: an array, or name -> array.
        params: those the environment is played with.

    Returns:
        For each part "name" and either "image", a data URL, or "planes": tables, each with "columns" and "rows" of text, and "of",
        the range of a symbol; "note" where there are too many numbers to read.
    """
    space = environment.observation_space(params)
    if not is_picture(space) and hasattr(environment, "picture"):
        return [{"name": "", "image": data_url(np.asarray(environment.picture(observation, params)))}]
    if isinstance(observation, dict):
        return [_part(name, space[name], np.asarray(value)) for name, value in observation.items()]
    return [_part("", space, np.asarray(observation))]


def is_picture(space: gymnasium.Space[Any]) -> bool:
    """Whether observations are RGB pictures: bytes (height, width, 3), large enough to be one."""
    shape = space.shape or ()
    colours = isinstance(space, gymnasium.spaces.Box) and space.dtype == np.uint8 and len(shape) == 3 and shape[2] == 3
    return colours and min(shape[:2]) >= SMALLEST


def data_url(picture: UInt8[np.ndarray, "height width 3"] | np.ndarray) -> str:
    """A picture as the text that a page shows it from.

    Raises:
        UserError: it is no uint8 RGB picture.
    """
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise UserError(f"a picture is {picture.dtype} {picture.shape}; the environment must draw uint8 (height, width, 3)")
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(stream, format="PNG", compress_level=1)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"


def _part(name: str, space: gymnasium.Space[Any], value: np.ndarray) -> dict[str, Any]:
    if is_picture(space):
        return {"name": name, "image": data_url(value)}
    if value.size > MOST:
        note = f"{value.dtype} {value.shape}: too many numbers to read; the environment has no picture(observation, params)"
        return {"name": name, "note": note}
    first, count = (int(space.start), int(space.n)) if isinstance(space, gymnasium.spaces.Discrete) else (0, 0)
    of = f"a symbol from {first} to {first + count - 1}" if count else ""
    return {"name": name, "planes": [_table(plane) for plane in _planes(value)], "of": of}


def _planes(value: Shaped[np.ndarray, "..."]) -> list[np.ndarray]:
    """Two-dimensional tables: of (height, width, k) one for each of the k, as images are laid out; else the first axes in turn."""
    if value.ndim == 3 and value.shape[2] <= 4:
        return list(np.moveaxis(value, 2, 0))
    if value.ndim <= 2:
        return [value]
    return list(value.reshape(-1, *value.shape[-2:]))


def _table(value: np.ndarray) -> dict[str, Any]:
    if value.ndim == 0:
        return {"columns": [], "rows": [["", _text(value)]]}
    if value.ndim == 1:
        width = max(1, len(value)) if len(value) <= LONGEST_ROW else PER_ROW
        starts = range(0, len(value), width)
        rows = [[str(k) if len(starts) > 1 else "", *map(_text, value[k : k + width])] for k in starts]
        return {"columns": list(map(str, range(width))), "rows": rows}
    rows = [[str(k), *map(_text, row)] for k, row in enumerate(value)]
    return {"columns": list(map(str, range(value.shape[1]))), "rows": rows}


def _text(value: Any) -> str:
    return f"{float(value):.4g}" if np.asarray(value).dtype.kind == "f" else str(int(value))
