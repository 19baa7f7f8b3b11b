"""What a page is made of: typed blocks of plain text, numbers and pictures. Nothing here takes HTML, so everything is escaped."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from unseen.errors import UserError
from unseen.experiments.watched import Watched
from unseen.reports.statistics import Interval
from unseen.reports.text import escape, interval, number

if TYPE_CHECKING:  # matplotlib takes a while to import; a page without figures does not need it
    import matplotlib.figure

Cell = str | int | float | Interval | None
MIME = {b"\x89PNG\r\n\x1a\n": "image/png", b"GIF89a": "image/gif", b"GIF87a": "image/gif", b"\xff\xd8\xff": "image/jpeg"}


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str
    kind: Literal["plain", "soft", "verdict", "good", "poor"] = "plain"
    """"soft" is small print; "verdict", "good" and "poor" stand out, with a neutral, green or orange edge."""


@dataclass(frozen=True)
class Table:
    """A table whose first column names the rows; numbers and intervals are aligned to the right, None is a dash."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""


@dataclass(frozen=True)
class Figure:
    """A figure of `unseen.reports.figures`."""

    figure: matplotlib.figure.Figure
    caption: str
    alt: str


@dataclass(frozen=True)
class Pictures:
    """PNG, GIF or JPEG files, shown at their own size in a row that scrolls."""

    files: Sequence[bytes]
    caption: str
    alt: str


@dataclass(frozen=True)
class Player:
    """An episode to play step by step, where the reader's browser runs scripts; nothing where it does not."""

    watched: Watched
    """What `run.watched()` returned."""

    caption: str


@dataclass(frozen=True)
class Code:
    """Something to type."""

    text: str


@dataclass(frozen=True)
class Details:
    """Blocks that are folded away until asked for."""

    summary: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Section:
    """Blocks under a heading; sections may hold sections."""

    title: str
    blocks: Sequence[Block]


Block = Text | Table | Figure | Pictures | Player | Code | Details | Section


def render(block: Block, identity: str, level: int = 2) -> str:
    """A block as HTML.

    Args:
        block: what to show.
        identity: unique on the page; ids inside the block start with it.
        level: of a section's heading, 2 to 6.
    """
    match block:
        case Text(text, "plain"):
            return f"<p>{escape(text)}</p>"
        case Text(text, kind):
            return f'<p class="{"soft" if kind == "soft" else f"verdict {kind}"}">{escape(text)}</p>'
        case Table():
            return _table(block, identity)
        case Figure(figure, caption, alt):
            from unseen.reports.figures import svg

            return f"<figure>{svg(figure, identity, alt)}<figcaption>{escape(caption)}</figcaption></figure>"
        case Pictures(files, caption, alt):
            images = "".join(f'<img src="{_data(file)}" alt="{escape(alt)}">' for file in files)
            return f'<figure><div class="wide" tabindex="0">{images}</div><figcaption>{escape(caption)}</figcaption></figure>'
        case Player(watched, caption):
            from unseen.reports.player import html

            return html(watched, caption, identity)
        case Code(text):
            return f'<pre tabindex="0"><code>{escape(text)}</code></pre>'
        case Details(summary, blocks):
            return f"<details><summary>{escape(summary)}</summary>{_all(blocks, identity, level)}</details>"
        case Section(title, blocks):
            heading = f'<h{level} id="{identity}">{escape(title)}</h{level}>'
            return f"<section>{heading}{_all(blocks, identity, min(level + 1, 6))}</section>"
    raise UserError(f"a page cannot show {type(block).__name__}; use Text, Table, Figure, Pictures, Player, Code, Details or Section")


def holds(blocks: Sequence[Block], kind: type) -> bool:
    """Whether there is a block of this kind among them, at any depth."""
    return any(isinstance(b, kind) or (isinstance(b, Details | Section) and holds(b.blocks, kind)) for b in blocks)


def _all(blocks: Sequence[Block], identity: str, level: int) -> str:
    return "\n".join(render(block, f"{identity}-{k}", level) for k, block in enumerate(blocks, 1))


def _table(table: Table, identity: str) -> str:
    for k, row in enumerate(table.rows):
        if len(row) != len(table.columns):
            raise UserError(f"row {k} of the table has {len(row)} cells for {len(table.columns)} columns")
    right = [any(_numeric(row[j]) for row in table.rows) and j > 0 for j in range(len(table.columns))]
    attribute = [' class="number"' if r else "" for r in right]
    head = "".join(f'<th scope="col"{a}>{escape(name)}</th>' for name, a in zip(table.columns, attribute))
    body = "".join(
        "<tr>"
        + "".join(f'<th scope="row">{_cell(c)}</th>' if j == 0 else f"<td{attribute[j]}>{_cell(c)}</td>" for j, c in enumerate(row))
        + "</tr>"
        for row in table.rows
    )
    named = f' aria-labelledby="{identity}"' if table.caption else ""
    grid = f'<div class="wide" tabindex="0"><table{named}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    if not table.caption:
        return grid
    # Beside the table, not in it: a caption inside would scroll away with a wide table on a phone.
    return f'<figure class="table"><figcaption id="{identity}">{escape(table.caption)}</figcaption>{grid}</figure>'


def _numeric(cell: Cell) -> bool:
    return isinstance(cell, int | float | Interval) and not isinstance(cell, bool)


def _cell(cell: Cell) -> str:
    match cell:
        case None:
            return "–"
        case Interval():
            return escape(interval(cell))
        case bool():
            return "yes" if cell else "no"
        case int() | float():
            return escape(number(cell))
        case _:
            return escape(str(cell))


def _data(file: bytes) -> str:
    mime = next((mime for magic, mime in MIME.items() if file.startswith(magic)), None)
    if mime is None:
        raise UserError("a picture on a page must be a PNG, GIF or JPEG file")
    return f"data:{mime};base64,{base64.b64encode(file).decode()}"
