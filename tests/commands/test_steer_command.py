"""`unseen plan steer`: lines that a person types, what they do to the slot, and what is shown."""

import io
import math
from collections.abc import Iterator

import pytest
from rich.console import Console

from unseen.commands.planning.steer import obey, steer
from unseen.environments.text import GraphSearch
from unseen.errors import UserError
from unseen.planning.agent import Agent
from unseen.planning.models.reader import reader
from unseen.planning.models.scripted import ScriptedModel
from unseen.planning.steps import begin


def agent() -> Agent:
    return Agent(reader(), "dynamic", history=2)


def typed(*lines: str):
    waiting: Iterator[str] = iter(lines)

    def read() -> str:
        try:
            return next(waiting)
        except StopIteration:
            raise EOFError from None

    return read


def shown(*lines: str, seed: int = 3):
    said = io.StringIO()
    played = steer(agent(), GraphSearch(8, 2, 12, 0), seed, typed(*lines), Console(file=said, width=100))
    return played, said.getvalue()


def test_lines_do_what_they_say():
    live = begin(agent(), GraphSearch(8, 2, 12, 0), 0)
    assert obey(agent(), live, "") == 1
    assert obey(agent(), live, "s 7") == 7
    assert obey(agent(), live, "p go left") == 0
    assert (live.slot.plan, live.slot.owner, live.slot.locked(0)) == ("go left", "human", False)
    obey(agent(), live, "h4 go right")
    assert live.slot.locked(3)
    assert not live.slot.locked(4)
    obey(agent(), live, "h go on")
    assert live.slot.held_until == math.inf
    obey(agent(), live, "r")
    assert (live.slot.plan, live.slot.locked(0)) == ("go on", False)
    obey(agent(), live, "c")
    assert live.slot.plan is None


@pytest.mark.parametrize("line", ["x", "p", "h", "s", "s x", "go left", "pgo"])
def test_other_lines_are_refused(line: str):
    live = begin(agent(), GraphSearch(8, 2, 12, 0), 0)
    with pytest.raises(UserError, match="no command"):
        obey(agent(), live, line)


def test_a_plan_cannot_be_held_by_a_model_that_cannot_be_kept_from_replacing_it():
    free = Agent(ScriptedModel(lambda *_: "1"), "dynamic", impose=False)
    live = begin(free, GraphSearch(8, 2, 12, 0), 0)
    with pytest.raises(UserError, match="suggest"):
        obey(free, live, "h go on")


def test_markup_in_a_plan_is_shown_and_not_read():
    _, said = shown("p [bold red]</plan><plan>[/] go", "", "q")
    assert "[bold red]</plan><plan>[/] go" in said


def test_an_episode_is_played_to_its_end_and_saved():
    played, said = shown("s 50")
    assert played is not None
    assert played.terminated.sum() + played.truncated.sum() == 1
    assert "The episode is over" in said


def test_a_mistake_costs_no_step_and_the_end_of_input_ends():
    played, said = shown("what?", "", "q")
    assert played is not None
    assert played.steps == 1
    assert "no command" in said
    nothing, _ = shown()
    assert nothing is None
