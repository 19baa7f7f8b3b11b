"""The quickstart's section on the future: an agent that writes plans, and how often it should."""

from __future__ import annotations

from unseen.reports.blocks import Code, Section, Text

SCHEDULES = ("never", "every:8", "every:4", "every:2", "always", "dynamic")
NODES, EPISODES = 12, 100
LOGGED, COIN, PRICE = 400, "random:0.4", 0.2


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


def worth_section() -> Section:
    """What planning was worth, estimated from a log that is recorded now."""
    from unseen.environments.text import GraphSearch
    from unseen.planning.agent import Agent
    from unseen.planning.estimand import Estimand
    from unseen.planning.features import graph_search_features
    from unseen.planning.logged_worth import worth_from_logs
    from unseen.planning.models.reader import reader
    from unseen.planning.play import evaluate
    from unseen.reports.planning_worth import logged_worth_section

    print("graph-search: what was planning worth, from a log?", flush=True)
    coin = Agent(reader(), COIN, "compact", history=2, features=graph_search_features)
    log = evaluate(coin, GraphSearch(NODES, radius=2, max_steps=20, form="compact"), LOGGED, signals=["graph"])
    found = logged_worth_section(worth_from_logs(log, Estimand(price=PRICE)))
    told = Text(
        f"{LOGGED} episodes in which a coin decided whether to plan, and was kept. From these alone: what a plan was worth in each "
        f"situation, net of a price of {PRICE} for each of its words, and whether the estimate is to be trusted. So few episodes leave "
        "wide intervals."
    )
    again = Code(
        f"unseen plan evaluate graph-search --schedule {COIN} --signals graph --out runs/log\nunseen plan worth graph-search --log runs/log"
    )
    return Section("The future, looked back upon: what was planning worth?", [told, *found.blocks, again])
