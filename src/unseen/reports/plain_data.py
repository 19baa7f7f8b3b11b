"""Figures as JSON takes them."""

from __future__ import annotations

import math
from typing import Any


def finite(value: Any) -> Any:
    """The same with None for numbers that are not finite, which JSON does not know; inside mappings and lists too."""
    if isinstance(value, dict):
        return {name: finite(each) for name, each in value.items()}
    if isinstance(value, list):
        return [finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
