"""Gymnasium games in words: two small games written here, of numbers and of texts, through every option of the adapter."""

from __future__ import annotations

import copy
import string
from typing import Any

import gymnasium
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unseen.environments.text import GymnasiumText, TextEnvironment, TextObservation, check_text_environment
from unseen.errors import UserError

spaces = gymnasium.spaces
CHARACTERS = string.printable
TASK = "Find the end of the corridor."
WORDS = ("Go Left", "Go Right", "Wait")


class Corridor(gymnasium.Env[Any, Any]):
    """A corridor of 5 cells with the end at 4; with chance one half the floor moves who waits one cell to the left."""

    def __init__(self, space: Any = None, start: int = 0, cut: int | None = None):
        self.observation_space = space or spaces.Text(100, charset=CHARACTERS)
        self.action_space = spaces.Discrete(3, start=start)
        self.start, self.cut, self.at, self.age = start, cut, 0, 0
        self.played: list[int] = []

    def told(self) -> Any:
        text = f"cell {self.at}"
        return {"seen": text, "age": self.age} if isinstance(self.observation_space, spaces.Dict) else text

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.at, self.age, self.played = int(self.np_random.integers(3)), 0, []
        return self.told(), {"at": self.at}

    def step(self, action: Any) -> Any:
        assert self.action_space.contains(action)
        self.played.append(action)
        self.age += 1
        move = (-1, 1, -int(self.np_random.integers(2)))[action - self.start]
        self.at = max(0, self.at + move)
        ended = self.at == 4
        return self.told(), 1 if ended else 0, np.bool_(ended), self.cut is not None and self.age >= self.cut, {"at": self.at}


class Echo(gymnasium.Env[Any, Any]):
    """Says again what was said, in small letters of at most 20 characters; "bye" ends it."""

    def __init__(self) -> None:
        self.observation_space = spaces.Text(100, charset=CHARACTERS)
        self.action_space = spaces.Text(20, charset=string.ascii_letters + " ")

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return "speak", {"admissible": ["bye", "good day"]}

    def step(self, action: Any) -> Any:
        assert self.action_space.contains(action)
        return f"<{action}>", 0.5, action == "bye", False, {"admissible": ["bye", "well"]}


def corridor(game: Corridor | None = None, **options: Any) -> GymnasiumText:
    return GymnasiumText(game or Corridor(), **{"name": "corridor", "instructions": TASK, "max_steps": 8, "actions": WORDS, **options})


def echo(**options: Any) -> GymnasiumText:
    return GymnasiumText(Echo(), **{"name": "echo", "instructions": "Speak.", "max_steps": 5, **options})


def begun_at(environment: GymnasiumText, cell: int) -> TextObservation:
    """An episode that begins there."""
    return next(seen for seed in range(100) if (seen := environment.reset(seed)).long_term == f"cell {cell}")


def test_a_walk_by_hand():
    environment = corridor()
    assert isinstance(environment, TextEnvironment)
    assert (environment.name, environment.instructions, environment.actions, environment.max_steps) == ("corridor", TASK, WORDS, 8)
    begun_at(environment, 2)
    assert environment.legal() == WORDS
    step = environment.step("  go RIGHT\n")
    assert step == (TextObservation("cell 3"), 0.0, False, False, False, (), 0.0)
    assert environment.step("Go Left").observation.text == "cell 2"
    environment.step("Go Right")
    step = environment.step("Go Right")
    assert (step.reward, step.terminated, step.truncated) == (1.0, True, False)
    assert (type(step.reward), type(step.terminated)) == (float, bool)
    with pytest.raises(UserError, match="over"):
        environment.step("Wait")


def test_a_word_that_is_none_takes_a_step_and_the_game_does_not_hear_of_it():
    environment = corridor(max_steps=3)
    begun_at(environment, 1)
    step = environment.step("jump")
    assert step.illegal
    assert step.observation == ("Your last output was not one of the actions; nothing was done.\n\ncell 1", "")
    assert environment.environment.played == []  # type: ignore[attr-defined]
    assert environment.step("go right").observation.long_term == "cell 2"
    step = environment.step("1")  # the number of an action is not its word
    assert (step.illegal, step.terminated, step.truncated) == (True, False, True)


def test_a_default_is_done_instead():
    environment = corridor(default="go right", describe=lambda observation, info, game: TextObservation(observation, f"age {game.age}"))
    for seed in range(100):
        environment.reset(seed)
        if environment.environment.at == 1:  # type: ignore[attr-defined]
            break
    step = environment.step("jump")
    assert step.illegal
    assert step.observation == ("Your last output was not one of the actions; 'Go Right' was done instead.\n\ncell 2", "age 1")
    step = environment.step("go right")
    assert (step.illegal, step.observation.long_term) == (False, "cell 3")
    assert environment.step("").terminated


def test_who_ends_and_who_cuts():
    environment = corridor(Corridor(cut=2))  # the game cuts
    begun_at(environment, 2)
    environment.step("Go Right")
    step = environment.step("Go Right")  # at its end and cut at once: it ended
    assert (step.terminated, step.truncated) == (True, False)
    begun_at(environment, 2)
    environment.step("Go Left")
    step = environment.step("Go Left")
    assert (step.terminated, step.truncated) == (False, True)
    environment = corridor(max_steps=2)  # the step limit does
    begun_at(environment, 0)
    assert not environment.step("Wait").truncated
    assert environment.step("Wait").truncated


def test_numbers_by_word_and_a_first_number():
    environment = corridor(Corridor(start=5), actions={"east": 6, "west": 5})
    assert environment.actions == ("east", "west")
    begun_at(environment, 1)
    environment.step("east")
    environment.step("West")
    assert environment.environment.played == [6, 5]  # type: ignore[attr-defined]
    assert environment.step("Wait").illegal
    ordered = corridor(Corridor(start=5))
    ordered.reset(0)
    ordered.step("Wait")
    assert ordered.environment.played == [7]  # type: ignore[attr-defined]


def test_what_is_known_of_a_game_is_told():
    environment = corridor(
        Corridor(spaces.Dict({"seen": spaces.Text(100, charset=CHARACTERS), "age": spaces.Discrete(100)})),
        progression=lambda turn: turn.info["at"] / 4,
        signals=lambda game: {"place": str(game.at)},  # type: ignore[attr-defined]
        events=lambda turn: [f"said {turn.action}"] if turn.environment.at > 2 else [],  # type: ignore[attr-defined]
        legal=lambda info, game: WORDS if info["at"] else WORDS[1:],
    )
    assert begun_at(environment, 0).long_term == "cell 0"  # the one text in the dictionary
    assert environment.legal() == ("Go Right", "Wait")
    assert environment.step("Go Left").illegal  # a word, though not now
    assert environment.environment.played == []  # type: ignore[attr-defined]
    assert environment.step("Go Right").progression == 0.25
    assert environment.step("jump").progression == 0.25
    assert not environment.step("Go Left").illegal
    begun_at(environment, 2)
    assert environment.signals() == {"place": "2"}
    assert environment.step("go right").events == ("said Go Right",)


def test_any_text_goes_to_a_game_that_reads_texts():
    environment = echo()
    environment.reset(0)
    assert (environment.actions, environment.legal()) == ((), ())
    step = environment.step(" Good day \n")
    assert (step.observation.text, step.reward, step.illegal) == ("<Good day>", 0.5, False)
    for outside in ("", "12", "a" * 21):
        step = environment.step(outside)
        assert step.illegal
        assert step.observation.text.endswith("nothing was done.\n\n<Good day>")
    assert environment.step("bye").terminated


def test_words_that_are_named_tell_what_is_illegal_and_the_game_answers_the_rest():
    environment = echo(actions=("bye", "Good Day"))
    environment.reset(0)
    assert environment.legal() == ("bye", "Good Day")
    step = environment.step("good day")
    assert (step.observation.text, step.illegal) == ("<Good Day>", False)
    step = environment.step("hello")
    assert (step.observation.text, step.illegal) == ("<hello>", True)
    now = echo(legal=lambda info, game: info["admissible"], default=None)
    now.reset(0)
    assert now.legal() == ("bye", "good day")
    assert not now.step("Good Day").illegal
    assert now.legal() == ("bye", "well")
    step = now.step("good day")
    assert (step.observation.text, step.illegal) == ("<good day>", True)
    with_default = echo(actions=("bye", "hello"), default="hello")
    with_default.reset(0)
    step = with_default.step("99")
    assert (step.observation.text, step.illegal) == (
        "Your last output was not one of the actions; 'hello' was done instead.\n\n<hello>",
        True,
    )


@given(st.text(), st.booleans())
def test_no_text_breaks_an_episode(action: str, default: bool):
    for environment in (corridor(default="Wait" if default else None), echo()):
        environment.reset(0)
        step = environment.step(action)
        assert step.observation.text
        plain = action.strip()
        if environment.name == "corridor":
            assert step.illegal == (plain.casefold() not in ("go left", "go right", "wait"))
        else:
            assert step.illegal == (not 1 <= len(plain) <= 20 or not set(plain) <= set(string.ascii_letters + " "))


@given(st.integers(0, 1_000), st.lists(st.sampled_from((*WORDS, "jump")), max_size=6), st.lists(st.sampled_from(WORDS), max_size=6))
def test_a_snapshot_is_gone_back_to_as_often_as_one_likes(seed: int, before: list[str], after: list[str]):
    environment, other = corridor(max_steps=20), corridor(max_steps=20)

    def said(chosen: GymnasiumText, words: list[str]) -> list[Any]:
        steps: list[Any] = []
        for word in words:
            if not steps or not steps[-1].terminated:
                steps.append(chosen.step(word))
        return steps

    seen = environment.reset(seed)
    begun = said(environment, before)
    if begun and begun[-1].terminated:
        return
    moment = environment.snapshot()
    expected = said(environment, after)
    for chosen in (environment, other, environment):
        assert chosen.restore(moment) == (begun[-1].observation if begun else seen)
        assert said(chosen, after) == expected


class Locked(Corridor):
    """Cannot be copied."""

    def __deepcopy__(self, memo: Any) -> Any:
        raise TypeError("it lies in another program")


def test_a_game_that_cannot_be_copied_says_so_and_can_be_saved():
    environment = corridor(Locked())
    environment.reset(0)
    with pytest.raises(UserError, match=r"copied with copy.deepcopy \(TypeError: it lies in another program\).*save\(environment\)"):
        environment.snapshot()
    assert not environment.step("Wait").illegal  # and goes on

    def save(game: Any) -> Any:
        return game.at, copy.deepcopy(game.np_random)

    def load(game: Any, saved: Any) -> None:
        game.at, game.np_random = saved[0], copy.deepcopy(saved[1])

    check_text_environment(lambda: corridor(Locked(), save=save, load=load))

    def failing(game: Any) -> Any:
        raise OSError("no room")

    broken = corridor(save=failing, load=load)
    broken.reset(0)
    with pytest.raises(UserError, match=r"saved with its save \(OSError: no room\)"):
        broken.snapshot()


def test_what_gymnasium_adds_is_taken_off_and_its_limit_kept():
    gymnasium.register("UnseenCorridor-v0", entry_point=Corridor, max_episode_steps=3)
    try:
        made = gymnasium.make("UnseenCorridor-v0")
        environment = corridor(made, max_steps=None)  # type: ignore[arg-type]
        assert environment.max_steps == 3
        assert environment.environment is made.unwrapped
        begun_at(environment, 0)
        assert [environment.step("Wait").truncated for _ in range(3)] == [False, False, True]
        longer = corridor(gymnasium.make("UnseenCorridor-v0"), max_steps=5)  # type: ignore[arg-type]
        begun_at(longer, 0)
        assert [longer.step("Wait").truncated for _ in range(5)] == [False] * 4 + [True]
        kept = gymnasium.wrappers.TransformObservation(made, lambda seen: seen.upper(), spaces.Text(100, charset=CHARACTERS))
        assert corridor(kept).reset(0).text.startswith("CELL ")  # type: ignore[arg-type]
    finally:
        del gymnasium.registry["UnseenCorridor-v0"]


def test_the_adapter_keeps_the_contract():
    check_text_environment(corridor, episodes=5)
    check_text_environment(lambda: corridor(default="Wait", legal=lambda info, game: WORDS if info["at"] else WORDS[1:]))
    check_text_environment(echo, words=("hello", "bye", "99"))
    check_text_environment(lambda: echo(legal=lambda info, game: info["admissible"]))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"max_steps": None}, "registered without a step limit; give max_steps"),
        ({"max_steps": 0}, "max_steps = 0 of corridor"),
        ({"instructions": " "}, "instructions of corridor are empty"),
        ({"actions": None}, "give actions, the word of each"),
        ({"actions": ("left", "right")}, "3 actions, and 2 words"),
        ({"actions": ("left", "right", "Left")}, "'left' and 'Left' of corridor are the same"),
        ({"actions": ("left", "right", "left")}, "'left' and 'left' of corridor are the same"),
        ({"actions": ("left", "right", " ")}, "without blanks"),
        ({"actions": ("left", "right", "wait ")}, "without blanks"),
        ({"actions": {"left": 3}}, "stands for 3; it must be from 0 to 2"),
        ({"default": "wat"}, "default action of corridor 'wat'; did you mean 'Wait'"),
        ({"save": lambda game: None}, "has save alone"),
        ({"load": lambda game, saved: None}, "has load alone"),
        ({"game": Corridor(spaces.Discrete(5))}, r"Discrete\(5\), and neither Text nor a Dict with one Text; give describe"),
        ({"game": Corridor(spaces.Dict({"a": spaces.Text(5), "b": spaces.Text(5)}))}, "neither Text nor a Dict with one Text"),
    ],
)
def test_what_is_refused(options: dict[str, Any], says: str):
    with pytest.raises(UserError, match=says):
        corridor(**options)


def test_what_is_refused_of_other_action_spaces():
    with pytest.raises(UserError, match="which reads texts; give words alone"):
        echo(actions={"bye": 0})
    game = Corridor()
    game.action_space = spaces.Box(0.0, 1.0)
    with pytest.raises(UserError, match="it must be Discrete or Text"):
        corridor(game)


def test_what_is_refused_while_playing():
    environment = corridor()
    for what in (lambda: environment.step("Wait"), environment.legal, environment.signals, environment.snapshot):
        with pytest.raises(UserError, match="reset"):
            what()
    with pytest.raises(UserError, match="0 or more"):
        environment.reset(-1)
    environment.reset(0)
    with pytest.raises(UserError, match=r"max_steps = 8 and actions .*max_steps = 9"):
        corridor(max_steps=9).restore(environment.snapshot())
    with pytest.raises(UserError, match=r"progression of corridor gave 2\.0"):
        corridor(progression=lambda turn: 2).reset(0)
    with pytest.raises(UserError, match="described as 7; describe must give a text"):
        corridor(describe=lambda observation, info, game: 7).reset(0)  # type: ignore[arg-type,return-value]
