"""Reinforcement of a language agent: steps of the environment per second of the whole loop, and where the time goes.

Graph search with 10 nodes in the compact form, two observations in view, plans of at most 24 tokens; the models have random weights, so
that many outputs are as long as they may be. The bound of generation is the bare model at the same batch: for every step one pass over
whole prompts and one for each token more, nothing drawn, spoken or put away.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from figures import arguments, conditions, peak_memory_mib, show, write

SIZES = {"0.6m": (128, 3, 4), "3m": (256, 4, 8)}  # hidden, layers, heads
HOW: dict[str, Any] = {"prompts": "compact", "history": 2, "max_plan_tokens": 24, "max_action_tokens": 2}


def student(world: Any, size: str, device: str) -> Any:
    from unseen.planning.models.local import LocalModel
    from unseen.planning.models.small import small_model, word_tokenizer

    hidden, layers, heads = SIZES[size]
    texts = [world.reset(seed).text for seed in range(20)]
    texts.append("held : act plan choose ( no action ) explore target via later none route , . then go back to")
    tokenizer = word_tokenizer(texts, world.actions)
    network = small_model(tokenizer, hidden=hidden, layers=layers, heads=heads).to(device)
    return LocalModel(network, tokenizer, name=size)


def loop(size: str, live: int, steps: int, updates: int, device: str) -> dict[str, float]:
    import torch

    from unseen.environments.text import GraphSearch
    from unseen.planning.agent import Agent
    from unseen.planning.rl.loop import reinforce
    from unseen.planning.rl.rollouts import Rollouts
    from unseen.planning.rl.settings import RL

    world = GraphSearch(10, 2, 20, 0, form="compact")
    model = student(world, size, device)
    settings = RL(updates=updates + 1, live=live, steps=steps, reward_scale=0.01, learning_rate=1e-5, warmup=0)
    curves = reinforce(model, world, settings, say=lambda _: None, **HOW).curves[1:]  # the first one builds what is built only once
    spent = np.diff([0.0, *curves["wall_s"]])[1:] if updates > 1 else np.array([curves["wall_s"][0]])
    wall = float(curves["wall_s"][-1] - curves["wall_s"][0]) if updates > 1 else float(spent[0])
    played = live * steps * max(updates - 1, 1)

    rollouts = Rollouts(Agent(model, "dynamic", **HOW), model, world, settings, (), range(live))
    rollouts.play()
    rollout = rollouts.play()
    by_step = [[rollout.moves[track][t].sample for track in range(live)] for t in range(steps)]
    tokens = sum(len(one.prompt) + len(one.output) for some in by_step for one in some)

    def bare() -> None:
        with torch.inference_mode():
            for some in by_step:
                width, count = max(len(one.prompt) for one in some), max(len(one.output) for one in some)
                ids = torch.tensor([[*([0] * (width - len(one.prompt))), *one.prompt] for one in some], device=device)
                cache = None
                for _ in range(count):
                    out = model.model(input_ids=ids, cache=cache, use_cache=True, logits_to_keep=1)
                    cache, ids = out.cache, out.logits.argmax(-1)
        if device == "cuda":
            torch.cuda.synchronize()

    begun = time.perf_counter()
    bare()
    bound = time.perf_counter() - begun
    shares = {name: float(np.average(curves[name])) for name in ("generation_share", "environment_share", "update_share")}
    return {
        "parameters": float(sum(p.numel() for p in model.model.parameters())),
        "env_steps_per_s": played / wall,
        **shares,
        "tokens_per_step": tokens / (live * steps),
        "output_tokens_per_step": float(np.mean([len(one.output) for some in by_step for one in some])),
        "tokens_per_s": tokens / rollout.generation_s,
        "tokens_per_s_bare_model": tokens / bound,
        "fraction_of_bound": bound / rollout.generation_s,
    }


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--threads", type=int, default=2, help="of torch")
    parser.add_argument("--live", type=int, default=32, help="environments at the same time")
    options = parser.parse_args()
    steps, updates = (4, 1) if options.quick else (16, 4)

    import torch

    torch.set_num_threads(options.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    print(conditions(["torch", "transformers", "numpy"]))
    if device == "cuda":
        print(torch.cuda.get_device_name())
    found = {size: loop(size, options.live, steps, updates, device) for size in SIZES}
    rows = [
        [size, f"{one['parameters'] / 1e6:.2f} M", f"{one['env_steps_per_s']:,.0f}"]
        + [f"{one[name]:.0%}" for name in ("generation_share", "environment_share", "update_share")]
        + [f"{one['output_tokens_per_step']:.1f}", f"{one['fraction_of_bound']:.2f}"]
        for size, one in found.items()
    ]
    header = ["model", "parameters", "steps/s", "generation", "environment", "update", "tokens written a step", "fraction of bound"]
    show(f"{options.live} environments, rollouts of {steps} steps, two epochs", header, rows)
    figures = {f"{name}_{size}": value for size, one in found.items() for name, value in one.items()}
    write(figures | {"peak_memory_mib": peak_memory_mib()}, options.json)


if __name__ == "__main__":
    main()
