"""The loader of photographs on 2,400 generated ones: their order, their size, and what is refused."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unseen.environments.memory_suite.stimuli import catalogue
from unseen.environments.memory_suite.stimuli.photographs import _read, load
from unseen.errors import UserError


def colour(number: int) -> tuple[int, int, int]:
    return number // 256, number % 256, 255 - number % 256


def write(path: Path, number: int, side: int = 2) -> None:
    Image.new("RGB", (side, side), colour(number)).save(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2,400 pictures whose colour is their place in sorted order, written last to first; capitals come before small letters."""
    made = tmp_path_factory.mktemp("objects")
    for number in range(2400, 0, -1):
        name = f"Z{number:04d}.PNG" if number <= 3 else f"a{number:04d}.png"
        write(made / name, number, side=1 + number % 3)
    (made / "Thumbs.db").write_bytes(b"not a picture")
    (made / "._a0004.png").write_bytes(b"left by an archive")
    return made


def test_pictures_are_numbered_in_the_order_of_their_names(folder: Path) -> None:
    loaded = load(folder, 4)
    assert loaded.shape == (2400, 4, 4, 3)
    assert loaded.dtype == np.uint8
    expected = np.asarray([colour(number) for number in range(1, 2401)], np.uint8)
    np.testing.assert_array_equal(loaded, np.broadcast_to(expected[:, None, None], loaded.shape))
    # So the first training image, id 2, is the second of the names.
    assert loaded[catalogue.image_ids("train")[0] - 1, 0, 0].tolist() == list(colour(2))


def test_one_picture_too_many_and_one_too_few_are_refused(folder: Path) -> None:
    extra = folder / "another.jpeg"
    write(extra, 0)
    try:
        with pytest.raises(UserError, match=r"holds 2401 pictures \(\.jpg, \.jpeg, \.png\); give a folder with exactly the 2400 object"):
            load(str(folder), 4)
    finally:
        extra.unlink()
    moved = (folder / "a0100.png").rename(folder / "a0100.txt")
    try:
        with pytest.raises(UserError, match="holds 2399 pictures"):
            load(folder, 4)
    finally:
        moved.rename(folder / "a0100.png")


def test_a_missing_folder_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "objects").mkdir()
    with pytest.raises(
        UserError, match=r"unknown folder of photographs \(there is no folder of that name in '.*'\) '.*object';.*objects'\?"
    ):
        load(tmp_path / "object", 4)
    with pytest.raises(UserError, match="allowed: none"):
        load(tmp_path / "nowhere" / "objects", 4)
    with pytest.raises(UserError, match="holds 0 pictures"):
        load(tmp_path / "objects", 4)


@pytest.mark.parametrize("bad", ["2400.jpg", "0001.jpg"])
def test_the_bad_picture_of_a_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: str) -> None:
    monkeypatch.setattr(catalogue, "IMAGES", 3)
    for name in ("0001.jpg", "0002.jpg", "2400.jpg"):
        write(tmp_path / name, 5, side=8)
    (tmp_path / bad).write_bytes(b"<html>not found</html>")
    with pytest.raises(UserError, match=rf"^'.*{bad}' cannot be read as a picture \([^\n]*\); copy it again or convert it$"):
        load(tmp_path, 4)
    Image.new("RGB", (8, 6)).save(tmp_path / bad)
    with pytest.raises(UserError, match=rf"{bad}' is 8 by 6 pixels; give square pictures"):
        load(tmp_path, 4)


@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_pictures_that_are_cut_off_are_refused(tmp_path: Path, ending: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    whole, cut = tmp_path / f"whole.{ending}", tmp_path / f"cut.{ending}"
    Image.fromarray(noise).save(whole)
    data = whole.read_bytes()
    for length in (0, 3, 30, len(data) // 2, len(data) - 200):
        cut.write_bytes(data[:length])
        with pytest.raises(UserError, match="cannot be read as a picture"):
            _read(cut, 16)
    assert _read(whole, 16).shape == (16, 16, 3)


def test_a_pixel_is_the_mean_of_the_area_it_covers(tmp_path: Path) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (12, 12, 3), np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.png")
    means = np.asarray([[picture[4 * r : 4 * r + 4, 4 * c : 4 * c + 4].mean((0, 1)) for c in range(3)] for r in range(3)])
    assert np.abs(_read(tmp_path / "a.png", 3) - means).max() <= 1.0  # rounded once along each axis
    np.testing.assert_array_equal(_read(tmp_path / "a.png", 12), picture)


def test_grey_and_transparent_pictures_become_colours_on_white(tmp_path: Path) -> None:
    Image.new("L", (2, 2), 77).save(tmp_path / "grey.jpg")
    assert set(_read(tmp_path / "grey.jpg", 2).reshape(-1).tolist()) == {77}
    see_through = np.zeros((2, 2, 4), np.uint8)
    see_through[0, 0] = (10, 20, 30, 255)
    Image.fromarray(see_through).save(tmp_path / "clear.png")
    drawn = _read(tmp_path / "clear.png", 2)
    for r, c in itertools.product(range(2), range(2)):
        assert drawn[r, c].tolist() == ([10, 20, 30] if (r, c) == (0, 0) else [255, 255, 255])


@pytest.mark.parametrize("side", [0, 1025])
def test_other_sides_are_refused(tmp_path: Path, side: int) -> None:
    with pytest.raises(UserError, match=f"side={side} is not allowed"):
        load(tmp_path, side)
