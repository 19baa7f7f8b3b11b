"""What a player is shown: the observation and never the state, the scores, and how the game is played."""

from __future__ import annotations

import base64
import io
import json
import math
from typing import Any

import gymnasium
import numpy as np
import pytest
from PIL import Image
from play_hall import Hall

import unseen
from unseen.commands.play.looking import about, game, view
from unseen.commands.play.observed import data_url, observed
from unseen.commands.play.scores import said, summarise
from unseen.commands.play.session import Session, Settings
from unseen.environments import NoisySignals
from unseen.environments.contract import References, Score
from unseen.errors import UserError


def decoded(url: str) -> np.ndarray:
    kind, _, data = url.partition(",")
    assert kind == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


class Shown:
    """An environment that has nothing but an observation space."""

    def __init__(self, space: gymnasium.Space[Any]):
        self.space = space

    def observation_space(self, params: Any) -> gymnasium.Space[Any]:
        return self.space


def table_of(value: Any, space: gymnasium.Space[Any]) -> list[dict[str, Any]]:
    (part,) = observed(Shown(space), value, ())
    return part["planes"]


# --- observations


def test_a_picture_is_shown_as_it_is() -> None:
    session = Session(Hall("picture"), Settings())
    session.begin()
    (part,) = view(session)["observation"]
    np.testing.assert_array_equal(decoded(part["image"]), session.running.observations[-1])


def test_an_observation_that_can_be_drawn_is_drawn() -> None:
    session = Session(Hall("drawn"), Settings())
    session.begin()
    session.act(1)
    (part,) = view(session)["observation"]
    assert (decoded(part["image"])[0, :, 0] == [0, 0, 0, 255, 0]).all()


def test_names_have_a_part_each() -> None:
    session = Session(Hall("both"), Settings())
    session.begin()
    eye, place = view(session)["observation"]
    assert (eye["name"], place["name"]) == ("eye", "place")
    np.testing.assert_array_equal(decoded(eye["image"]), session.running.observations[-1]["eye"])
    assert place["planes"] == [{"columns": list("01234"), "rows": [["", "0", "0", "1", "0", "0"]]}]


def test_numbers_become_tables() -> None:
    box = gymnasium.spaces.Box
    (part,) = observed(Shown(gymnasium.spaces.Discrete(5, start=-2)), np.int32(2), ())
    assert (part["planes"], part["of"]) == ([{"columns": [], "rows": [["", "2"]]}], "a symbol from -2 to 2")
    (plane,) = table_of(np.arange(23, dtype=np.int32), gymnasium.spaces.MultiDiscrete([99] * 23))
    assert plane["columns"] == list("0123456789")
    assert plane["rows"] == [["0", *map(str, range(10))], ["10", *map(str, range(10, 20))], ["20", "20", "21", "22"]]
    grid = np.arange(12, dtype=np.uint8).reshape(2, 3, 2)
    assert [p["rows"] for p in table_of(grid, box(0, 99, grid.shape, np.uint8))] == [
        [["0", "0", "2", "4"], ["1", "6", "8", "10"]],
        [["0", "1", "3", "5"], ["1", "7", "9", "11"]],
    ]
    layers = np.arange(60, dtype=np.float32).reshape(2, 6, 5) / 7
    assert [len(p["rows"]) for p in table_of(layers, box(-9, 9, layers.shape, np.float32))] == [6, 6]
    assert table_of(np.float32([-0.123456, 1e9]), box(-1e10, 1e10, (2,), np.float32))[0]["rows"] == [["", "-0.1235", "1e+09"]]
    (flag,) = table_of(np.asarray([True, False]), gymnasium.spaces.MultiBinary(2))
    assert flag["rows"] == [["", "1", "0"]]


def test_too_many_numbers_are_not_dumped() -> None:
    large = np.zeros((80, 80, 4), np.uint8)
    (part,) = observed(Shown(gymnasium.spaces.Box(0, 255, large.shape, np.uint8)), large, ())
    assert "too many numbers to read" in part["note"]
    assert "planes" not in part


@pytest.mark.parametrize("picture", [np.zeros((3, 3), np.uint8), np.zeros((3, 3, 3), np.float32), np.zeros((3, 3, 4), np.uint8)])
def test_a_picture_that_is_none_is_refused(picture: np.ndarray) -> None:
    with pytest.raises(UserError, match="must draw uint8"):
        data_url(picture)


class Blind(Hall):
    def draw(self, state: Any, params: Any) -> Any:
        raise AssertionError("the state was drawn")


def test_the_state_stays_hidden_unless_it_is_to_be_revealed() -> None:
    hidden = Session(Blind("vector"), Settings())
    hidden.begin()
    assert view(hidden)["state"] is None
    sides = set()
    for seed in range(6):
        session = Session(Hall("vector"), Settings(seed=seed))
        session.begin()
        sides.add(int(session.running.state.prize_is_right))
        assert view(session) == view(hidden)  # on which side the prize lies is in no answer
    assert sides == {0, 1}
    revealed = Session(Blind("vector"), Settings(reveal=True))
    revealed.begin()
    with pytest.raises(AssertionError, match="the state was drawn"):
        view(revealed)
    shown = Session(Hall("vector"), Settings(reveal=True))
    shown.begin()
    np.testing.assert_array_equal(decoded(view(shown)["state"]), Hall().draw(shown.running.state, ()))


def test_before_between_and_after() -> None:
    session = Session(Hall(), Settings(episodes=2))
    assert {k: view(session)[k] for k in ("stage", "episode", "step", "score")} == {"stage": "ready", "episode": 0, "step": 0, "score": 0.0}
    session.begin()
    assert (view(session)["reward"], view(session)["horizon"], view(session)["legal"]) == (None, 6, [True] * 3)
    session.act(0)
    assert (view(session)["reward"], view(session)["score"], view(session)["legal"]) == (-0.125, -0.125, [True, True, False])
    session.act(0)
    assert (view(session)["stage"], view(session)["terminated"], view(session)["truncated"]) == ("ended", True, False)
    session.begin()
    for action in (0, 1) * 3:
        session.act(action)
    assert (view(session)["stage"], view(session)["terminated"], view(session)["truncated"]) == ("over", False, True)
    json.dumps(view(session), allow_nan=False)


# --- how it is played


def test_the_game_names_keys_clock_and_reference_players() -> None:
    told = game(Session(Hall(clock=5.0), Settings(player="Ada", level="mixed")))
    assert [action["key"] for action in told["actions"]] == ["ArrowLeft", "ArrowRight", "Space"]
    assert (told["framesPerSecond"], told["idle"], told["player"], told["level"]) == (5.0, 2, "Ada", "mixed")
    assert [(r["player"], r["mean"], r["error"]) for r in told["references"]] == [
        ("random", -0.5, 0.01),
        ("perfect memory", 0.5, 0.0),
        ("oracle", 0.875, 0.0),
    ]
    assert game(Session(Hall(idle=None), Settings()))["idle"] is None  # the environment has the last word
    assert game(Session(unseen.make("heavenhell-1"), Settings()))["idle"] is None


def test_the_description_is_the_environments_own_up_to_what_is_for_programmers() -> None:
    assert about(Hall()) == ["Walk to the end of the hall that holds the prize.", "You cannot see which end that is."]
    rooms = about(unseen.make("memory-four-rooms-7x7"))
    assert rooms[0] == "Four rooms with an opening between neighbours; leave by the exit that has the beacon's colour."
    assert not any("Signals" in paragraph or "`" in paragraph for paragraph in rooms)
    assert about(NoisySignals(Hall(), 0.1)) == about(Hall())
    assert about(Blind()) == []


# --- scores


def test_scores_against_hand_computed_ones() -> None:
    references = References(random=Score(1.0), perfect_memory=Score(5.0))
    found = summarise([1.0, 2.0, 3.0, 4.0], references)
    assert found.episodes == 4
    assert found.mean == 2.5
    assert found.standard_error == pytest.approx(math.sqrt(5 / 3) / 2)
    assert found.normalised == pytest.approx(37.5)
    assert found.normalised_error == pytest.approx(25 * math.sqrt(5 / 3) / 2)


def test_what_is_not_known_is_not_said() -> None:
    one = summarise([2.0], References(random=Score(1.0), perfect_memory=Score(5.0)))
    assert math.isnan(one.standard_error)
    assert one.normalised == 25.0
    assert math.isnan(summarise([], References()).mean)
    for references in (References(), References(random=Score(1.0)), References(random=Score(1.0), perfect_memory=Score(1.0))):
        assert math.isnan(summarise([1.0, 2.0], references).normalised)
        assert "normalised" not in said(summarise([1.0, 2.0], references), references)


def test_the_terminal_says_who_scored_what() -> None:
    references = References(random=Score(-2.0, 0.5), perfect_memory=Score(2.0))
    assert said(summarise([1.0, 3.0], references), references).splitlines() == [
        "mean score ± standard error",
        "  you, 2 episodes  2 ± 1",
        "  random           -2 ± 0.5",
        "  perfect memory   2",
        "  normalised, random 0 and perfect memory 100: 100 ± 25",
    ]
