"""Language agents on a CPU: batched rollouts beside one episode at a time with the library's own `generate`, and the environments alone.

The world shows 60 tokens at a time, and the task takes up 64; an agent sees the last two observations, holds a plan of 16 tokens, and plans
every 4th step. Its model has 1 M parameters and random weights, so that all plans are as long as they may be. The peer is given the very
prompts that the agent had, and writes as many tokens as the agent did. The bound is the bare model at the same batch: one pass over whole
prompts and one for each token more, nothing drawn or spoken.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from figures import arguments, conditions, peak_memory_mib, show, write

LIVE, SHARED, SEEN, PLAN, EVERY = 32, 64, 60, 16, 4
ACTIONS = ("north", "south", "west", "east")


class Corridor:
    """A world that shows random words, of a given number, and lasts for a given number of steps."""

    name, actions = "corridor", ACTIONS

    def __init__(self, steps: int):
        self.max_steps = steps
        self.instructions = " ".join(f"rule{k % 40}" for k in range(SHARED))

    def reset(self, seed: int) -> Any:
        self._draws, self._left = np.random.default_rng(seed), self.max_steps
        return self._seen()

    def step(self, action: str) -> Any:
        from unseen.environments.text.contract import TextStep

        self._left -= 1
        return TextStep(self._seen(), 0.0, False, self._left == 0, action not in ACTIONS, (), 0.0)

    def _seen(self) -> Any:
        from unseen.environments.text.contract import TextObservation

        return TextObservation(" ".join(f"thing{k}" for k in self._draws.integers(400, size=SEEN)))

    def legal(self) -> tuple[str, ...]:
        return ACTIONS

    def snapshot(self) -> Any:
        raise NotImplementedError

    restore = signals = snapshot


def wording() -> Any:
    """Prompts that add as little as can be to what is seen."""
    from unseen.planning.prompts import Prompts

    bare, held = "$observation", "plan : $plan"
    return Prompts("$instructions", bare, "$observation $held $instruction", held, act="act", act_without="act", plan="plan", choose="any")


def student(world: Corridor) -> Any:
    from unseen.planning.models.local import LocalModel
    from unseen.planning.models.small import small_model, word_tokenizer

    texts = [world.instructions, " ".join(f"thing{k}" for k in range(400)), "plan : act any ( no action )"]
    tokenizer = word_tokenizer(texts, ACTIONS)
    return LocalModel(small_model(tokenizer, hidden=128, layers=4, heads=4), tokenizer, name="random weights")


def timed(work: Callable[[], Any], rounds: int) -> float:
    """The median of the seconds of a few rounds."""
    spent = []
    for _ in range(rounds):
        begun = time.perf_counter()
        work()
        spent.append(time.perf_counter() - begun)
    return float(np.median(spent))


def rollouts(steps: int, rounds: int) -> tuple[dict[str, float], list[list[str]]]:
    import torch

    from unseen.planning.agent import Agent
    from unseen.planning.play import evaluate

    world = Corridor(steps)
    model = student(world)
    agent = Agent(model, f"every:{EVERY}", wording(), history=2, max_plan_tokens=PLAN, max_action_tokens=1)
    played = evaluate(agent, world, LIVE, live=LIVE)  # a first time, for what is built only once
    assert played.steps == LIVE * steps
    ours = timed(lambda: evaluate(agent, world, LIVE, live=LIVE), rounds)
    by_step = [[tuple([int(k) for k in row.tokens[name][t]] for name in ("prompt", "output")) for row in played] for t in range(steps)]
    asked = [step for some in by_step for step in some]
    prompt, output = (sum(len(step[k]) for step in asked) for k in range(2))

    def one_at_a_time() -> None:
        with torch.inference_mode():
            for read, written in asked:
                ids = torch.tensor([read])
                length = {"max_new_tokens": len(written), "min_new_tokens": len(written)}
                model.model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=True, top_k=0, **length)

    def bare() -> None:
        with torch.inference_mode():
            for some in by_step:
                width, count = max(len(read) for read, _ in some), max(len(written) for _, written in some)
                ids = torch.tensor([[*([0] * (width - len(read))), *read] for read, _ in some])
                cache = None
                for _ in range(count):
                    out = model.model(input_ids=ids, cache=cache, use_cache=True, logits_to_keep=1)
                    cache, ids = out.cache, out.logits.argmax(-1)

    theirs, bound = timed(one_at_a_time, rounds), timed(bare, rounds)
    figures = {
        "parameters": float(model.capabilities.parameters),
        "prompt_tokens_per_step": prompt / len(asked),
        "output_tokens_per_step": output / len(asked),
        "steps_per_s": len(asked) / ours,
        "steps_per_s_one_at_a_time": len(asked) / theirs,
        "tokens_per_s": (prompt + output) / ours,
        "tokens_per_s_bare_model": (prompt + output) / bound,
        "ratio_batched_rollouts": theirs / ours,
        "fraction_of_bound": bound / ours,
    }
    rows = [[name, f"{len(asked) / spent:,.0f}", f"{(prompt + output) / spent:,.0f}", f"{spent / ours:.2f}"] for name, spent in (
        (f"unseen.planning.evaluate, {LIVE} live", ours),
        ("transformers generate, one at a time", theirs),
        (f"bare model, {LIVE} rows", bound),
    )]  # fmt: skip
    return figures, rows


def graph_search(steps: int) -> float:
    """Random legal actions per second, resets included."""
    from unseen.environments.text import GraphSearch

    world, draws, seed = GraphSearch(), np.random.default_rng(0), 0
    uniform = draws.random(steps)
    begun = time.perf_counter()
    world.reset(seed)
    for k in range(steps):
        legal = world.legal()
        step = world.step(legal[int(uniform[k] * len(legal))])
        if step.terminated or step.truncated:
            seed += 1
            world.reset(seed)
    return steps / (time.perf_counter() - begun)


SIZES = (64, 256)  # the package's own, and BALROG's


def crafter_in_words(steps: int) -> float:
    """Random actions per second, resets included."""
    from unseen.environments.text import Crafter

    draws, world, seed = np.random.default_rng(0).integers(17, size=steps), Crafter(), 0
    world.reset(seed)  # what is built only once
    begun = time.perf_counter()
    world.reset(seed)
    for k in draws:
        step = world.step(world.actions[k])
        if step.terminated or step.truncated:
            seed += 1
            world.reset(seed)
    return steps / (time.perf_counter() - begun)


def crafter_in_pictures(steps: int, size: int) -> float:
    """The same with the package's own environment, which draws a picture of `size` by `size` in every step."""
    import crafter

    draws, game = np.random.default_rng(0).integers(17, size=steps), crafter.Env(size=(size, size), seed=0)
    game.reset()
    begun = time.perf_counter()
    game.reset()
    for k in draws:
        if game.step(int(k))[2]:
            game.reset()
    return steps / (time.perf_counter() - begun)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--threads", type=int, default=2, help="of torch")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median is taken")
    options = parser.parse_args()
    steps, rounds, many = (5, 1, 500) if options.quick else (16, options.rounds, 20_000)

    import torch

    torch.set_num_threads(options.threads)
    print(conditions(["torch", "transformers", "crafter", "numpy"]))
    figures, rows = rollouts(steps, rounds)
    show(f"{LIVE} episodes of {steps} steps", ["who", "steps/s", "tokens/s", "time over ours"], rows)
    graphs = float(np.median([graph_search(many) for _ in range(rounds)]))
    games = np.array(
        [[crafter_in_words(many // 4), *(crafter_in_pictures(many // 10, size) for size in SIZES)] for _ in range(rounds)]
    )  # in turns, so that a change of the machine meets all of them
    ours, small, large = np.median(games, axis=0)
    table = [["graph search", f"{graphs:,.0f}"], ["Crafter in words", f"{ours:,.0f}"]]
    table += [[f"crafter.Env, {size} x {size}", f"{rate:,.0f}"] for size, rate in zip(SIZES, (small, large), strict=True)]
    show("random actions, resets included", ["environment", "steps/s"], table)
    figures |= {
        "pogs_steps_per_s": graphs,
        "crafter_text_steps_per_s": ours,
        "crafter_steps_per_s": small,
        "crafter_256_steps_per_s": large,
    }
    figures |= {"ratio_crafter_text": ours / small, "ratio_crafter_text_256": ours / large}
    write(figures | {"peak_memory_mib": peak_memory_mib()}, options.json)


if __name__ == "__main__":
    main()
