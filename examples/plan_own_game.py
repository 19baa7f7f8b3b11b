"""A text game of your own, checked, and played by an agent that decides when to plan.

    python examples/plan_own_game.py

Three lamps must burn at once, and one burns down after five steps. Here a function plays the language model;
`planning.EndpointModel(URL, NAME)` takes its place.
"""

import numpy as np

import unseen.planning as planning
from unseen import UserError
from unseen.environments.text import TextObservation, TextStep, check_text_environment

LAMPS = ("red", "green", "blue")


class Lamps:
    """Light all lamps; a lamp burns for five steps."""

    name, max_steps, actions = "lamps", 12, LAMPS
    instructions = "Light the red, the green and the blue lamp. A lamp burns for 5 steps. An action is the name of a lamp."

    def __init__(self):
        self.left: dict[str, int] | None = None

    def reset(self, seed: int) -> TextObservation:
        burning = np.random.default_rng(seed).choice(LAMPS)
        self.left, self.steps, self.over = {lamp: 5 * (lamp == burning) for lamp in LAMPS}, 0, False
        return self.seen()

    def seen(self) -> TextObservation:
        return TextObservation("burning: " + (" ".join(lamp for lamp in LAMPS if self.left[lamp]) or "none"))

    def step(self, action: str) -> TextStep:
        if self.left is None or self.over:
            raise UserError("there is no episode to go on with; begin one with reset(seed)")
        illegal = action.strip() not in LAMPS
        before = {lamp for lamp in LAMPS if self.left[lamp]}
        self.left = {lamp: max(0, n - 1) for lamp, n in self.left.items()}
        if not illegal:
            self.left[action.strip()] = 5
        self.steps += 1
        done = all(self.left.values())
        self.over = done or self.steps >= self.max_steps
        events = tuple(f"{lamp} went out" for lamp in sorted(before) if not self.left[lamp])
        progression = sum(n > 0 for n in self.left.values()) / len(LAMPS)
        return TextStep(self.seen(), float(done), done, self.over and not done, illegal, events, progression)

    def legal(self) -> tuple[str, ...]:
        return LAMPS

    def snapshot(self):
        if self.left is None:
            raise UserError("there is no episode yet; begin one with reset(seed)")
        return dict(self.left), self.steps, self.over

    def restore(self, snapshot) -> TextObservation:
        left, self.steps, self.over = snapshot
        self.left = dict(left)
        return self.seen()

    def signals(self) -> dict[str, str]:
        return {"left": " ".join(f"{lamp} {n}" for lamp, n in self.left.items())}


def write(prompt, force, forbid, generator: np.random.Generator) -> str:
    """Plans the two lamps that are dark, if it may; acts on the held plan, or on a whim."""
    now = prompt[-1].content
    dark = [lamp for lamp in LAMPS if lamp not in now.rpartition("burning:")[2].split("\n")[0]]
    if force or (forbid is None and "Your plan:" not in now):
        return f"<plan>light {' then '.join(dark)}</plan>\n{dark[0]}"
    return next((lamp for lamp in dark if lamp in now.partition("Your plan:")[2]), str(generator.choice(LAMPS)))


check_text_environment(Lamps)
for word in ("never", "every:4", "always"):
    played = planning.evaluate(planning.Agent(planning.ScriptedModel(write), word), Lamps(), episodes=100)
    table = planning.per_episode(played)
    print(
        f"{word:8s} success {table['success'].mean():.2f}, steps {table['steps'].mean():.1f}, plan tokens {table['plan_tokens'].mean():.1f}"
    )
