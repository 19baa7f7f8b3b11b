"""Measures the reference scores of tumour dosing and rewrites their data file.

    python benchmarks/tumour_references.py --write     # regenerate src/unseen/environments/clinical/references.json
    python benchmarks/tumour_references.py --json FILE # the same figures, flat

Players, all scripted but `random` and not proven best. The planner tries sixteen plans (any action today, then one action for ever) on
the growth model without its noise, and takes today's action of the best; it plans anew every day. As `oracle` and `perfect_memory` of
`tumour` it knows the patient's parameters and counts the days; as `memoryless` it always plans for a full episode. In
`tumour-type-only` `perfect_memory` gives both treatments on the first day, reads the response to radiotherapy off what is left of the
tumour, and plans with that, the type's mean response to chemotherapy and the growth that goes with them; `memoryless` treats above
diameters that are the best of a grid, chosen on other episodes than those reported.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import unseen.environments.clinical as clinical
from references import Player, measure, returns, uniform
from unseen.environments.clinical import tumour
from unseen.environments.clinical.tumour import Tumour, TumourState

FILE = Path(clinical.__path__[0]) / "references.json"
EPISODES, PLANNED_EPISODES, TUNING_EPISODES = 20_000, 5_000, 4_000
LIMIT = 60
GRID = (0.0, 1.0, 3.0, 20.0)  # cm; the last means never
BOTH = 3
MEAN_ALPHA, MEAN_RHO = 0.1745, 0.00615  # of patients whose alpha and rho are positive
SLOPE = tumour.CORRELATION * tumour.RHO[1] / tumour.ALPHA[1]


def planned(state: TumourState, days: jax.Array) -> jax.Array:
    """Today's action of the plan that is worth most over so many days, if nothing is left to chance."""

    def worth(first: jax.Array, then: jax.Array) -> jax.Array:
        def advance(carry: tuple[TumourState, jax.Array], t: jax.Array) -> tuple[Any, None]:
            state, total = carry
            state, reward, _ = tumour.day(state, jnp.where(t == 0, first, then), jnp.float32(0.0), jnp.float32(1.0))
            return (state, total + jnp.where(t < days, reward, 0.0)), None

        return jax.lax.scan(advance, (state, jnp.float32(0.0)), jnp.arange(LIMIT))[0][1]

    plans = jnp.arange(16)
    return plans[jnp.argmax(jax.vmap(worth)(plans % 4, plans // 4))] % 4


def counting_days(memory: jax.Array, key: jax.Array, state: TumourState) -> tuple[jax.Array, jax.Array]:
    return memory + 1, planned(state, LIMIT - memory)


def without_a_clock(memory: jax.Array, key: jax.Array, state: TumourState) -> tuple[jax.Array, jax.Array]:
    return memory, planned(state, jnp.float32(LIMIT))


def by_the_response(memory: jax.Array, key: jax.Array, state: TumourState) -> tuple[jax.Array, jax.Array]:
    """`memory`: the day, the first ln V, and alpha once it has been found out."""
    t, first, alpha = memory
    now = tumour.log_volume(state.volume)
    beta_c = tumour.BETA_C[0] + jnp.where(state.kind == 2, tumour.BETA_C_TYPE_3, 0.0)
    shrunk = 1 + MEAN_RHO * (math.log(tumour.CAPACITY) - first) - beta_c * tumour.CHEMO - jnp.exp(now - first)
    per_alpha = tumour.RADIO + tumour.RADIO**2 / tumour.ALPHA_OVER_BETA
    alpha = jnp.where(t == 1, jnp.maximum(shrunk / per_alpha, 1e-3), alpha)
    rho = jnp.maximum(MEAN_RHO + SLOPE * (alpha - MEAN_ALPHA), 5e-4)
    action = jnp.where(t == 0, BOTH, planned(state._replace(alpha=alpha, rho=rho, beta_c=beta_c), LIMIT - t))
    return jnp.stack([t + 1, jnp.where(t == 0, now, first), alpha]), action


def above(chemo: float, radio: float) -> Player:
    limits = [math.log(tumour.volume_of(max(d, 1e-4))) for d in (chemo, radio)]  # 0: at any size

    def act(memory: jax.Array, key: jax.Array, state: TumourState) -> tuple[jax.Array, jax.Array]:
        now = tumour.log_volume(state.volume)
        return memory, (1 * (now > limits[0]) + 2 * (now > limits[1])).astype(jnp.int32)

    return act


def best_limits(environment: Tumour) -> tuple[float, float]:
    pairs = [(chemo, radio) for chemo in GRID for radio in GRID]
    return max(pairs, key=lambda pair: returns(environment, above(*pair), TUNING_EPISODES, seed=1)[0].mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"rewrite {FILE.name} in the package")
    parser.add_argument("--json", type=Path, help="write the figures, flat, to this file")
    arguments = parser.parse_args()

    measured, scripted = (f"measured: {n:,} episodes" for n in (EPISODES, PLANNED_EPISODES))
    scripted += ", scripted: "
    seen, hidden = Tumour(True, LIMIT), Tumour(False, LIMIT)
    chance = (uniform(4), EPISODES, measured)
    knowing = (counting_days, PLANNED_EPISODES, scripted + "plans daily on the noise-free model")
    always_long = (without_a_clock, PLANNED_EPISODES, scripted + "plans daily on the noise-free model, always for a full episode")
    table = {
        seen.name: measure(seen, {"random": chance, "memoryless": always_long, "perfect_memory": knowing, "oracle": knowing}),
    }
    limits = best_limits(hidden)
    by_size = (above(*limits), EPISODES, f"{measured}, scripted: chemo above {limits[0]:g} cm, radio above {limits[1]:g} cm")
    table[hidden.name] = measure(hidden, {"random": chance, "memoryless": by_size, "oracle": knowing})
    responding = (by_the_response, PLANNED_EPISODES, scripted + "finds alpha out on the first day, then plans daily")
    remembering = measure(hidden, {"perfect_memory": responding}, np.array([0.0, 0.0, -1.0], np.float32))
    for kind in ("undiscounted", "discounted"):
        table[hidden.name][kind] |= remembering[kind]

    flat = {f"{name}/{player}": score["mean"] for name, entry in table.items() for player, score in entry["undiscounted"].items()}
    for name, entry in table.items():
        for player, score in entry["undiscounted"].items():
            print(f"{name:20}{player:16}{score['mean']:9.3f} ± {score['standard_error']:.3f}   {score['source']}")
    if arguments.write:
        FILE.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")
    if arguments.json:
        arguments.json.write_text(json.dumps(flat, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
