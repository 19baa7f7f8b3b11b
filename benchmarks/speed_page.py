"""docs/results/speed.md from the figures that the benchmarks wrote, with what each is held against.

for name in recurrent_ppo navigation environments memory signals outcomes outcomes_accuracy planning planning_rl compile_time start_up; do
    python benchmarks/$name.py --json docs/results/speed/$name.json
done
python benchmarks/speed_page.py docs/results
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from figures import MACHINES

# benchmark -> (what it measures, rows of (figure, what it is, aim: a sign and a number, or None))
PAGE = {
    "recurrent_ppo": (
        "Recurrent PPO on CartPole without velocities, beside sb3-contrib's RecurrentPPO and a plain JAX loop in the same run: 64 "
        "environments x 128 steps, LSTM-128 for actor and critic each, heads of 128. 4x4 is 4 epochs of 4 minibatches, 1x1 one of one.",
        [
            ("unseen_4x4", "steps/s, 4x4", None),
            ("ratio_sb3_4x4", "times sb3-contrib, 4x4", "≥ 15"),
            ("ratio_plain_4x4", "times the plain JAX loop, 4x4", "≥ 1.5"),
            ("unseen_1x1", "steps/s, 1x1", None),
            ("ratio_sb3_1x1", "times sb3-contrib, 1x1", "≥ 15"),
            ("ratio_plain_1x1", "times the plain JAX loop, 1x1", "≥ 1.2"),
            ("unseen_return_4x4", "best return reached, 4x4 (the bar is 100)", "≥ 100"),
            ("plain_return_4x4", "the same, the plain loop", "≥ 100"),
            ("sb3_return_4x4", "the same, sb3-contrib", "≥ 100"),
            ("unseen_return_1x1", "best return reached, 1x1", "≥ 100"),
            ("plain_return_1x1", "the same, the plain loop", "≥ 100"),
            ("sb3_return_1x1", "the same, sb3-contrib", "≥ 100"),
        ],
    ),
    "navigation": (
        "heaven-hell-3, A2C with the published networks (GRU-128 twice, heads 512-256), two episodes an update, 20 seeds; real steps of "
        "all seeds.",
        [
            ("heavenhell3_steps_per_s", "steps/s, mean over the run", "≥ 20000"),
            ("heavenhell3_early_steps_per_s", "steps/s, the first twentieth of the run", None),
            ("env_steps_per_seed", "environment steps of each seed", None),
            ("peak_memory_mib", "peak memory, MiB", None),
        ],
    ),
    "signals": (
        "Criterion A with standardised residuals at the published size: 250 episodes of 25 steps, 8 sets of signals, 1,000 permutations of "
        "whole episodes, forests; the code of the history is trained before.",
        [
            ("seconds_criterion_a", "seconds, encoder training excluded", "≤ 60"),
            ("seconds_encoder", "seconds, training the code of the history", None),
            ("ratio_plain_numpy", "times the permutation null written plainly with NumPy", None),
            ("peak_memory_mib", "peak memory, MiB", None),
        ],
    ),
    "outcomes": (
        "200,000 transitions of 8 numbers and 4 actions, trajectories of 5 to 39 steps: all of DRQ (five folds, every nuisance, intervals "
        "of the value and of a projection) over one fit of FQE with the same regressor, in turns; EconML's doubly robust learner over ours "
        "at discount 0, with the same nuisances and folds; d3rlpy's FQE on Taxi with a fixed destination.",
        [
            ("overhead_linear", "DRQ / FQE, linear", "≤ 6"),
            ("overhead_linear_diagnosed", "the same with diagnostics and verdict", None),
            ("seconds_linear", "seconds, DRQ, linear", None),
            ("overhead_lightgbm", "DRQ / FQE, LightGBM, 20 sweeps", "≤ 7"),
            ("seconds_fqe_lightgbm", "seconds, FQE with LightGBM", None),
            ("seconds_tabular", "seconds, DRQ, 1,296 counted states", "≤ 3"),
            ("ratio_econml", "EconML / DRQ at discount 0", "≥ 2"),
            ("econml_difference_in_errors", "largest difference of their effects, in standard errors", None),
            ("seconds_million", "seconds, DRQ, linear, 10⁶ transitions", "≤ 60"),
            ("peak_memory_mib", "peak memory of that, MiB", "≤ 4096"),
            ("pairwise_peak_mib_50k", "peak memory, MiB, a ratio of pairs on 50,000 transitions", None),
            ("pairwise_peak_mib_200k", "the same on 200,000", None),
            ("square_mib_200k", "what all pairs of those would take, MiB", None),
            ("seconds_d3rlpy_best", "seconds of d3rlpy's FQE to its least error", None),
            ("error_d3rlpy_best", "that error, relative squared", None),
            ("seconds_taxi_fqe", "seconds of our FQE on the same rows, tabular", None),
            ("error_taxi_fqe", "its error", None),
            ("seconds_taxi_drq", "seconds of DRQ on the same rows", None),
            ("error_taxi_drq", "its error", None),
        ],
    ),
    "outcomes_accuracy": (
        "Relative squared error of DRQ over that of FQE on the same data, medians over 50 seeds.",
        [
            row
            for contest, what, aim in (
                ("linear_taxi_0.1", "Taxi, linear class, epsilon 0.1", "≤ 1"),
                ("linear_taxi_0.3", "Taxi, linear class, epsilon 0.3", "≤ 1"),
                ("three_sweeps_taxi", "Taxi, saturated class, three sweeps", "≤ 1"),
                ("trees_tumour", "tumour, trees in both stages", None),
                ("linear_on_trees_tumour", "tumour, a linear second stage on trees", None),
            )
            for row in (
                (f"ratio_{contest}", what, aim),
                (f"low_{contest}", "its 95 % interval, from", None),
                (f"high_{contest}", "to", None),
                (f"lost_{contest}", "seeds on which DRQ was worse", None),
            )
        ],
    ),
    "planning": (
        "Language-model agents, a transformer of a million weights with random values, 32 live episodes: 64 shared prompt tokens, two "
        "observations of 60, a plan of 16 in every fourth step. The peer asks `model.generate` for one episode after the other. The bound "
        "is the bare model at that batch, in tokens read and written. Environments play random legal actions, resets "
        "included; Crafter's peer is `crafter.Env` with pictures.",
        [
            ("ratio_batched_rollouts", "times as fast as one episode at a time", "≥ 4"),
            ("fraction_of_bound", "of the bare model's tokens/s", "≥ 0.6"),
            ("pogs_steps_per_s", "steps/s, graph search, no model", "≥ 20000"),
            ("ratio_crafter_text", "times as fast as crafter.Env with its own pictures of 64 × 64", "≥ 5"),
            ("ratio_crafter_text_256", "the same, with pictures of 256 × 256, as BALROG draws them", None),
            ("crafter_text_steps_per_s", "steps/s, Crafter in words", None),
        ],
    ),
    "planning_rl": (
        "Reinforcement of language-model agents in graph search, ten nodes, random weights, 32 live episodes: the whole loop, rollout and "
        "update. The bound of generation is the bare model at that batch, which reads whole prompts anew at every step.",
        [
            ("env_steps_per_s_0.6m", "environment steps/s, 0.79 M parameters", None),
            ("generation_share_0.6m", "share of the time in generation", None),
            ("environment_share_0.6m", "in the environment", None),
            ("update_share_0.6m", "in the update", None),
            ("fraction_of_bound_0.6m", "of the bare model's tokens/s, generation", "≥ 0.6"),
            ("env_steps_per_s_3m", "environment steps/s, 4.2 M parameters", None),
            ("generation_share_3m", "share of the time in generation", None),
            ("environment_share_3m", "in the environment", None),
            ("update_share_3m", "in the update", None),
            ("fraction_of_bound_3m", "of the bare model's tokens/s, generation", "≥ 0.6"),
            ("peak_memory_mib", "peak memory, MiB", None),
        ],
    ),
    "memory": (
        "Memories at 256 units: the gradient of an unroll of 64 steps of 256 sequences, inputs of 256. MEM is an LSTM with an episodic "
        "memory, 10 neighbours, keys of 256, all slots full, jumpy backpropagation; its ratios are timed in turns with the LSTM alone. "
        "Told what acting recalled, as V-trace without lag and A2C are, it does not search.",
        [
            ("mem_over_lstm_128", "times the LSTM's time, learning, 128 slots", "≤ 2.5"),
            ("mem_over_lstm_128_recalled", "the same, told what acting recalled", None),
            ("mem_over_lstm_128_acting", "the same, acting", None),
            ("mem_over_lstm_1024", "times the LSTM's time, learning, 1,024 slots", "≤ 6"),
            ("mem_over_lstm_1024_recalled", "the same, told what acting recalled", None),
            ("mem_over_lstm_1024_acting", "the same, acting", None),
            ("feedforward_learn_steps_per_s", "steps/s, learning: feed-forward", None),
            ("gru_learn_steps_per_s", "steps/s, learning: GRU", None),
            ("lstm_learn_steps_per_s", "steps/s, learning: LSTM", None),
            ("lru_learn_steps_per_s", "steps/s, learning: linear recurrent unit", None),
            ("gtrxl_learn_steps_per_s", "steps/s, learning: gated Transformer-XL", None),
            ("mem_128_learn_steps_per_s", "steps/s, learning: MEM, 128 slots", None),
            ("mem_1024_learn_steps_per_s", "steps/s, learning: MEM, 1,024 slots", None),
            ("peak_memory_mib", "peak memory, MiB", None),
        ],
    ),
    "compile_time": (
        "The default heaven-hell-3 training, from settings to the end of the first update, imports apart.",
        [
            ("cold_s", "seconds, empty compilation cache", "≤ 10"),
            ("cached_s", "seconds, from the cache", "≤ 3"),
            ("cold_process_s", "seconds of the whole process, empty cache", None),
            ("cached_process_s", "seconds of the whole process, from the cache", None),
            ("peak_memory_mib", "peak memory, MiB", None),
        ],
    ),
    "start_up": (
        "What a command costs before it does anything: medians of fresh processes.",
        [
            ("import_s", "seconds, import unseen", "≤ 0.3"),
            ("help_s", "seconds, unseen --help", "≤ 0.5"),
            ("train_help_s", "seconds, unseen train --help", "≤ 0.5"),
        ],
    ),
}


def number(value: float) -> str:
    """Thousands with commas, small numbers with two decimals, tiny ones with a power of ten."""
    if value and abs(value) < 0.01:
        return f"{value:.1e}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"


def verdict(value: float, aim: str | None) -> str:
    """The aim, and whether it is met."""
    if aim is None:
        return "–"
    sign, bound = aim.split()
    met = value >= float(bound) if sign == "≥" else value <= float(bound)
    return f"{sign} {number(float(bound))}{'' if met else ', **missed**'}"


def main() -> None:
    out = Path(sys.argv[1])
    found = {path.stem: json.loads(path.read_text()) for path in sorted((out / "speed").glob("*.json"))}
    machines = found.pop(MACHINES.removesuffix(".json"))
    lines = ["# Speed", "", "Nothing else was running. Each figure is one run of the benchmark named above it, on the machine named there."]
    lines += ["Made by the commands in `benchmarks/speed_page.py`.", ""]
    for name, (about, rows) in PAGE.items():
        lines += [f"## {name}", "", f"`python benchmarks/{name}.py`: {about}", "", f"{machines[name]}.", ""]
        lines += ["| figure | measured | aim |", "|---|---|---|"]
        lines += [f"| {what} | {number(found[name][key])} | {verdict(found[name][key], aim)} |" for key, what, aim in rows] + [""]
    rates = found["environments"]
    lines += [
        "## environments",
        "",
        "`python benchmarks/environments.py`: random-action steps/s, every output consumed; restarts are",
    ]
    lines += [
        "generated for all lanes at every step. Files of the `.pomdp` format have names that begin with `file`.",
        "",
        f"{machines['environments']}.",
        "",
    ]
    lines += ["| environment | 1 copy | 64 copies | 1,024 copies |", "|---|---|---|---|"]
    for name in [key.removesuffix("_1024") for key in rates if key.endswith("_1024") and not key.startswith("min_")]:
        lines.append(f"| {name} | " + " | ".join(number(rates[f"{name}_{copies}"]) for copies in (1, 64, 1024)) + " |")
    least = rates["min_tabular_1024"]
    lines += ["", f"The slowest file at 1,024 copies: {number(least)} steps/s; aim {verdict(least, '≥ 5000000')}.", ""]
    (out / "speed.md").write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
