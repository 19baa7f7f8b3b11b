"""The page: one valid file, everything escaped, nothing fetched, nothing run."""

import itertools
import os
import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unseen.errors import UserError
from unseen.reports.blocks import Code, Details, Figure, Pictures, Section, Table, Text
from unseen.reports.curves import Band
from unseen.reports.episode import animation, strip
from unseen.reports.figures import learning_curves
from unseen.reports.page import Page, html, report, write
from unseen.reports.statistics import Interval

HOSTILE = "</title></style><script>alert('x')</script><img src=//evil.example onerror=alert(1)>\"' & \x00\u202e\ud800"
VOID = {"meta", "img", "br", "hr", "link", "input"}


class Outline(HTMLParser):
    """Elements, ids and text of a page; fails where tags do not close in order."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.attributes, self.ids, self.text, self.headings = [], [], [], [], [], []
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.ids += [value for name, value in attrs if name == "id"]
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)


def figure(label="a"):
    steps = np.linspace(0, 10, 5)
    return learning_curves({label: Band(steps, steps, steps - 1, steps + 1)}, y_label=label)


def every_block(text):
    gif, png = (draw([np.zeros((8, 8, 3), np.uint8)] * 2, [text] * 2) for draw in (animation, strip))
    return [
        *(Text(text, kind) for kind in ("plain", "soft", "verdict", "good", "poor")),
        Table((text, text), [(text, 1.5), (text, Interval(1, 0, 2)), (text, None), (text, True)], text),
        Figure(figure(text), text, text),
        Pictures([png, gif], text, text),
        Code(text),
        Details(text, [Text(text), Section(text, [Text(text)])]),
        Section(text, [Section(text, [Section(text, [Section(text, [Section(text, [Section(text, [])])])])])]),
    ]


@pytest.mark.parametrize("text", [HOSTILE, "plain", ""])
def test_every_block_with_hostile_strings_is_a_valid_self_contained_page(text):
    page = html(Page(text, [Section(text, every_block(text)), Section(text, every_block(text))], text))
    page.encode()
    outline = Outline(page)
    assert not {"script", "iframe", "object", "embed", "link", "base", "form"} & set(outline.tags)
    assert not [name for _, name, _ in outline.attributes if name.startswith("on")]
    assert len(outline.ids) == len(set(outline.ids))
    for tag, name, value in outline.attributes:
        if name in ("src", "href", "xlink:href", "srcset", "poster", "action"):
            assert value.startswith(("data:image/", "#")), (tag, name, value)
        if name in ("href", "xlink:href"):
            assert value[1:] in outline.ids
        if name == "style":
            assert "url(" not in value.replace("url(#", "")
    assert all(value.strip() or not text for tag, name, value in outline.attributes if tag == "img" and name == "alt")
    if text == HOSTILE:
        assert "".join(outline.text).count("<script>alert('x')</script>") > 20  # shown, not run


def test_headings_descend_one_by_one():
    levels = Outline(html(Page("p", [Section("a", every_block("x"))]))).headings
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert max(levels) == 6


def test_the_page_forbids_scripts_and_requests_and_adapts():
    page = html(Page("p"))
    policy = re.search('http-equiv="Content-Security-Policy" content="([^"]*)"', page)[1]
    assert "default-src 'none'" in policy
    assert "script" not in policy
    assert "http" not in policy
    assert "prefers-color-scheme: dark" in page
    assert "width=device-width" in page
    assert not re.search(r"@import|https?:", page)


# Plain strings and tuples, made into blocks by the test: the types' own checks draw random numbers, which a strategy must not.
trees = st.recursive(st.text(), lambda inner: st.tuples(st.text(), st.lists(inner, max_size=3)), max_leaves=12)


def grown(tree, depth=0):
    if isinstance(tree, str):
        return [Text(tree), Code(tree), Table((tree, "x"), [(tree, tree)], tree)][(len(tree) + depth) % 3]
    title, inner = tree
    return [Section, Details][(len(title) + depth) % 2](title, [grown(each, depth + 1) for each in inner])


@given(st.text(), st.lists(st.tuples(st.text(), st.lists(trees, max_size=3)), max_size=3))
@settings(max_examples=60, deadline=None)
def test_any_page_is_well_formed(title, sections):
    outline = Outline(html(Page(title, [Section(name, [grown(tree) for tree in inner]) for name, inner in sections])))
    assert len(outline.ids) == len(set(outline.ids))
    assert outline.headings[0] == 1


def test_tables_align_numbers_and_scroll():
    page = html(Page("p", [Section("s", [Table(("name", "value", "note"), [("a", 1_500, "x"), ("b", "–", "y")])])]))
    assert '<div class="wide" tabindex="0"><table>' in page
    assert '<th scope="col" class="number">value</th>' in page
    assert '<th scope="row">a</th><td class="number">1,500</td><td>x</td>' in page


def test_pages_grow():
    page = Page("p", [Section("one", [])]).add(Section("two", [Text("x")]))
    assert [section.title for section in page.sections] == ["one", "two"]
    assert html(page).index("one") < html(page).index("two")


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (Table(("a", "b"), [("x",)]), "row 0 of the table has 1 cells for 2 columns"),
        (Pictures([b"<svg onload=alert(1)>"], "c", "a"), "PNG, GIF or JPEG"),
    ],
)
def test_what_cannot_be_shown_is_refused(block, message):
    with pytest.raises(UserError, match=message):
        html(Page("p", [Section("s", [block])]))


def test_writing_replaces_the_whole_file_or_nothing(tmp_path, monkeypatch):
    path = write(Page("first"), tmp_path / "new" / "report.html")
    assert path.read_text(encoding="utf-8") == html(Page("first"))
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(UserError, match="no space left"):
        write(Page("second"), path)
    monkeypatch.undo()
    assert [entry.name for entry in path.parent.iterdir()] == ["report.html"]
    assert "first" in path.read_text(encoding="utf-8")
    write(Page("third"), path)
    assert "third" in path.read_text(encoding="utf-8")


def test_impossible_paths_and_empty_reports_are_explained(tmp_path):
    with pytest.raises(UserError, match="is a directory"):
        write(Page("p"), tmp_path)
    with pytest.raises(UserError, match="no runs to report"):
        report([], tmp_path / "report.html")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("unseen.reports", ("jax", "matplotlib", "polars", "scipy")),
        ("unseen.reports.page", ("jax", "matplotlib.pyplot")),
        ("unseen.reports.training", ("jax",)),
    ],
)
def test_imports_stay_cheap(module, absent):
    code = f"import sys, {module}; print([name for name in {absent!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
