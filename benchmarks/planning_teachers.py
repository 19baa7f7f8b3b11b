"""What the scripted teacher of Crafter achieves, how often it plans, and how fast it plays.

One episode for each seed, with the default settings of the game (2,000 steps), no mistakes and no bad plans. A share is of episodes; a
standard error is that of its mean over episodes.
"""

from __future__ import annotations

import collections
import time

import numpy as np

from figures import arguments, conditions, peak_memory_mib, show, write


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="episodes")
    parser.add_argument("--first", type=int, default=10_000, help="seed; 0 to 199 were played while the teacher was written")
    options = parser.parse_args()
    seeds = 2 if options.quick else options.seeds

    from unseen.environments.text import Crafter
    from unseen.planning.teachers.crafter import CrafterTeacher

    print(conditions(["crafter", "numpy"]))
    environment, teacher = Crafter(), CrafterTeacher()
    episodes: dict[str, list[float]] = collections.defaultdict(list)
    spent = 0.0
    for seed in range(options.first, options.first + seeds):
        environment.reset(seed)
        teacher.begin(np.random.default_rng(seed))
        begun, steps, plans, words, total, events, over = time.perf_counter(), 0, 0, 0, 0.0, (), False
        while not over:
            lesson = teacher.write(environment, events)
            if lesson.written.plan is not None:
                plans += 1
                words += len(lesson.written.plan.split())
            step = environment.step(lesson.written.action)
            steps, total, events, over = steps + 1, total + step.reward, step.events, step.terminated or step.truncated
        spent += time.perf_counter() - begun
        done = {name: float(count > 0) for name, count in environment.achievements().items()}
        for name, value in done.items():
            episodes[name].append(value)
        made_stone = done["make_stone_pickaxe"] * done["make_stone_sword"]
        made_iron = max(done["make_iron_pickaxe"], done["make_iron_sword"])
        summary = {
            "both_stone_tools": made_stone,
            "an_iron_tool": made_iron,
            "survived": float(step.truncated),
            "score": sum(done.values()),
            "return": total,
            "length": float(steps),
            "plans": float(plans),
            "words_per_plan": words / plans,
        }
        for name, value in summary.items():
            episodes[name].append(value)
        if seed % 20 == 19:
            print(f"{seed + 1} episodes, mean score {np.mean(episodes['score']):.2f}", flush=True)

    figures: dict[str, float] = {}
    rows = []
    for name, values in episodes.items():
        mean, error = float(np.mean(values)), float(np.std(values, ddof=1)) / len(values) ** 0.5
        figures |= {name: mean, f"{name}_se": error}
        rows.append([name, f"{mean:.3f}", f"{error:.3f}"])
    figures |= {"steps_per_s": sum(episodes["length"]) / spent, "episodes": float(seeds), "peak_memory_mib": peak_memory_mib()}
    show(f"the Crafter teacher over {seeds} seeds", ["figure", "mean", "standard error"], rows)
    write(figures, options.json)


if __name__ == "__main__":
    main()
