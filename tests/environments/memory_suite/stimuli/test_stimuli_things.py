"""Colours and objects of the worlds, compared with the specification's table and counted in plain Python."""

from __future__ import annotations

import itertools

import numpy as np

from unseen.environments.memory_suite.stimuli import things
from unseen.environments.memory_suite.stimuli.things import COLOUR_NAMES, COLOURS, OUTLINES, H, T

# specification of the memory suite, 3.3, as written there
TRAIN = "amethyst 240,163,255 · mallow 194,0,136 · jade 148,255,181 · caramel 153,63,0 · honeydew 255,204,153"
HOLDOUT = "violet 116,10,255 · lime 157,204,0 · orange 255,164,5 · sky 94,241,242 · yellow 255,255,0"


def parsed(text: str) -> dict[str, tuple[int, ...]]:
    return {name: tuple(map(int, numbers.split(","))) for name, numbers in (item.split() for item in text.split(" · "))}


def test_colours_are_those_of_the_specification() -> None:
    assert dict(things.TRAIN_COLOURS) == parsed(TRAIN)
    assert dict(things.HOLDOUT_COLOURS) == parsed(HOLDOUT)
    assert (*parsed(TRAIN), *parsed(HOLDOUT)) == COLOUR_NAMES
    assert COLOURS.dtype == np.uint8
    assert COLOURS.tolist() == [list(rgb) for rgb in (*parsed(TRAIN).values(), *parsed(HOLDOUT).values())]


def test_the_sets_of_objects_are_every_outline_in_the_colours_of_their_split() -> None:
    for objects, colours, indices in ((T, range(5), things.TRAIN_INDICES), (H, range(5, 10), things.HOLDOUT_INDICES)):
        assert objects.dtype == np.int32
        assert [tuple(row) for row in objects.tolist()] == list(itertools.product(range(len(OUTLINES)), colours))
        assert len(objects) >= 9
        assert indices.tolist() == list(colours)
    assert OUTLINES == ("box", "ball", "cone", "diamond", "cross", "hourglass", "ring", "tee")


def test_no_outline_has_a_held_out_colour_in_training() -> None:
    shown = {(OUTLINES[outline], tuple(COLOURS[colour].tolist())) for outline, colour in T}
    assert not any((OUTLINES[outline], tuple(COLOURS[colour].tolist())) in shown for outline, colour in H)
    assert len(shown) == len(T)
