"""`unseen plan steer`: watch an episode, and write plans into it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from unseen.data.episodes import Episodes
from unseen.environments.text.contract import TextEnvironment
from unseen.errors import UserError
from unseen.planning.agent import Agent
from unseen.planning.play import gathered, play_step
from unseen.planning.steering import Intervention, intervene
from unseen.planning.steps import Live, begin

HELP = """\
Enter        one step                       s N          N steps
p TEXT       suggest a plan                 h TEXT       make it keep a plan until you release it
hN TEXT      make it keep a plan N steps    r            release the plan
c            take the plan away             q            end and save"""


def steer(agent: Agent, environment: TextEnvironment, seed: int, read: Callable[[], str], console: Console) -> Episodes | None:
    """One episode, step by step.

    Args:
        agent: who plays.
        environment: where.
        seed: of the episode.
        read: the next line that the person types; EOFError: there is none.
        console: to show things on.

    Returns:
        What was played, whole or not; None where no step was.
    """
    live = begin(agent, environment, seed)
    console.print(Text(HELP, style="dim"))
    _show(console, agent, live)
    while not live.over:
        try:
            line = read().strip()
        except EOFError:
            break
        if line == "q":
            break
        try:
            steps = obey(agent, live, line)
        except UserError as error:
            console.print(Text(str(error), style="red"))
            continue
        for _ in range(steps):
            if not live.over:
                play_step(agent, [live])
                _show(console, agent, live)
        if not steps:
            _slot(console, live)
    return gathered(agent, [live]) if live.record else None


def obey(agent: Agent, live: Live, line: str) -> int:
    """Do what a line says to the slot, and tell how many steps to play.

    Raises:
        UserError: a line that says nothing known, or a plan that the model cannot be made to keep.
    """
    if not line:
        return 1
    if steps := re.fullmatch(r"s\s+(\d+)", line):
        return int(steps[1])
    if line == "c":
        intervene(agent, live, Intervention(live.step, None), "human")
    elif line == "r":
        live.slot = live.slot.released()
    elif plan := re.fullmatch(r"p\s+(.+)", line):
        intervene(agent, live, Intervention(live.step, plan[1]), "human")
    elif plan := re.fullmatch(r"h(\d*)\s+(.+)", line):
        intervene(agent, live, Intervention(live.step, plan[2], float(plan[1]) if plan[1] else math.inf), "human")
    else:
        raise UserError(f"{line!r} is no command; Enter, s N, p TEXT, h TEXT, hN TEXT, r, c or q")
    return 0


def _show(console: Console, agent: Agent, live: Live) -> None:
    """Where the episode is. Everything a model or a person wrote is shown as it is: markup in it is not read."""
    if live.record:
        row = live.record[-1]
        said = Text(row["action"] or "nothing", style="bold")
        said.append(f"   reward {row['reward']:g}", style="dim")
        if row["accounts"]["planned"]:
            said.append("   with a new plan", style="green")
        if row["accounts"]["illegal"]:
            said.append("   not a legal action", style="red")
        console.print(Text(f"step {live.step - 1}: ", style="dim") + said)
    console.print(Panel(Text(live.now.text), title=f"step {live.step}", title_align="left"))
    _slot(console, live)
    if live.error:
        console.print(Text(f"the model failed: {live.error}", style="red"))
    elif live.over:
        total = sum(row["reward"] for row in live.record)
        console.print(Text(f"The episode is over: return {total:g}, {live.step} steps.", style="bold"))


def _slot(console: Console, live: Live) -> None:
    slot = live.slot
    if slot.plan is None:
        console.print(Text("no plan is held", style="dim"))
        return
    left = slot.held_until - live.step
    steps = "1 more step" if left == 1 else f"{left:.0f} more steps"
    bound = "until it is released" if left == math.inf else f"for {steps}" if left > 0 else "as a suggestion"
    held = Text(f"plan, from {slot.owner}, {bound}: ", style="cyan")
    console.print(held + Text(slot.plan))
