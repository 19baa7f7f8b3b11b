"""The quickstart's section on the future: an agent that writes plans, and how often it should."""

from __future__ import annotations

from unseen.reports.blocks import Code, Section, Text

SCHEDULES = ("never", "every:8", "every:4", "every:2", "always", "dynamic")
NODES, EPISODES = 12, 100


def planned_section() -> Section:
    """A sweep over schedules with the scripted model, measured now."""
    from unseen.environments.text import GraphSearch
    from unseen.planning.agent import Agent
    from unseen.planning.models.reader import reader
    from unseen.planning.play import evaluate
    from unseen.reports.planning import planning_sections

    print("graph-search: how often should it plan?", flush=True)
    world = GraphSearch(NODES, radius=2, max_steps=20)
    played = {word: evaluate(Agent(reader(), word, history=2), world, EPISODES) for word in SCHEDULES}
    told = Text(
        "A node of a tree is looked for, and only its surroundings are seen. What plays here writes words: in each step an action, and, "
        "when it is asked to or likes to, a plan that it is shown again afterwards. It is a script, not a language model, so that nothing "
        "has to be downloaded; it forgets all but its last observation and its plan. A schedule says when it plans, every word is "
        "counted, and the same instances are played under each. Your own model takes its place with one flag."
    )
    again = Code(
        "unseen plan sweep graph-search --url http://127.0.0.1:8000/v1 --model NAME\n"
        "unseen plan worth graph-search\nunseen plan steer graph-search"
    )
    blocks = [block for section in planning_sections(played) for block in section.blocks]
    return Section("The future: how often should an agent plan?", [told, *blocks, again])
