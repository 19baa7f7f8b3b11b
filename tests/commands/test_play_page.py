"""The page in a real browser: it runs, shows the observation, and keys change the game."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from play_hall import Hall
from test_play_server import serving

import unseen
from unseen.commands.play.session import Session, Settings

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update --disable-sync"


def browsed(session: Session, demo: str, folder: Path) -> str:
    """The page after its keys were pressed, as Chromium would write it down."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium")
    with serving(session) as server:
        command = [CHROMIUM, *FLAGS.split(), f"--user-data-dir={folder}", "--virtual-time-budget=10000", "--dump-dom"]
        done = subprocess.run([*command, f"{server.address}#demo={demo}"], capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


def attributes(page: str) -> dict[str, str]:
    """What the page says of itself."""
    (body,) = re.findall(r"<body([^>]*)>", page)
    return dict(re.findall(r'data-(\w+)="(\w*)"', body))


def test_before_anything_is_pressed(tmp_path: Path) -> None:
    page = browsed(Session(Hall(), Settings(player="Ada <b>")), "", tmp_path)
    assert attributes(page) == {"stage": "ready", "step": "0", "episode": "0"}
    assert "Ready?" in page
    assert "player Ada &lt;b&gt;" in page  # text stays text
    assert "<img" not in page
    assert [re.sub("<.*?>", " ", line).split() for line in re.findall(r'<button type="button" tabindex.*?</button>', page)] == [
        ["left", "←", "1"],
        ["right", "→", "2"],
        ["stay", "space", "3"],
    ]


def test_keys_change_the_game_and_the_picture_appears(tmp_path: Path) -> None:
    session = Session(Hall(), Settings())
    page = browsed(session, "ArrowRight,x,Space,1,ArrowLeft", tmp_path)
    assert session.running.actions == [1, 2, 0, 0]
    assert attributes(page) == {"stage": "playing", "step": "4", "episode": "1"}
    assert "−0.5" in page  # four eighths lost
    (image,) = re.findall(r"<img[^>]*>", page)
    assert "data:image/png;base64," in image
    (width,) = re.findall(r"width: (\d+)px", image)  # set once the browser has read the picture
    assert int(width) % 60 == 0
    assert int(width) >= 300
    (stay,) = (button for button in re.findall(r"<button type.*?</button>", page) if "stay" in button)
    assert "disabled" in stay  # in this cell nobody may


def test_an_episode_ends_with_the_scores_and_enter_begins_the_next(tmp_path: Path) -> None:
    session = Session(Hall("both"), Settings(episodes=3))
    page = browsed(session, "2,2,ArrowRight,d,ArrowRight,Enter,1", tmp_path)
    assert len(session.scores) == 2
    assert session.running.actions == [0]
    assert attributes(page) == {"stage": "playing", "step": "1", "episode": "3"}
    ended = browsed(session, "1", tmp_path)  # loaded again in the middle of an episode
    assert attributes(ended) == {"stage": "over", "step": "2", "episode": "3"}
    for said in ("perfect memory", "normalised", "mean of 3", "That was the last one"):
        assert said in ended


def test_time_runs_where_it_should(tmp_path: Path) -> None:
    running = Session(Hall(clock=10.0), Settings())
    assert attributes(browsed(running, "x", tmp_path))["stage"] == "ended"
    assert running.finished[0].actions.tolist() == [2] * 6  # nothing was done until the time was over
    standing = Session(Hall(clock=10.0, idle=None), Settings())
    assert attributes(browsed(standing, "x", tmp_path)) == {"stage": "playing", "step": "0", "episode": "1"}


def test_a_key_counts_though_it_was_let_go_between_two_ticks(tmp_path: Path) -> None:
    session = Session(Hall(clock=1.0), Settings())
    browsed(session, "ArrowRight", tmp_path)
    assert session.running.actions[:1] == [1]


class Combined(Hall):
    action_names: Any = ("left", "right", "left + right")


def test_two_keys_together_play_what_is_put_together(tmp_path: Path) -> None:
    session = Session(Combined(clock=10.0, idle=None), Settings())
    page = browsed(session, "ArrowLeft+ArrowRight", tmp_path)
    assert 2 in session.running.actions
    assert attributes(page)["stage"] == "playing"


def test_of_many_actions_the_number_is_typed(tmp_path: Path) -> None:
    session = Session(unseen.make("count-recall-easy"), Settings())
    page = browsed(session, "1,2,Enter,7,Backspace,5,Enter,9,9,Enter,4,Escape,Enter,2", tmp_path)
    assert session.running.actions == [12, 5]
    assert "2 … Enter plays it" in page


def test_two_windows_play_one_game(tmp_path: Path) -> None:
    session = Session(Hall(), Settings())
    browsed(session, "2", tmp_path)
    browsed(session, "1", tmp_path)
    assert session.running.actions == [1, 0]
