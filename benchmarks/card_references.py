"""Measures the reference scores of the memory games that no formula gives, and rewrites their data file.

    python benchmarks/card_references.py --write     # regenerate src/unseen/environments/cards/references.json
    python benchmarks/card_references.py --json FILE # the same figures, flat

Players: `random` acts uniformly. `perfect_memory` in higher-lower guesses the side with more cards left (best: guesses change
nothing). In concentration it remembers every card it has seen: it takes a known pair first, else turns an unknown card, then the
match of that if it is known, else another unknown one (scripted, not proven best). In position-cartpole only `random` is measured.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import unseen.environments.cards as cards
from references import Player, measure, uniform
from unseen.environments import make

FILE = Path(cards.__path__[0]) / "references.json"
EPISODES = 20_000
DIFFICULTIES = ("easy", "medium", "hard")


def counting(environment: Any) -> Player:
    return lambda memory, key, state: (memory, environment.signals(key, state)["expert"])


def remembering(environment: Any) -> Player:
    """Concentration; `memory` flags the cards that have been seen."""
    n = environment.cards

    def act(seen: jax.Array, key: jax.Array, state: Any) -> tuple[jax.Array, jax.Array]:
        place = jnp.arange(n)
        seen = seen | (place == state.first) | (place == state.second)
        down, alone = ~state.up, state.waiting == n
        known = seen & down
        alike = (state.values[:, None] == state.values[None, :]) & (place[:, None] != place[None, :])
        paired = known & jnp.any(alike & known[None, :], axis=1)
        other = down & (place != state.waiting)
        match = known & (place != state.waiting) & (state.values == state.values[jnp.minimum(state.waiting, n - 1)])
        unknown = other & ~seen

        def first_of(*wishes: jax.Array) -> jax.Array:
            """The first card of the first wish that any card fulfils."""
            action = jnp.argmax(wishes[-1])
            for wish in reversed(wishes[:-1]):
                action = jnp.where(jnp.any(wish), jnp.argmax(wish), action)
            return action.astype(jnp.int32)

        return seen, jnp.where(alone, first_of(paired, unknown, other), first_of(match, unknown, other))

    return act


def entry(environment: Any, players: dict[str, Player]) -> dict[str, Any]:
    """The scores of these players; their memory is a flag for each card."""
    source = f"measured: {EPISODES:,} episodes"
    sources = {name: source + (", scripted" if name == "perfect_memory" else "") for name in players}
    flags = np.zeros(getattr(environment, "cards", 1), bool)
    return measure(environment, {name: (player, EPISODES, sources[name]) for name, player in players.items()}, flags)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"rewrite {FILE.name} in the package")
    parser.add_argument("--json", type=Path, help="write the figures, flat, to this file")
    arguments = parser.parse_args()

    table: dict[str, Any] = {}
    for difficulty in DIFFICULTIES:
        game = make(f"higher-lower-{difficulty}")
        table[game.name] = entry(game, {"perfect_memory": counting(game)})
        game = make(f"concentration-{difficulty}")
        table[game.name] = entry(game, {"random": uniform(int(game.action_space().n)), "perfect_memory": remembering(game)})
        game = make(f"position-cartpole-{difficulty}")
        table[game.name] = entry(game, {"random": uniform(int(game.action_space().n))})
    flat = {f"{n}_{player}": score["mean"] for n, scores in table.items() for player, score in scores["undiscounted"].items()}
    for name, value in flat.items():
        print(f"{name:45s} {value:8.4f}")
    if arguments.write:
        FILE.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")
    if arguments.json:
        arguments.json.write_text(json.dumps(flat, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
