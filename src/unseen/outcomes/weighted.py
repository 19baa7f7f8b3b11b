"""Fitting other people's models to weighted rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline


def fit_weighted(model: Any, x: Any, y: Any, weight: Any) -> Any:
    """`model.fit(x, y)` with the rows' weights, which a pipeline is told for its last step; without them where all are alike.

    Raises:
        TypeError: the model takes no weights.
    """
    if np.ptp(weight) == 0:
        return model.fit(x, y)
    name, last = "sample_weight", model
    while isinstance(last, Pipeline):
        step, last = last.steps[-1]
        name = name.removesuffix("sample_weight") + f"{step}__sample_weight"
    return model.fit(x, y, **{name: weight})
