"""The object photographs of Brady, Konkle, Alvarez and Oliva (2008), for those who have them; none comes with this package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from unseen.environments import options
from unseen.environments.memory_suite.stimuli import catalogue
from unseen.errors import UserError, unknown

ENDINGS = (".jpg", ".jpeg", ".png")


def load(folder: str | Path, side: int) -> UInt8[np.ndarray, "2400 side side 3"]:
    """The photographs at one size; entry i is image i + 1 of the split of `catalogue.image_ids`.

    Images are numbered from 1 in the order of their files' names, character by character (capitals first). A folder with more
    than 2,400 of them is refused like one with fewer: one picture too many would shift the ids after it, and with them what is
    held out. Transparent places become white; hidden files (names that start with a dot) are passed over.

    Args:
        folder: with the 2,400 square pictures, jpg, jpeg or png, in any sizes.
        side: of the pictures returned, 1 to 1024 pixels; each pixel is the mean of the area it covers.

    Raises:
        UserError: no such folder, another number of pictures, one that is unreadable or not square (named).

    Source: specification of the memory suite, 3.1: 2,400 images, indexed 1 to 2400 in sorted order.
    """
    options.require_integer("photographs", "side", side, 1, 1024)
    return np.stack([_read(file, side) for file in listed(folder)])


def listed(folder: str | Path) -> list[Path]:
    """The files of the photographs, in order.

    Raises:
        UserError: no such folder, or another number of pictures.
    """
    folder = Path(folder)
    if not folder.is_dir():
        above = folder.parent
        neighbours = [str(path) for path in above.iterdir() if path.is_dir()] if above.is_dir() else []
        raise unknown(f"folder of photographs (there is no folder of that name in {str(above)!r})", str(folder), neighbours)
    found = (path for path in folder.iterdir() if path.suffix.lower() in ENDINGS and not path.name.startswith("."))
    files = sorted(found, key=lambda path: path.name)
    if len(files) != catalogue.IMAGES:
        raise UserError(
            f"{str(folder)!r} holds {len(files)} pictures ({', '.join(ENDINGS)}); give a folder with exactly the {catalogue.IMAGES} object "
            "photographs, because their order numbers them"
        )
    return files


def _read(file: Path, side: int) -> UInt8[np.ndarray, "side side 3"]:
    try:
        with Image.open(file) as opened:
            picture = opened.convert("RGBA")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{str(file)!r} cannot be read as a picture ({reason}); copy it again or convert it") from error
    if picture.width != picture.height:
        raise UserError(f"{str(file)!r} is {picture.width} by {picture.height} pixels; give square pictures")
    white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
    return np.asarray(Image.alpha_composite(white, picture).convert("RGB").resize((side, side), Image.Resampling.BOX))
