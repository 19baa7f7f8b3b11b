"""What counts as equal: bytes exactly, floats to their last digits, pictures but for pixels at edges."""

from __future__ import annotations

import numpy as np
import pytest

from unseen.environments.check_values import EDGES, Broken, require_equal

PICTURES = np.random.default_rng(0).integers(0, 200, (2, 72, 96, 3)).astype(np.uint8)


def changed(array: np.ndarray, count: int) -> np.ndarray:
    """The same array with its first entries one higher."""
    flat = array.reshape(-1).copy()
    flat[:count] += 1
    return flat.reshape(array.shape)


def test_pictures_may_differ_at_edges_only() -> None:
    allowed = int(EDGES * PICTURES.size)
    require_equal("pictures", PICTURES, changed(PICTURES, allowed))
    with pytest.raises(Broken, match="pictures gives different values"):
        require_equal("pictures", PICTURES, changed(PICTURES, allowed + 1))


@pytest.mark.parametrize(
    "array",
    [PICTURES.astype(np.int32), PICTURES[..., :2], PICTURES[0, 0], PICTURES > 100],
    ids=["integers", "two colours", "a row", "flags"],
)
def test_all_else_is_compared_to_the_last_bit(array: np.ndarray) -> None:
    other = ~array if array.dtype == bool else changed(array, 1)
    require_equal("numbers", array, array.copy())
    with pytest.raises(Broken, match="numbers gives different values"):
        require_equal("numbers", array, other)


def test_floats_may_differ_in_their_last_digits() -> None:
    numbers = np.linspace(1.0, 2.0, 7, dtype=np.float32)
    require_equal("numbers", numbers, numbers * np.float32(1 + 1e-6))
    with pytest.raises(Broken, match="in \\['b'\\]"):
        require_equal("numbers", {"a": numbers, "b": numbers}, {"a": numbers, "b": numbers * np.float32(1.01)})
