"""What the episode player is given, within what size, and that nothing in it can become part of the page."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from watched_hall import NAMES, vectors, watched

from unseen.errors import UserError
from unseen.reports import player
from unseen.reports.blocks import Details, Player, Section, Text
from unseen.reports.page import Page, html


def data(page):
    (text,) = re.findall(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)
    return json.loads(text)


def shown(uri):
    head, _, body = uri.partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(body))).convert("RGB"))


def test_every_number_of_the_episode_is_there():
    episode = watched()
    told = json.loads(player.document(episode))
    assert told["steps"] == 30
    assert told["actions"] == list(episode.actions)
    assert told["policy"]["names"] == list(NAMES)
    assert told["policy"]["chosen"] == episode.policy.chosen.tolist()
    np.testing.assert_allclose(told["policy"]["probabilities"], episode.policy.probabilities, atol=1e-4)
    np.testing.assert_allclose(told["rewards"], episode.rewards)
    np.testing.assert_allclose(told["values"][:-1], episode.values[:-1], atol=1e-6)
    assert told["values"][-1] is None
    assert [shown(told["pictures"][k])[0, 0, 0] for k in told["shown"]] == list(range(20, 51))


def test_what_was_recalled_comes_with_the_heaviest_first():
    episode = watched()
    told = json.loads(player.document(episode))["recalled"]
    for t, reads in enumerate(told):
        assert len(reads) == min(t, 15)
        assert [step for step, _ in reads] == [t - 1 - k for k in range(len(reads))]
        recorded = dict(zip(episode.reads["step"][t].tolist(), episode.reads["weight"][t].tolist(), strict=True))
        assert all(weight == pytest.approx(recorded[step], abs=1e-4) for step, weight in reads)
    assert "recalled" not in json.loads(player.document(watched(recalls=False)))


def test_a_policy_over_vectors():
    policy = json.loads(player.document(vectors()))["policy"]
    assert set(policy) == {"mean", "deviation", "drawn"}
    np.testing.assert_allclose(policy["drawn"], vectors().policy.drawn, atol=1e-4)


def test_equal_pictures_are_stored_once_and_exactly():
    rng = np.random.default_rng(0)
    few = [rng.choice(rng.integers(0, 256, (200, 3), dtype=np.uint8), (40, 30)) for _ in range(2)]
    told = json.loads(player.document(watched(pictures=few)))
    assert len(told["pictures"]) == 2
    for k in range(31):
        np.testing.assert_array_equal(shown(told["pictures"][told["shown"][k]]), few[k % 2])


def noisy(count, size=120):
    rng = np.random.default_rng(1)
    return [rng.integers(0, 256, (size, size, 3), dtype=np.uint8) for _ in range(count)]


def test_it_stays_within_its_size():
    episode = watched(steps=60, pictures=noisy(61))
    whole = json.loads(player.document(episode))
    assert len(player.document(episode)) < player.LARGEST
    assert shown(whole["pictures"][0]).shape == (120, 120, 3)
    smaller = player.document(episode, largest=900_000)
    assert len(smaller) <= 900_000
    assert max(shown(json.loads(smaller)["pictures"][0]).shape) < 120  # made smaller first
    assert len(json.loads(smaller)["pictures"]) == 61
    fewer = json.loads(player.document(episode, largest=200_000))
    assert len(json.dumps(fewer)) <= 250_000
    assert 2 <= len(fewer["pictures"]) < 61
    assert fewer["drawn"][0] == 0
    assert fewer["drawn"][-1] == 60  # first and last are kept
    assert all(drawn <= t for t, drawn in enumerate(fewer["drawn"]))
    drawn = np.unique(fewer["drawn"])
    assert len(drawn) == len(fewer["pictures"])


def test_numbers_alone_may_be_too_many():
    episode = watched(steps=200)
    assert player.fits(episode)
    assert not player.fits(episode, largest=20_000)
    with pytest.raises(UserError, match=r"200 steps of this episode take .* bytes without pictures"):
        player.document(episode, largest=20_000)


def test_names_stay_text():
    episode = watched()
    page = html(Page("p", [Section("s", [Player(episode, "caption <i>")])]))
    assert data(page)["policy"]["names"][0] == NAMES[0]
    assert not re.search(r"<(img|i|b)\b", page)
    assert 'aria-label="Episode of hall &lt;b&gt;&amp;&lt;/b&gt;"' in page
    assert page.count("<script") == page.count("</script") == 2  # the data, and the player
    assert re.findall(r"<script[^>]*>", page) == ['<script type="application/json">', "<script>"]
    hostile = replace(episode, actions=("<!--<script>\u2028\x00\ud800",) * 30)
    assert "<!--" not in player.document(hostile)
    player.document(hostile).encode()


def test_the_page_lets_the_players_script_run_and_no_other():
    page = html(Page("p", [Section("s", [Details("d", [Player(watched(), "c")]), Player(vectors(), "c")])]))
    policy = re.search('http-equiv="Content-Security-Policy" content="([^"]*)"', page)[1]
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{allowed}'"
    assert not re.search(r"https?:|//[a-z]+\.|@import|innerHTML|eval\(", page.replace("//evil.example", ""))
    without = html(Page("p", [Section("s", [Text("t")])]))
    assert "script" not in re.search('content="([^"]*)"', without)[1]
    assert ".player" not in without


def test_without_scripts_the_player_hides():
    page = html(Page("p", [Section("s", [Player(watched(), "c")])]))
    (figure,) = re.findall(r'<figure class="player"[^>]*>', page)
    assert figure.endswith(" hidden>")
    assert 'tabindex="0"' in figure
    assert "<noscript>" in page
