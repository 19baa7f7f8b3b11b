"""Measures the reference scores of the environments whose values no table gives, and rewrites their data file.

    python benchmarks/references.py --write          # regenerate src/unseen/environments/navigation/references.json
    python benchmarks/references.py --json FILE      # the same figures, flat

Players: `random` acts uniformly. In car-flag the `oracle` drives flat out to heaven, which is time-optimal; `perfect_memory`
drives to the signpost, slowing down so as not to be carried past it, then flat out to heaven; how far past the signpost's
edge it aims is the best of a grid, chosen on other episodes than those reported. It uses position, velocity (a difference of
positions) and what the signpost said, nothing else. In the cleaner everything is known in advance, so both are one fixed plan:
of all ways to split the maze's dead ends between the robots, the quickest tour; it cleans all 71 cells, which nothing exceeds.
In memory-four-rooms the `oracle` takes the shortest way to the good exit that avoids the other.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import unseen.environments.navigation as navigation
from unseen.environments.navigation import carflag, cleaner, four_rooms

FILE = Path(navigation.__path__[0]) / "references.json"
DISCOUNT = 0.99
EPISODES = 200_000
TUNING_EPISODES = 20_000
TIME_LIMIT = 100

# (memory, key, state) -> (memory, action); memory is one float, 0 before the first step, or what `begin` of `returns` says
Player = Callable[[jax.Array, jax.Array, Any], tuple[jax.Array, jax.Array]]


def returns(environment: Any, player: Player, episodes: int, seed: int, begin: Any = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Undiscounted and discounted return of each episode, cut at the horizon; two arrays of shape (episodes,).

    `begin` is the player's memory before the first step.
    """
    limit = environment.horizon(())

    def episode(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        for_reset, for_steps = jax.random.split(key)
        _, state = environment.reset(for_reset, ())

        def advance(carry: Any, key: jax.Array) -> tuple[Any, jax.Array]:
            state, memory, running = carry
            for_player, for_step = jax.random.split(key)
            memory, action = player(memory, for_player, state)
            step = environment.step(for_step, state, action, ())
            return (step.state, memory, running & ~step.terminated), jnp.where(running, step.reward, 0.0)

        _, rewards = jax.lax.scan(advance, (state, jnp.asarray(begin), jnp.bool_(True)), jax.random.split(for_steps, limit))
        return rewards.sum(), (rewards * DISCOUNT ** jnp.arange(limit)).sum()

    keys = jax.random.split(jax.random.key(seed), episodes)
    total, discounted = jax.jit(lambda keys: jax.lax.map(episode, keys, batch_size=2_000))(keys)
    return np.asarray(total, np.float64), np.asarray(discounted, np.float64)


def uniform(actions: int) -> Player:
    return lambda memory, key, state: (memory, jax.random.randint(key, (), 0, actions))


# ---- car-flag ----------------------------------------------------------------------------------------------------------

FULL_LEFT, FULL_RIGHT = 0, 6


def flat_out(memory: jax.Array, key: jax.Array, state: carflag.CarFlagState) -> tuple[jax.Array, jax.Array]:
    return memory, jnp.where(state.heaven == 1, FULL_RIGHT, FULL_LEFT)


def by_the_signpost(aim: float) -> Player:
    """Reach the signpost with just the speed that full braking turns round at `aim`; `memory` is what the signpost said."""

    def act(memory: jax.Array, key: jax.Array, state: carflag.CarFlagState) -> tuple[jax.Array, jax.Array]:
        readable = (state.position >= carflag.SIGN_FROM) & (state.position <= carflag.SIGN_TO)
        memory = jnp.where(readable, 2.0 * state.heaven - 1.0, memory)
        turns_round_at = state.position + state.velocity**2 / (2 * carflag.ACCELERATION)
        approach = jnp.where(turns_round_at < aim, FULL_RIGHT, FULL_LEFT)
        return memory, jnp.where(memory > 0, FULL_RIGHT, jnp.where(memory < 0, FULL_LEFT, approach))

    return act


def best_aim(environment: Any) -> float:
    grid = np.round(np.arange(0.32, 0.90, 0.02), 2)
    scores = {float(aim): returns(environment, by_the_signpost(float(aim)), TUNING_EPISODES, seed=1) for aim in grid}
    certain = [aim for aim, (total, _) in scores.items() if total.mean() >= max(t.mean() for t, _ in scores.values())]
    return max(certain, key=lambda aim: scores[aim][1].mean())


# ---- cleaner -----------------------------------------------------------------------------------------------------------

UP = 0


def cleaning_plan() -> np.ndarray:
    """Joint actions, shape (time limit,): both robots' tours, the dead ends split so that the later one ends soonest."""
    children, depth = _tree(cleaner.START)
    leaves = [cell for cell in depth if not children[cell]]
    parent = {child: cell for cell, below in children.items() for child in below}

    def path(leaf: int) -> set[int]:
        cells = set()
        while leaf != cleaner.START:
            cells.add(leaf)
            leaf = parent[leaf]
        return cells

    paths = {leaf: path(leaf) for leaf in leaves}

    def length(part: list[int]) -> int:  # every corridor there and back, but for the way back from the deepest dead end
        return 2 * len(set().union(*(paths[leaf] for leaf in part))) - max((depth[leaf] for leaf in part), default=0)

    splits = [[[l for i, l in enumerate(leaves) if mask >> i & 1 == robot] for robot in range(2)] for mask in range(2 ** len(leaves))]
    # Robot 0 first stays one step, to clean the cell both start on.
    first, second = min(splits, key=lambda split: max(1 + length(split[0]), length(split[1])))
    tours = [[UP, *_tour(first, children, paths, depth)], _tour(second, children, paths, depth)]
    if max(map(len, tours)) > TIME_LIMIT:
        raise SystemExit(f"the quickest split needs {max(map(len, tours))} steps, more than {TIME_LIMIT}")
    padded = [tour + [UP] * (TIME_LIMIT - len(tour)) for tour in tours]
    return 4 * np.array(padded[0]) + np.array(padded[1])


def _tree(root: int) -> tuple[dict[int, list[int]], dict[int, int]]:
    """Children and depth of every free cell: the maze is a tree."""
    children: dict[int, list[int]] = {}
    depth, frontier = {root: 0}, [root]
    while frontier:
        cell = frontier.pop()
        children[cell] = [int(c) for c in np.unique(cleaner.NEXT_CELL[cell]) if c not in depth]
        depth |= dict.fromkeys(children[cell], depth[cell] + 1)
        frontier += children[cell]
    return children, depth


def _tour(part: list[int], children: dict[int, list[int]], paths: dict[int, set[int]], depth: dict[int, int]) -> list[int]:
    """Actions that visit every dead end in `part`, depth first, the deepest one last and with no way back."""
    wanted = set().union(*(paths[leaf] for leaf in part))
    last = paths[max(part, key=depth.__getitem__)]

    def visit(cell: int) -> list[int]:
        moves: list[int] = []
        for child in sorted((c for c in children[cell] if c in wanted), key=lambda c: c in last):
            there, back = _action(cell, child), _action(child, cell)
            moves += [there, *visit(child)] + ([] if child in last else [back])
        return moves

    return visit(cleaner.START)


def _action(cell: int, neighbour: int) -> int:
    return int(np.flatnonzero(cleaner.NEXT_CELL[cell] == neighbour)[0])


def follow(plan: np.ndarray) -> Player:
    """The plan's next action; `memory` counts the steps."""
    table = jnp.asarray(plan, jnp.int32)
    return lambda memory, key, state: (memory + 1, table[memory.astype(jnp.int32)])


# ---- memory-four-rooms -------------------------------------------------------------------------------------------------


def shortest_ways(environment: four_rooms.MemoryFourRooms, episodes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Undiscounted and discounted return of the shortest way to the good exit that avoids the other; no turns are needed."""
    size = environment.size

    def distance(key: jax.Array) -> jax.Array:
        _, state = environment.reset(key, ())
        clear = ~state.walls & (jnp.arange(size**2).reshape(size, size) != state.bad)
        here = (jnp.arange(size**2) == state.row * size + state.column).reshape(size, size)

        def spread(carry: Any, _: Any) -> tuple[Any, None]:
            reached, steps = carry
            padded = jnp.pad(reached, 1)
            steps = jnp.where(reached.reshape(-1)[state.good], steps, steps + 1)
            around = padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
            return (reached | (around & clear), steps), None

        return jax.lax.scan(spread, (here, jnp.int32(0)), None, length=size**2)[0][1]

    steps = np.asarray(
        jax.jit(lambda keys: jax.lax.map(distance, keys, batch_size=2_000))(jax.random.split(jax.random.key(seed), episodes))
    )
    if steps.max() > TIME_LIMIT:
        raise SystemExit(f"a level of {environment.name} needs {steps.max()} steps, more than {TIME_LIMIT}")
    cost, prize = four_rooms.STEP_COST, four_rooms.PRIZE
    return cost * steps + prize, cost * (1 - DISCOUNT**steps) / (1 - DISCOUNT) + prize * DISCOUNT ** (steps - 1)


def rooms(size: int) -> dict[str, Any]:
    environment = four_rooms.MemoryFourRooms(size, TIME_LIMIT)
    entry = measure(environment, {"random": (uniform(6), EPISODES, f"measured: {EPISODES:,} episodes")})
    ways = shortest_ways(environment, EPISODES, seed=2)
    for kind, values in zip(("undiscounted", "discounted"), ways, strict=True):
        source = f"measured: the shortest way around the bad exit in {EPISODES:,} levels"
        error = float(values.std(ddof=1) / len(values) ** 0.5)
        entry[kind]["oracle"] = {"mean": round(float(values.mean()), 6), "standard_error": round(error, 6), "source": source}
    return entry


# ---- the table ---------------------------------------------------------------------------------------------------------


def measure(environment: Any, players: dict[str, tuple[Player, int, str]], begin: Any = 0.0) -> dict[str, Any]:
    entry: dict[str, Any] = {"time_limit": environment.horizon(()), "discount": DISCOUNT, "undiscounted": {}, "discounted": {}}
    for player, (act, episodes, source) in players.items():
        for kind, values in zip(("undiscounted", "discounted"), returns(environment, act, episodes, 2, begin), strict=True):
            error = float(values.std(ddof=1) / len(values) ** 0.5) if len(values) > 1 else 0.0
            entry[kind][player] = {"mean": round(float(values.mean()), 6), "standard_error": round(error, 6), "source": source}
    return entry


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"rewrite {FILE.name} in the package")
    parser.add_argument("--json", type=Path, help="write the figures, flat, to this file")
    arguments = parser.parse_args()

    table: dict[str, Any] = {}
    measured = f"measured: {EPISODES:,} episodes"
    for size in (7, 9):
        table[f"memory-four-rooms-{size}x{size}"] = rooms(size)
    for observe_velocity in (True, False):
        car = carflag.CarFlag(observe_velocity, TIME_LIMIT)
        aim = best_aim(car)
        table[car.name] = measure(
            car,
            {
                "random": (uniform(7), EPISODES, measured),
                "perfect_memory": (by_the_signpost(aim), EPISODES, f"{measured}, scripted: by way of the signpost, aiming at {aim}"),
                "oracle": (flat_out, EPISODES, f"{measured}, flat out to heaven"),
            },
        )
    robots = cleaner.Cleaner(TIME_LIMIT)
    plan = follow(cleaning_plan())
    fixed = "one fixed plan from a known start; it cleans every cell, the most there is (when discounted, not proven best)"
    table[robots.name] = measure(
        robots, {"random": (uniform(16), EPISODES, measured), "perfect_memory": (plan, 1, fixed), "oracle": (plan, 1, fixed)}
    )

    figures = {}
    print(f"{'environment':22}{'player':16}{'return':>20}{f'discounted {DISCOUNT}':>24}")
    for name, entry in table.items():
        for player, score in entry["undiscounted"].items():
            discounted = entry["discounted"][player]
            cells = [f"{s['mean']:.4f} ± {s['standard_error']:.4f}" for s in (score, discounted)]
            print(f"{name:22}{player:16}{cells[0]:>20}{cells[1]:>24}")
            figures |= {f"{name}/{player}": score["mean"], f"{name}/{player}/discounted": discounted["mean"]}
    if arguments.write:
        FILE.write_text(json.dumps(table, indent=1) + "\n", "utf-8")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
