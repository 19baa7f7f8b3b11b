"""Which key plays which action, for the action names that there are and for any others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unseen.commands.play.keys import bindings, idle_action

PUSH = ("forward", "backward", "strafe left", "strafe right", "look left", "look right", "look left + forward", "forward and look right")


@pytest.mark.parametrize(
    ("names", "keys"),
    [
        (("forward", "backward", "left", "right", "turn left", "turn right"), ("w", "s", "a", "d", "ArrowLeft", "ArrowRight")),
        (("turn_left", "turn_right", "move forward"), ("ArrowLeft", "ArrowRight", "ArrowUp")),
        (PUSH, ("w", "s", "a", "d", "ArrowLeft", "ArrowRight", "", "")),
        (("look left", "look right", "look up", "look down", "no-op"), ("ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Space")),
        (("north", "south", "east", "west"), ("ArrowUp", "ArrowDown", "ArrowRight", "ArrowLeft")),
        (("query", "left", "right", "up", "down", "buy"), ("q", "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "b")),
        (("left", "centre", "right"), ("ArrowLeft", "Space", "ArrowRight")),
        (("keep still", "new", "old"), ("Space", "n", "o")),
        (("push left", "push right"), ("ArrowLeft", "ArrowRight")),
        (("spades", "diamonds", "clubs", "hearts"), ("s", "d", "c", "h")),
        (("none", "chemo", "radio", "both"), ("Space", "c", "r", "b")),
        (("force -1", "force +1", "stay"), ("", "", "Space")),  # one initial for two actions helps nobody
        (("up", "up", "up"), ("ArrowUp", "w", "u")),
    ],
)
def test_names_that_are_understood(names: tuple[str, ...], keys: tuple[str, ...]) -> None:
    assert tuple(binding.key for binding in bindings(names, len(names))) == keys


def test_two_keys_together_for_what_is_put_together() -> None:
    chords = [binding.chord for binding in bindings(PUSH, 8)]
    assert chords == [()] * 6 + [("ArrowLeft", "w"), ("w", "ArrowRight")]
    assert bindings(("forward", "forward + jump"), 2)[1].chord == ()  # there is no action "jump"


def test_digits_for_up_to_nine_actions_and_their_own_numbers_for_more() -> None:
    assert [binding.number for binding in bindings(None, 9)] == list("123456789")
    assert [binding.number for binding in bindings(None, 12, first=3)] == [str(k) for k in range(3, 15)]
    assert [binding.name for binding in bindings(None, 2, first=5)] == ["action 5", "action 6"]
    assert not any(binding.key for binding in bindings(None, 9))


def test_the_action_that_does_nothing() -> None:
    assert idle_action(("left", "no op", "stay")) == 1
    assert idle_action(("left", "centre", "none")) is None  # looking at the centre, or giving nobody a medicine, is something
    assert idle_action(None) is None


words = st.sampled_from([*PUSH, "up", "down", "left", "north", "West", "stay", "centre", "wait", "look up", "a", "s", "w", "d", "Enter"])


@given(st.lists(words | st.text(max_size=12), min_size=1, max_size=30))
def test_no_key_plays_two_actions(names: list[str]) -> None:
    found = bindings(names, len(names))
    keys = [binding.key for binding in found if binding.key]
    assert len(set(keys)) == len(keys)
    assert not {"Enter", "Escape", "Backspace"} & set(keys)  # they have a meaning of their own on the page
    assert not any(key.isdigit() for key in keys)
    assert len({binding.number for binding in found}) == len(names)
    assert [binding.name for binding in found] == names
    for binding in found:
        assert set(binding.chord) <= set(keys)
