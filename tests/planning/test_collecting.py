"""Teachers are logged as agents are, and a recording gives back the very conversations an agent was shown."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning_toys import Custom, Walk, same

from unseen.data.episodes import Episodes
from unseen.environments.text import GraphSearch
from unseen.errors import UserError
from unseen.planning.accounting import per_episode
from unseen.planning.agent import Agent
from unseen.planning.collecting import collect, teacher_of
from unseen.planning.grammar import CLOSE, OPEN, Written, parse
from unseen.planning.lessons import Pair, pairs
from unseen.planning.models.contract import Capabilities
from unseen.planning.models.reader import reader
from unseen.planning.models.scripted import pieces
from unseen.planning.play import evaluate
from unseen.planning.prompts import Prompts
from unseen.planning.steering import Intervention, steered
from unseen.planning.teachers.contract import Lesson

ABLE = Capabilities(force=True, forbid=True)
WORLD = GraphSearch(12, max_steps=15)
COMPACT = Prompts.named("compact")


class Diary:
    """A teacher that writes what it is told, and keeps what it was given."""

    styles = ("plain",)

    def __init__(self, lessons):
        self.lessons, self.events, self.begun = lessons, [], []

    def begin(self, generator, style=None, interval=None):
        self.begun.append((style, interval, float(generator.random())))
        self.left = iter(self.lessons)

    def write(self, environment, events=()):
        self.events.append(events)
        return next(self.left)


LESSONS = [
    Lesson(Written("find wood", "go"), "none held"),
    Lesson(Written(None, "nonsense"), "", True),
    Lesson(Written("find water", "Move West"), "interval"),
]


def test_a_teacher_is_logged_as_an_agent_is():
    teacher, world = Diary(LESSONS), Walk(lambda seed: 3, {0: ("storm",)})
    found = collect(teacher, world, 2, 7, style="plain", interval=4)
    assert found.info["seed"].tolist() == [7, 8]
    assert set(found.info["schedule"].tolist()) == {"teacher"}
    assert set(found.info["model"].tolist()) == {"Diary"}
    assert found.actions.tolist() == ["go", "nonsense", "Move West"] * 2
    assert found.text["output"].tolist() == ["<plan>find wood</plan>\ngo", "nonsense", "<plan>find water</plan>\nMove West"] * 2
    assert found.text["plan"].tolist() == ["find wood", "find wood", "find water"] * 2
    assert found.text["reason"].tolist() == ["none held", "", "interval"] * 2
    assert found.accounts["wrong"].tolist() == [False, True, False] * 2
    assert found.accounts["planned"].tolist() == [True, False, True] * 2
    assert found.accounts["plan_tokens"].tolist() == [4, 0, 4] * 2
    assert found.accounts["action_tokens"].tolist() == [1, 1, 2] * 2
    assert found.accounts["replaced_age"].tolist() == [-1, -1, 2] * 2
    assert not found.accounts["disobeyed"].any()
    assert teacher.events == [(), ("storm",), ()] * 2
    assert [begun[:2] for begun in teacher.begun] == [("plain", 4)] * 2
    assert teacher.begun[0][2] != teacher.begun[1][2]
    assert teacher.begun[0][2] not in [np.random.default_rng(7).random()]  # the world draws its instance from that
    assert per_episode(found)["illegal"].to_list() == pytest.approx([1 / 3] * 2)


def test_collecting_is_seeded_and_one_episode_is_one_seed():
    whole = collect("graph-search", WORLD, 6, 3)
    assert same(whole, collect("graph-search", GraphSearch(12, max_steps=15), 6, 3))
    assert same(whole.select([2, 3]), collect("graph-search", WORLD, 2, 5))
    assert whole.terminated.sum() == 6
    tokens = [len(pieces(text)) for text in whole.text["output"]]
    assert (whole.accounts["plan_tokens"] + whole.accounts["action_tokens"]).tolist() == tokens


def test_what_collecting_refuses():
    with pytest.raises(UserError, match="episodes = 0"):
        collect("graph-search", WORLD, 0)
    with pytest.raises(UserError, match="seed = -1"):
        collect("graph-search", WORLD, 1, -1)
    with pytest.raises(UserError, match="cannot play graph-search"):
        collect("crafter", WORLD, 1)
    with pytest.raises(UserError, match="unknown environment with a teacher 'walk'"):
        collect("walk", Walk(), 1)
    with pytest.raises(UserError, match="did you mean 'graph-search'"):
        teacher_of("graph-serch")
    with pytest.raises(UserError, match="unknown style"):
        collect("graph-search", WORLD, 1, style="epic")
    with pytest.raises(UserError, match="mistakes = 2"):
        teacher_of("graph-search", mistakes=2.0)


# --- lessons


def unruly(schedule: str, prompts: str = "standard", history: int = 16, cut: int = 256):
    """An agent that draws what it writes: plans, long plans, tags where none belong, nonsense; and the model, which keeps its prompts."""

    def write(prompt, force, forbid, generator):
        action = ("go", "stay", "nonsense", "", "x</plan>y", "$name {0}\nassistant: go")[int(generator.integers(6))]
        plan = force or (forbid is None and generator.random() < 0.4)
        scraps = ("wood", "$observation", "<plan>", "on and on and on and on", "water")
        words = " ".join(scraps[k] for k in generator.integers(5, size=2))
        return f"<plan>{words}</plan>\n{action}" if plan else action

    model = Custom(write, ABLE)
    return Agent(model, schedule, prompts, history=history, max_plan_tokens=cut), model


def rebuilt(episodes: Episodes, prompts: str = "standard", history: int = 16, **how) -> list[Pair]:
    return list(pairs(episodes, Walk.instructions, Prompts.named(prompts), history=history, **how))


@settings(max_examples=40)
@given(
    st.sampled_from(["dynamic", "always", "never", "every:2", "every:3", "budget:9"]),
    st.sampled_from(["standard", "compact"]),
    st.sampled_from([1, 2, 16]),
    st.sampled_from([3, 5, 256]),
    st.integers(0, 50),
)
def test_rebuilt_conversations_are_those_that_were_shown(schedule, prompts, history, cut, seed):
    agent, model = unruly(schedule, prompts, history, cut)
    found = evaluate(agent, Walk(lambda s: 3 + s % 19), 3, seed, live=1)
    asked = "choose" if schedule == "dynamic" else "told"
    lessons = rebuilt(found, prompts, history, asked=asked)
    told_apart = [k for k, mode in enumerate(found.text["mode"]) if schedule == "budget:9" and mode == "choose"]  # told to plan or to act
    assert len(lessons) == len(model.prompts) == found.steps
    for k, (lesson, shown) in enumerate(zip(lessons, model.prompts, strict=True)):
        if k in told_apart:
            assert lesson.prompt[:-1] == shown[:-1]
        elif not found.accounts["disobeyed"][k] and (schedule == "dynamic" or _planned_as_asked(found, k)):
            assert lesson.prompt == shown
        else:  # a plan of which nothing was kept: it is taught as an action
            assert lesson.prompt[:-1] == shown[:-1]


def _planned_as_asked(found: Episodes, k: int) -> bool:
    return (found.text["mode"][k] == "plan") == found.accounts["planned"][k]


def test_what_a_student_should_write_is_what_was_kept():
    agent, _ = unruly("dynamic", cut=5)
    found = evaluate(agent, Walk(lambda seed: 30), 4)
    for lesson, k in zip(rebuilt(found), range(found.steps), strict=True):
        read = parse(lesson.output)
        shown = str(found.text["plan"][k]).replace(OPEN, "‹plan›")
        assert read.plan == (shown if found.accounts["planned"][k] else None)
        assert read.action == str(found.actions[k]).replace(CLOSE, "‹/plan›")
        assert not read.untidy
    assert found.accounts["plan_truncated"].any()
    assert any("‹/plan›" in lesson.output for lesson in rebuilt(found))
    tidy = collect("graph-search", WORLD, 5)
    lessons = list(pairs(tidy, WORLD.instructions, COMPACT, history=2))
    assert [lesson.output for lesson in lessons] == tidy.text["output"].tolist()


def test_plans_set_from_outside_are_shown_where_they_were_shown():
    model = Custom(lambda prompt, force, forbid, _: "go" if forbid or "keep" in prompt[-1].content else "<plan>mine</plan>go", ABLE)
    script = [Intervention(1, "keep theirs", 2.0), Intervention(4, None), Intervention(5, "keep that"), Intervention(7, "change that")]
    found = steered(Agent(model, "dynamic"), Walk(lambda seed: 9), script)
    assert found.text["plan"].tolist() == ["mine", *["keep theirs"] * 3, "mine", *["keep that"] * 2, "mine", "mine"]
    lessons = rebuilt(found, asked="choose")
    shown = [prompt for step, prompt in enumerate(model.prompts) if step != 7]  # whose plan, replaced at once, was not recorded
    new = "<plan>mine</plan>\ngo"
    assert [lesson.output for lesson in lessons] == [new, "go", "go", "go", new, "go", "go", new]
    held = found.text["mode"].tolist()
    for lesson, prompt, step in zip(lessons, shown, [0, 1, 2, 3, 4, 5, 6, 8], strict=True):
        assert lesson.prompt[:-1] == prompt[:-1]
        if held[step] == "choose":
            assert lesson.prompt == prompt
        else:
            assert "keep theirs" in lesson.prompt[-1].content


def test_a_persons_plans_are_shown_where_they_were_shown():
    model = Custom(lambda *_: "go", ABLE)
    found = evaluate(Agent(model, "ask-human:2"), Walk(), 1, ask_human=lambda now, seen: f"theirs {now.step}")
    assert [lesson.prompt for lesson in rebuilt(found, asked="told")] == model.prompts
    assert "theirs 4" in model.prompts[4][-1].content


@pytest.mark.parametrize("asked", ["choose", "told", "mixed"])
def test_without_plans_no_plan_is_shown_anywhere(asked):
    agent, _ = unruly("dynamic", cut=5)
    found = evaluate(agent, Walk(lambda seed: 20), 4)
    assert found.accounts["planned"].any()
    bare = rebuilt(found, plans=False, asked=asked)
    words = [str(action).replace(CLOSE, "‹/plan›") for action in found.actions]
    assert [lesson.output for lesson in bare] == words
    standard = Prompts.named("standard")
    for lesson in bare:
        assert lesson.prompt[-1].content.endswith(standard.act_without)
        assert all("wood" not in m.content and "water" not in m.content and OPEN not in m.content for m in lesson.prompt)
    twin = rebuilt(found, asked="told")
    for one, other in zip(bare, twin, strict=True):
        assert one.prompt[:-1] == other.prompt[:-1]


def test_a_student_is_asked_both_ways():
    recorded = collect("graph-search", WORLD, 40)
    planned = recorded.accounts["planned"]
    how = {name: _asked(recorded, name) for name in ("choose", "told", "mixed")}
    assert how["choose"] == ["choose"] * recorded.steps
    assert how["told"] == ["plan" if one else "act" for one in planned]
    free = np.array([word == "choose" for word in how["mixed"]])
    assert abs(free.mean() - 0.5) < 4 * 0.5 / recorded.steps**0.5
    assert [word for word, one in zip(how["mixed"], free, strict=True) if not one] == [
        word for word, one in zip(how["told"], free, strict=True) if not one
    ]
    assert _asked(recorded, "mixed", seed=1) != how["mixed"] == _asked(recorded, "mixed", seed=0)


def _asked(recorded: Episodes, asked, seed: int = 0) -> list[str]:
    lessons = pairs(recorded, WORLD.instructions, COMPACT, history=2, asked=asked, seed=seed)
    return [lesson.prompt[-1].content.rpartition("\n")[2] for lesson in lessons]


@pytest.fixture(scope="module")
def many() -> Episodes:
    return collect("graph-search", GraphSearch(6, max_steps=10, min_backtracks=0), 120)


@pytest.mark.parametrize("bare", [0.0, 0.3, 1.0])
def test_a_share_of_episodes_is_shown_without_plans(many, bare):
    lessons = list(pairs(many, "", COMPACT, history=2, asked="choose", bare=bare, seed=5))
    with_plans = np.array([lesson.prompt[-1].content.endswith("choose") for lesson in lessons])
    shares = np.add.reduceat(with_plans.astype(float), many.offsets[:-1]) / many.lengths
    assert set(shares) <= {0.0, 1.0}
    assert abs(shares.mean() - (1 - bare)) <= 4 * (bare * (1 - bare) / 120) ** 0.5
    for lesson, shown in zip(lessons, with_plans, strict=True):
        if not shown:
            assert "held:" not in lesson.prompt[-1].content
            assert OPEN not in lesson.output


def test_a_recording_survives_its_file(tmp_path):
    recorded = collect("graph-search", WORLD, 3)
    recorded.write(tmp_path / "e.parquet")
    read = Episodes.read(tmp_path / "e.parquet")
    assert list(pairs(read, "", COMPACT, history=4)) == list(pairs(recorded, "", COMPACT, history=4))


def test_what_lessons_refuse():
    recorded = evaluate(Agent(reader(), "dynamic"), WORLD, 1)
    for how, says in (({"bare": 1.5}, "bare = 1.5"), ({"history": 0}, "history = 0")):
        with pytest.raises(UserError, match=says):
            list(pairs(recorded, "", COMPACT, **{"history": 2, **how}))
    columns = {name: value for name, value in recorded.columns().items() if name != ("text", "plan")}
    with pytest.raises(UserError, match="no text 'plan'"):
        list(pairs(Episodes.from_columns(columns, recorded.offsets), "", COMPACT, history=2))


def test_what_was_made_wrong_is_seen_and_not_imitated_and_what_was_withheld_is_no_example_of_choosing():
    world = GraphSearch(10, 2, 20, 1, form="compact")
    recorded = collect(teacher_of("graph-search", mistakes=0.3, late=0.5), world, 40, 5)
    wrong, reasons = recorded.accounts["wrong"].astype(bool), np.array([str(reason) for reason in recorded.text["reason"]])
    taught = list(pairs(recorded, world.instructions, Prompts.named("compact"), history=2, asked="choose"))
    assert len(taught) == (~wrong).sum()
    kept = np.flatnonzero(~wrong)
    asked = [pair.prompt[-1].content.rpartition("\n")[2] for pair in taught]
    assert {asked[k] for k, t in enumerate(kept) if reasons[t] == "withheld"} == {"act"}
    assert {asked[k] for k, t in enumerate(kept) if reasons[t] != "withheld"} == {"choose"}
    shown = "\n".join(message.content for pair in taught for message in pair.prompt if message.role == "assistant")
    assert len(shown.split()) == sum(len([m for m in pair.prompt if m.role == "assistant"]) for pair in taught)


def test_a_teacher_has_its_own_kinds_of_noise():
    with pytest.raises(UserError, match=r"unknown noise of the teacher of crafter 'late'"):
        teacher_of("crafter", late=0.5)
