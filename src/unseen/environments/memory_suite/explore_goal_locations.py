"""Explore goal locations: a goal in a procedural maze, and the way back to it from wherever one is put."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from unseen.environments.memory_suite import land, maze, paths
from unseen.environments.memory_suite.land import MAZE_DECALS, MAZE_WALLS, SIZE, Extent, Land, LandParams

EXTENTS: Mapping[str, Extent] = {  # [LAB]: exact
    "small": Extent(side=11, train_rows=(2, 5), holdout_rows=(7, 10), rooms=9, room_side=3, goals=5),
    "large": Extent(side=21, train_rows=(2, 10), holdout_rows=(12, 20), rooms=13, room_side=7, goals=15),
    "interpolate": Extent(side=15, train_rows=(2, 7), holdout_rows=(9, 14), rooms=11, room_side=5, goals=10),
    "extrapolate": Extent(side=27, train_rows=(2, 13), holdout_rows=(15, 26), rooms=15, room_side=9, goals=20),
}


@dataclass(frozen=True)
class ExploreGoalLocations:
    """A random maze with rooms; a goal object in one of them.

    Each visit pays 10 and puts the agent at another start in the same maze; maze, goal and wall theme are redrawn each episode.

    Source: specification §3.12, exact for maze and goal. Starts are the original's but for those within reach of the goal, which
    are left out here; what stands for a wall's theme and decals is ours.
    """

    name: ClassVar[str] = "explore-goal-locations"
    extents: ClassVar[Mapping[str, Extent]] = EXTENTS
    goal_visible: ClassVar[bool] = True

    def draw(self, key: PRNGKeyArray, params: LandParams) -> Land:
        k_maze, k_settle, k_theme = jax.random.split(key, 3)
        drawn = maze.generate(k_maze, maze.MazeShape(params.side, params.rooms, params.room_side, params.goals))
        rows = jnp.arange(maze.SIDE, dtype=jnp.int32)[:, None]
        band = (rows >= params.first_row) & (rows <= params.last_row)
        candidates = drawn.goals & band
        # A maze without a room in the band has no candidate there: any free cell of the band then.
        allowed = jnp.where(jnp.any(candidates), candidates, ~drawn.walls & band)
        spawns = jnp.where(jnp.any(drawn.spawns), drawn.spawns, ~drawn.walls)  # all free cells of a maze are connected
        theme = jax.random.randint(k_theme, (), 0, len(MAZE_WALLS))
        plain, decal = (jnp.asarray(materials, jnp.uint8)[theme] for materials in (MAZE_WALLS, MAZE_DECALS))
        cells = jnp.where(drawn.walls, jnp.where(drawn.decals, decal, plain), jnp.uint8(0))
        around = ((0, SIZE - maze.SIDE), (0, SIZE - maze.SIDE))
        padded = jnp.pad(cells, around, constant_values=MAZE_WALLS[0])
        return land.settled(k_settle, padded, *(paths.pack(jnp.pad(allowed_, around)) for allowed_ in (allowed, spawns)))
