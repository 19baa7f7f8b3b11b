"""The episode player in a real browser: keys, slider, buttons and map go to steps, and what is shown is what was recorded."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from watched_hall import NAMES, vectors, watched

from unseen.reports import page
from unseen.reports.blocks import Pictures, Player, Section
from unseen.reports.episode import strip

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update --disable-sync"

# Does what it is told, one thing after the other, and writes down what the page shows after each.
DRIVER = """
const told = %s, seen = [];
const figure = document.querySelector("figure.player");
const find = (what) => figure.querySelector(what);
const shown = () => new Promise((done) => setTimeout(done, 20));
const text = (what) => [...figure.querySelectorAll(what)].map((one) => one.textContent);
const acts = {
  key: (key) => (document.activeElement.closest("figure") || figure).dispatchEvent(
    new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true })),
  focus: (what) => find(what).focus(),
  slide: (to) => { find("input").value = to; find("input").dispatchEvent(new Event("input", { bubbles: true })); },
  press: (label) => [...figure.querySelectorAll("button")].find((one) => (one.ariaLabel || one.textContent).includes(label)).click(),
  wait: (ms) => new Promise((done) => setTimeout(done, ms)),
  map: (share) => {
    const canvas = find("canvas"), box = canvas.getBoundingClientRect();
    const left = 42, right = 12;  // the margins of the map
    const event = { clientX: box.left + left + share * (box.width - left - right), clientY: box.top + 50, pointerId: 1, bubbles: true };
    canvas.setPointerCapture = () => {};  // there is no such pointer to capture
    canvas.dispatchEvent(new PointerEvent("pointerdown", event));
  },
};
(async () => {
  for (const [act, value] of told) {
    if (act !== "look") await acts[act](value);
    await shown();
    const canvas = find("canvas");
    seen.push({
      step: figure.dataset.step, slider: find("input").value, said: find("input").getAttribute("aria-valuetext"), hidden: figure.hidden,
      title: text(".title")[0], facts: text("dd"), note: text(".picture p")[0], picture: find(".picture img").src,
      rows: text(".policy .row"), chosen: text(".policy .chosen .name"), more: text(".recalled + p")[0],
      recalled: [...figure.querySelectorAll(".recalled li[data-step]")].map((one) =>
        [one.dataset.step, one.dataset.weight, one.textContent, one.querySelector("img").src, one.querySelector(".fill").style.width]),
      map: canvas && canvas.ariaLabel,
      ink: canvas && canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.reduce((sum, x) => sum + x, 0),
      play: text(".play")[0],
    });
  }
  document.body.append(Object.assign(document.createElement("pre"), { id: "seen", textContent: JSON.stringify(seen) }));
})();
"""


def browsed(folder, episode, driver, scripts=True):
    """The page after its driver has run, opened from a file, as Chromium would write it down."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium")
    still = Pictures([strip(list(episode.pictures[:2]))], "strip", "strip")
    text = page.html(page.Page("A run", [Section("An episode", [still, Player(episode, "caption")])]))
    allowed = base64.b64encode(hashlib.sha256(driver.encode()).digest()).decode()
    policy = f"script-src 'sha256-{allowed}' " if scripts else "script-src 'none'; base-uri "
    assert text.count("script-src ") == 1
    text = text.replace("script-src ", policy).replace("</body>", f"<script>{driver}</script></body>")
    (folder / "page.html").write_text(text, encoding="utf-8")
    command = [CHROMIUM, *FLAGS.split(), f"--user-data-dir={folder}", "--virtual-time-budget=20000", "--dump-dom"]
    return subprocess.run([*command, (folder / "page.html").as_uri()], capture_output=True, text=True, timeout=120, check=True).stdout


def looked(folder, episode, *told):
    """What the player showed at first, and after each of the things done to it."""
    written = browsed(folder, episode, DRIVER % json.dumps([("look", 0), *told]))
    (text,) = re.findall(r'<pre id="seen">(.*?)</pre>', written, re.DOTALL)
    return json.loads(html.unescape(text))


def test_keys_slider_buttons_and_map_go_to_steps(tmp_path):
    told = [
        *[("key", "ArrowRight")] * 3,
        ("key", "ArrowLeft"),
        ("key", "End"),
        ("key", "ArrowRight"),
        ("key", "Home"),
        ("key", "ArrowLeft"),
        ("slide", 17),
        ("focus", "input"),
        ("key", "ArrowRight"),
        ("press", "Step back"),
        ("press", "End"),
        ("press", "First step"),
        ("press", "Step forward"),
        ("key", "x"),
        ("map", 0.5),
        ("press", "Step 13"),
    ]
    seen = looked(tmp_path, watched(), *told)
    steps = [0, 1, 2, 3, 2, 30, 30, 0, 0, 17, 17, 18, 17, 30, 0, 1, 1, 15, 13]
    assert [int(one["step"]) for one in seen] == steps
    assert [int(one["slider"]) for one in seen] == steps
    assert not any(one["hidden"] for one in seen)
    assert [one["title"].partition(":")[0] for one in seen] == [f"Step {t} of 30" if t < 30 else "After 30 steps" for t in steps]


def test_what_is_shown_is_what_was_recorded(tmp_path):
    episode = watched()
    at = [0, 1, 5, 20, 29, 30]
    seen = looked(tmp_path, episode, *[("slide", t) for t in at])[1:]
    pictures = {}
    for t, one in zip(at, seen, strict=True):
        pictures[t] = one["picture"]
        step, weight = (episode.reads[name][t] if t < 30 else np.zeros(0) for name in ("step", "weight"))
        recorded = sorted(zip(weight[step >= 0].tolist(), step[step >= 0].tolist(), strict=True), reverse=True)
        assert [int(s) for s, *_ in one["recalled"]] == [s for _, s in recorded[:12]]
        assert [float(w) for _, w, *_ in one["recalled"]] == pytest.approx([w for w, _ in recorded[:12]], abs=1e-4)
        for (w, s), (_, _, text, _, width) in zip(recorded[:12], one["recalled"], strict=False):
            assert text == f"step {s}{t - s} agoweight {w:.2f}"
            assert float(width.rstrip("%")) == pytest.approx(100 * w, abs=0.02)
        rest = recorded[12:]
        assert one["more"] == (f"And {len(rest)} more, with {sum(w for w, _ in rest):.2f} of the weight together." if rest else "")
        assert one["facts"][1] == str(int(episode.rewards[: t + 1].sum()))
        assert one["note"] == ""
        assert len(one["rows"]) == 3
        if t < 30:
            chosen = int(episode.policy.chosen[t, 0])
            assert one["title"] == f"Step {t} of 30: {NAMES[chosen]}"  # as text, whatever it looks like
            assert one["chosen"] == [NAMES[chosen]]
            for k, row in enumerate(one["rows"]):
                assert row == f"{NAMES[k]}{episode.policy.probabilities[t, k]:.2f}{' chosen' if k == chosen else ''}"
            assert one["facts"][0] == ("+1" if t % 3 == 2 else "0")
            assert float(one["facts"][2].replace("−", "-")) == pytest.approx(float(episode.values[t]), rel=0.006)
            assert one["map"].startswith(f"Recalled step against step, 30 steps. Step {t} recalled ")
    assert seen[-1]["title"] == "After 30 steps: the episode has ended"
    assert seen[-1]["facts"] == ["–", "10", "–"]
    assert seen[-1]["chosen"] == []
    assert len(set(pictures.values())) == len(at)
    (_, _, _, recalled, _) = next(read for read in seen[2]["recalled"] if read[0] == "1")
    assert recalled == pictures[1]  # the very picture of that step
    assert len({one["ink"] for one in seen}) == len(at)  # the line on the map moves
    assert "recalled step 4, step 3, step 2" in seen[2]["said"]


def test_it_plays_and_pauses(tmp_path):
    seen = looked(tmp_path, watched(), ("press", "Play"), ("wait", 1000), ("press", "Pause"), ("wait", 1000), ("key", " "), ("wait", 8000))
    assert [one["play"] for one in seen] == ["▶ Play", "❚❚ Pause", "❚❚ Pause", "▶ Play", "▶ Play", "❚❚ Pause", "▶ Play"]
    steps = [int(one["step"]) for one in seen]
    assert 3 <= steps[2] <= 7  # five a second
    assert steps[2] <= steps[3] == steps[4] < 8
    assert steps[6] == 30  # where it stops by itself


def test_a_policy_over_vectors_and_no_memory(tmp_path):
    episode = vectors()
    seen = looked(tmp_path, episode, ("key", "End"))
    mean, drawn = episode.policy.mean[0], episode.policy.drawn[0]
    expected = [f"component {k + 1}{mean[k]:.2f} ± 0.25, drew {drawn[k]:.2f}".replace("-", "−") for k in range(2)]
    assert seen[0]["rows"] == expected
    assert seen[0]["recalled"] == []
    assert seen[0]["map"] is None
    assert seen[1]["title"] == "After 6 steps: the time is over"
    assert seen[1]["facts"][2] == "1"  # what is expected after a cut


def test_without_scripts_the_strip_is_shown_and_no_player(tmp_path):
    shown = browsed(tmp_path, watched(), "document.title = 'it ran'", scripts=False)
    assert "it ran" not in re.findall("<title>(.*?)</title>", shown)
    (figure,) = re.findall(r'<figure class="player"[^>]*>', shown)
    assert 'hidden=""' in figure
    assert "data-step" not in figure
    assert '<img src="data:image/png' in shown
    assert "With JavaScript switched on" in shown


def test_a_step_without_a_picture_of_its_own_says_so(tmp_path):
    every_other = np.arange(31) // 2 * 2
    episode = watched()
    episode = replace(episode, shown=every_other, drawn=every_other)
    seen = looked(tmp_path, episode, ("slide", 7), ("slide", 8))
    assert seen[1]["note"] == "The picture is of step 6: not every step was drawn."
    assert seen[2]["note"] == ""
    assert seen[2]["recalled"][0][2].startswith("step 7 (picture of 6)1 ago")
    assert seen[2]["recalled"][1][2].startswith("step 62 ago")
