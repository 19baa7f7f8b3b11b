"""Pictures of an episode: the right frames, in order, within bounds."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageSequence

from unseen.errors import UserError
from unseen.reports.episode import GAP, animation, strip


def frames(n, height=10, width=10):
    """Frame k is one grey of its own."""
    return [np.full((height, width, 3), 20 + k, np.uint8) for k in range(n)]


def noise(n, size=60):
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (size, size, 3), dtype=np.uint8) for _ in range(n)]


def test_a_strip_shows_first_and_last_and_evenly_spaced_frames():
    picture = Image.open(io.BytesIO(strip(frames(21), count=5, columns=5, size=50)))
    assert picture.size == (GAP + 5 * (50 + GAP), 50 + 2 * GAP)
    greys = [picture.getpixel((GAP + k * (50 + GAP) + 25, GAP + 25))[0] for k in range(5)]
    assert greys == [20, 25, 30, 35, 40]


def test_rows_fill_from_left_to_right():
    picture = Image.open(io.BytesIO(strip(frames(3), count=3, columns=2, size=50)))
    assert picture.getpixel((GAP + 25, 50 + 2 * GAP + 25))[0] == 22
    assert picture.getpixel((GAP + 50 + GAP + 25, 50 + 2 * GAP + 25))[0] == 246  # paper


def test_captions_are_written_below_their_frame():
    bare, written = (Image.open(io.BytesIO(strip(frames(1), captions, size=100))) for captions in ((), ["left, reward −1"]))
    assert written.height > bare.height
    below = np.asarray(written)[GAP + 100 + 1 :]
    assert below.min() < 100  # ink on paper
    assert np.all(np.asarray(written)[GAP : GAP + 100, GAP : GAP + 100] == 20)  # and none on the frame


def test_an_animation_has_every_frame_and_rests_on_the_last():
    gif = Image.open(io.BytesIO(animation(frames(6), milliseconds=100, size=20)))
    assert gif.n_frames == 6
    assert [frame.convert("RGB").getpixel((5, 5))[0] for frame in ImageSequence.Iterator(gif)] == [20, 21, 22, 23, 24, 25]
    assert [frame.info["duration"] for frame in ImageSequence.Iterator(gif)] == [100] * 5 + [1_000]
    assert gif.info["loop"] == 0


def test_long_episodes_are_thinned():
    gif = Image.open(io.BytesIO(animation(frames(200), count=40, size=10)))
    assert gif.n_frames == 40
    shown = [frame.convert("RGB").getpixel((5, 5))[0] for frame in ImageSequence.Iterator(gif)]
    assert (shown[0], shown[-1]) == (20, 219)


@pytest.mark.parametrize("draw", [strip, animation])
def test_files_stay_within_their_bound(draw):
    large = draw(noise(6))
    small = draw(noise(6), max_bytes=len(large) // 4)
    assert len(small) <= len(large) // 4
    with pytest.raises(UserError, match="max_bytes is 10"):
        draw(noise(6), max_bytes=10)


@given(st.integers(1, 12), st.integers(1, 60), st.integers(1, 60), st.text(max_size=400))
@settings(max_examples=30, deadline=None)
def test_any_shape_and_any_caption_can_be_drawn(n, height, width, caption):
    for data in (strip(frames(n, height, width), [caption] * n), animation(frames(n, height, width), [caption] * n)):
        Image.open(io.BytesIO(data)).load()


def test_small_pictures_stay_crisp():
    board = (np.indices((8, 8)).sum(axis=0) % 2 * 255).astype(np.uint8)
    picture = Image.open(io.BytesIO(strip([np.stack([board] * 3, axis=-1)], size=80)))
    assert set(np.unique(np.asarray(picture)[GAP:-GAP, GAP:-GAP])) == {0, 255}


@pytest.mark.parametrize(
    ("bad", "captions", "message"),
    [
        ([], [], "without frames"),
        ([np.zeros((4, 4, 3), np.uint8), np.zeros((5, 4, 3), np.uint8)], [], "frame 1 is uint8 \\(5, 4, 3\\)"),
        ([np.zeros((4, 4, 3), np.uint8)], ["a", "b"], "2 captions for 1 frames"),
    ],
)
def test_bad_frames_are_named(bad, captions, message):
    with pytest.raises(UserError, match=message):
        strip(bad, captions)
