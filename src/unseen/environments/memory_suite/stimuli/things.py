"""What stands in the worlds: the two sets of five colours, and objects of an outline and a colour that no split shares."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
from jaxtyping import Int

from unseen.environments.memory_suite.stimuli.catalogue import require_disjoint

# Name -> red, green, blue of change detection: specification of the memory suite, 3.3, in the order given there.
TRAIN_COLOURS = MappingProxyType(
    {
        "amethyst": (240, 163, 255),
        "mallow": (194, 0, 136),
        "jade": (148, 255, 181),
        "caramel": (153, 63, 0),
        "honeydew": (255, 204, 153),
    }
)
HOLDOUT_COLOURS = MappingProxyType(
    {
        "violet": (116, 10, 255),
        "lime": (157, 204, 0),
        "orange": (255, 164, 5),
        "sky": (94, 241, 242),
        "yellow": (255, 255, 0),
    }
)
require_disjoint("colours", TRAIN_COLOURS.values(), HOLDOUT_COLOURS.values())

COLOUR_NAMES = (*TRAIN_COLOURS, *HOLDOUT_COLOURS)  # 0 to 4 train, 5 to 9 are held out
COLOURS = np.asarray([*TRAIN_COLOURS.values(), *HOLDOUT_COLOURS.values()], np.uint8)  # (10, 3)
TRAIN_INDICES = np.arange(len(TRAIN_COLOURS), dtype=np.int32)
HOLDOUT_INDICES = np.arange(len(TRAIN_COLOURS), len(COLOUR_NAMES), dtype=np.int32)

OUTLINES = ("box", "ball", "cone", "diamond", "cross", "hourglass", "ring", "tee")


def _every(colours: Int[np.ndarray, "5"]) -> Int[np.ndarray, "40 2"]:
    """Every outline in every one of these colours: (outline, colour), outlines first."""
    return np.stack(np.meshgrid(np.arange(len(OUTLINES), dtype=np.int32), colours, indexing="ij"), axis=-1).reshape(-1, 2)


# The objects of transitive inference, rows of (index in OUTLINES, index in COLOURS). *Proposed* (specification of the memory
# suite, 3.13): the original's objects are not known. All outlines are in both sets, in other colours: 40 objects each, and a
# chain needs up to 9.
T = _every(TRAIN_INDICES)
H = _every(HOLDOUT_INDICES)
require_disjoint("objects of transitive inference", T, H)
