"""A report as one self-contained HTML file: nothing loaded from anywhere, no script but the player's, light and dark, wide and narrow."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

from unseen import __version__
from unseen.errors import UserError
from unseen.reports.blocks import Player, Section, holds, render
from unseen.reports.summary import ReportableRun, RunSummary, summarise
from unseen.reports.text import escape
from unseen.runs.files import local_path, make_directory, write_atomic

# Even if something slipped through the escaping, a browser would neither run nor fetch it. The player's script is known by its hash.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


@dataclass(frozen=True)
class Page:
    """Sections under one title; a page grows by `page.add(section, ...)`."""

    title: str
    sections: Sequence[Section] = ()
    lead: str = ""
    """One or two sentences below the title."""

    def add(self, *sections: Section) -> Page:
        """The page with these sections after its own."""
        return replace(self, sections=(*self.sections, *sections))


def html(page: Page) -> str:
    """The whole document, every string in it escaped; the same page gives the same text."""
    policy, css, script = POLICY, _file("page.css"), ""
    if holds(page.sections, Player):
        from unseen.reports import player

        policy, css, script = f"{POLICY}; {player.policy()}", css + _file("player.css"), f"<script>{player.script()}</script>\n"
    links = "".join(f'<li><a href="#s{k}">{escape(section.title)}</a></li>' for k, section in enumerate(page.sections, 1))
    parts = [
        f"<header><h1>{escape(page.title)}</h1>",
        f"<p>{escape(page.lead)}</p>" if page.lead else "",
        f'<nav aria-label="Sections"><ul>{links}</ul></nav>' if len(page.sections) > 1 else "",
        "</header>\n<main>",
        *(render(section, f"s{k}") for k, section in enumerate(page.sections, 1)),
        f"</main>\n<footer>Written by unseen {escape(__version__)}.</footer>",
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(page.title)}</title>\n<style>\n{css}</style>\n</head>\n<body>\n"
        + "\n".join(parts)
        + f"\n{script}</body>\n</html>\n"
    )


def write(page: Page, path: str | os.PathLike[str]) -> Path:
    """Write a page as one file, whole or not at all; a file of that name is replaced.

    Raises:
        UserError: the path is a directory or cannot be written.
    """
    path = local_path(path)
    if path.is_dir():
        raise UserError(f"{str(path)!r} is a directory; give the report a file name, as in {str(path / 'report.html')!r}")
    text = html(page)
    make_directory(path.parent)
    write_atomic(path, text.encode())
    return path


def report(runs: Sequence[ReportableRun | RunSummary], path: str | os.PathLike[str] = "report.html", title: str | None = None) -> Path:
    """Write one page about one or several runs; runs on the same environment are also compared with the first of them.

    Args:
        runs: what `unseen.train` or `unseen.load` returned, or summaries.
        path: of the HTML file.
        title: of the page; made from the number of runs by default.

    Returns:
        The path of the file.

    Raises:
        UserError: no runs, or a path that cannot be written.
    """
    from unseen.reports.training import pages_sections

    if not runs:
        raise UserError("no runs to report; give at least one, as in unseen.report([run], 'report.html')")
    summaries = [run if isinstance(run, RunSummary) else summarise(run) for run in runs]
    if title is None:
        title = "A training run" if len(summaries) == 1 else f"{len(summaries)} runs compared"
    return write(Page(title, pages_sections(summaries)), path)


def _file(name: str) -> str:
    return resources.files("unseen.reports").joinpath(name).read_text(encoding="utf-8")
