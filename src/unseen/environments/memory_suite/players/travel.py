"""The next action on a shortest way, in either embodiment."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from unseen.environments.memory_suite import compact_land
from unseen.environments.memory_suite.players import routes, walking
from unseen.environments.memory_suite.sight import HEADINGS
from unseen.environments.memory_suite.walker import Pose, on_grid

LOOKAHEAD = 8  # cells of its way that a body looks along for one that it can go straight to
SURE = 5  # goals down to which the nearest is gone to straight where that is possible; of more, some are only possible


def towards(
    first_person: bool,
    place: Pose,
    walls: Bool[Array, "H W"],
    goals: Bool[Array, "H W"],
    targets: Bool[Array, "H W"],
    liking: Int[Array, "4"],
    unseen: Bool[Array, "H W"] | None = None,
) -> tuple[Int[Array, ""], Int[Array, ""]]:
    """The action that leads to a target.

    Args:
        walls: which cells cannot be entered.
        goals: what it is all about.
        targets: cells to which the way leads, the goals or those from which they are within reach.
        liking: of steps to the north, east, south and west, where several are on a shortest way.
        unseen: cells that may turn out to be walls. In first person it looks before it goes there.

    Returns:
        the action, and the direction of the way; in the compact embodiment at a target a turn.
    """
    row, column, heading = on_grid(place)
    cells, goes = routes.route(walls, targets, row, column, liking, LOOKAHEAD if first_person else 1)
    direction = jnp.argmax(jnp.asarray(HEADINGS) @ (cells[0] - jnp.stack([row, column]))).astype(jnp.int32)
    if first_person:
        blind = walls if unseen is None else walls | unseen
        to = _waypoint(place, blind, goals, cells, ~goes)
        after = jnp.where(goes, cells[0], jnp.floor(to[::-1]).astype(jnp.int32))
        looks, towards = blind.at[after[0], after[1]].get(mode="clip"), jnp.asarray(HEADINGS) @ (after - jnp.stack([row, column]))
        action = jnp.where(looks, walking.faced(place, jnp.argmax(towards)), walking.steer(place, to, blind))
        return action.astype(jnp.int32), direction
    return jnp.where(goes, walking.step(direction, heading), compact_land.TURN_RIGHT).astype(jnp.int32), direction


def _waypoint(
    place: Pose, walls: Bool[Array, "H W"], goals: Bool[Array, "H W"], cells: Int[Array, "n 2"], there: Bool[Array, ""]
) -> Float[Array, "2"]:
    """The furthest place to which the body can go straight: a goal that is known or in the next cell, or a cell of its way."""
    here = jnp.stack([place.x, place.y])
    own = jnp.floor(here) + 0.5
    middles = cells[:, ::-1].astype(jnp.float32) + 0.5
    # From the line through the middles of its cell and the next one, the next one is clear.
    line = jnp.where(middles[0] == own, own, here)
    middles = jnp.concatenate([line[None], middles])
    sight = jax.vmap(lambda to: routes.clear(walls, here, to, walking.MARGIN, float(LOOKAHEAD)))(middles)
    last = jnp.max(jnp.where(sight, jnp.arange(len(middles)), 0))
    rows, columns = (axis.astype(jnp.float32) + 0.5 for axis in jnp.indices(walls.shape))
    distance = jnp.where(goals, (columns - here[0]) ** 2 + (rows - here[1]) ** 2, jnp.inf)
    nearest = jnp.argmin(distance)
    middle = jnp.stack([columns.reshape(-1)[nearest], rows.reshape(-1)[nearest]])
    straight = there | ((jnp.sum(goals) <= SURE) & routes.clear(walls, here, middle, walking.MARGIN, walking.FARTHEST))
    return jnp.where(straight, middle, middles[last])
