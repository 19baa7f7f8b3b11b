"""Figures: what is drawn, that it can be told apart, and that nothing in a name can break it."""

import io
import itertools
import re
import sys
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from unseen.reports.curves import Band
from unseen.reports.figures import COLOURS, GREY, INK, dots, learning_curves, png, style, svg
from unseen.reports.statistics import Interval

X = np.linspace(0, 1e6, 20)
HOSTILE = ["<script>alert(1)</script>", "$\\frac{$", "_hidden", "a" * 500, "name\x00\x1b\n", "日本語 🐭", '"><img src=x>', "%s {0} \\", " "]


def curve(height):
    return Band(X, np.full(20, height), np.full(20, height - 0.1), np.full(20, height + 0.1))


def luminance(colour):
    channels = np.array(matplotlib.colors.to_rgb(colour))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def contrast(a, b):
    low, high = sorted([luminance(a), luminance(b)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colour", [*COLOURS, GREY])
def test_colours_can_be_seen_on_white_and_on_the_dark_page(colour):
    assert contrast(colour, "#ffffff") >= 3  # WCAG 2.1, 1.4.11
    assert contrast(colour, "#14171c") >= 3


def test_styles_differ_without_colour():
    pairs = {(str(style(n).line), style(n).marker) for n in range(35)}
    assert len(pairs) == 35
    assert all(style(n).line != style(n + 1).line and style(n).marker != style(n + 1).marker for n in range(35))


def test_everything_asked_for_is_drawn():
    references = {"random": -0.5, "perfect memory": 1.0, "oracle": 1.0}
    figure = learning_curves({"one": curve(0.2), "two": curve(0.4)}, y_label="return (points)", references=references, bounds=(0.85, 0.86))
    (axes,) = figure.axes
    solid = [line for line in axes.lines if len(line.get_xdata()) == 20]
    assert [line.get_ydata()[0] for line in solid] == [0.2, 0.4]
    horizontal = sorted(line.get_ydata()[0] for line in axes.lines if len(line.get_xdata()) == 2)
    assert horizontal == [-0.5, 1.0]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["one", "two", "random (−0.5)", "perfect memory, oracle (1)", "optimum, 0.85 to 0.86"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("environment steps", "return (points)")
    low, high = axes.get_ylim()
    assert low < -0.5
    assert high > 1


def test_dots_stand_in_order_from_the_top_with_their_intervals():
    figure = dots({"one": Interval(1, 0, 3), "two": Interval(2, np.nan, np.nan)}, x_label="final return", references={"random": -1})
    (axes,) = figure.axes
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["one", "two"]
    bottom, top = axes.get_ylim()
    assert bottom > top  # downwards
    (bar,) = [collection for collection in axes.collections if len(collection.get_segments())]
    np.testing.assert_allclose(bar.get_segments(), [[[0, 0], [3, 0]]])


def test_hostile_names_stay_text():
    figure = learning_curves({name: curve(k / 10) for k, name in enumerate(HOSTILE)}, y_label=HOSTILE[0], references={HOSTILE[1]: 1})
    text = svg(figure, "figure", HOSTILE[6])
    root = ElementTree.fromstring(text)
    shown = " ".join("".join(root.itertext()).split())
    assert "<script>alert(1)</script>" in shown
    assert "$\\frac{$" in shown
    assert "_hidden" in shown
    assert "日本語" in shown
    assert root.get("aria-label") == '"><img src=x>'
    assert not re.search(r"<(script|img|foreignObject|style|a)\b", text)
    assert "\x00" not in text
    assert dots({name: Interval(0, -1, 1) for name in HOSTILE}, x_label="x") is not None


@given(st.lists(st.text(), min_size=1, max_size=3, unique=True), st.text())
@settings(max_examples=12, deadline=None)
def test_any_name_gives_well_formed_xml(names, alt):
    figure = learning_curves({name: curve(0.5) for name in names}, y_label=alt)
    ElementTree.fromstring(svg(figure, "f", alt))


def test_ids_of_two_figures_do_not_clash_and_links_lead_somewhere():
    figures = [ElementTree.fromstring(svg(learning_curves({"a": curve(0.1)}, bounds=(0, 1)), prefix)) for prefix in ("s1", "s2")]
    ids = [[element.get("id") for element in root.iter() if element.get("id")] for root in figures]
    assert not set(ids[0]) & set(ids[1])
    for root, own in zip(figures, ids):
        links = re.findall(r"(?:url\(|href=\")#([^)\"]*)", ElementTree.tostring(root, encoding="unicode"))
        assert links
        assert set(links) <= set(own)


def test_ink_takes_the_colour_of_the_page_and_the_same_figure_is_the_same_text():
    once, again = (svg(learning_curves({"a": curve(0.1)}), "f", "alt") for _ in range(2))
    assert once == again
    assert "currentColor" in once
    assert INK not in once
    root = ElementTree.fromstring(once)
    assert root.get("width") is None
    assert root.get("viewBox")


def test_png_is_a_picture_on_white():
    image = Image.open(io.BytesIO(png(learning_curves({"a": curve(0.1)}), dpi=50))).convert("RGB")
    assert image.width == 260  # 5.2 inches
    assert image.getpixel((1, 1)) == (255, 255, 255)
    assert len(set(itertools.islice(image.get_flattened_data(), 100_000))) > 10


def test_no_global_state():
    before = dict(matplotlib.rcParams)
    png(learning_curves({"a": curve(0.1)}))
    assert dict(matplotlib.rcParams) == before
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()
