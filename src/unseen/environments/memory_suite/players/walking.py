"""How a wish to go somewhere becomes an action: a cell at a time in the compact embodiment, by steering in first person."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from unseen.environments.memory_suite import clock, compact_land, walker
from unseen.environments.memory_suite.players import routes
from unseen.environments.memory_suite.walker import SPEED, TURN, Pose

FORWARD, BACKWARD, LEFT, RIGHT, LOOK_LEFT, LOOK_RIGHT, CURVE_LEFT, CURVE_RIGHT = range(8)  # in first person
STRIDE, SWING = clock.ACTION_REPEAT * SPEED, clock.ACTION_REPEAT * TURN  # metres and radians of an action
# A quarter turn to the right of ahead is right; of the four ways to walk, in both embodiments.
WAYS = (compact_land.FORWARD, compact_land.RIGHT, compact_land.BACKWARD, compact_land.LEFT)
QUARTERS = np.arange(4, dtype=np.float32) * np.float32(np.pi / 2)  # to the right of the heading, in the same order
ASKEW = 0.75 * SWING  # radians off a way that are worth a turn; more than half a turn, or it would turn to and fro
MARGIN = 0.27  # metres a body wants on all sides, a little more than its radius
FARTHEST = 16.0  # metres to a place that it can go straight to
ASIDE = 0.2  # metres off the middle of a cell at which a body goes back there first


def step(direction: Int[Array, ""], heading: Int[Array, ""]) -> Int[Array, ""]:
    """The compact action that goes north, east, south or west (0 to 3) without turning."""
    return jnp.asarray(WAYS, jnp.int32).at[(direction - heading) % 4].get(mode="clip")


def steer(place: Pose, to: Float[Array, "2"], walls: Bool[Array, "H W"]) -> Int[Array, ""]:
    """The first-person action that goes straight to a place (x, y), sliding along walls that are in its way.

    One of the four ways of walking is never more than 45 degrees off. Where walking zigzag would take longer than turning first, it
    turns, while going forward if forward is the way; otherwise it walks whichever way brings it nearest, rather one after which
    the place is still straight ahead.
    """
    right, down = to[0] - place.x, to[1] - place.y
    metres = jnp.hypot(right, down)
    relative = jnp.arctan2(right, -down) - place.heading
    off = (relative - QUARTERS + jnp.pi) % (2 * jnp.pi) - jnp.pi  # of each way of walking
    straight = jnp.argmin(jnp.abs(off))
    askew = off[straight]
    detour = metres * (jnp.cos(askew) + jnp.abs(jnp.sin(askew)) - 1.0) / STRIDE  # in actions, as is the turn
    turns = (jnp.abs(askew) > ASKEW) & (detour > jnp.abs(askew) / SWING)
    ahead = straight == 0
    turn = jnp.where(askew > 0, jnp.where(ahead, CURVE_RIGHT, LOOK_RIGHT), jnp.where(ahead, CURVE_LEFT, LOOK_LEFT))
    after = jax.vmap(lambda way: led(place, way, walls))(jnp.asarray(WAYS, jnp.int32))
    still = jax.vmap(lambda here: routes.clear(walls, here, to, MARGIN, FARTHEST))(after)
    gain = metres - jnp.hypot(to[0] - after[:, 0], to[1] - after[:, 1])
    best = jnp.argmax(gain + jnp.where(still & (gain > STRIDE / 3), 2 * STRIDE, 0.0))
    return jnp.where(turns, turn, jnp.asarray(WAYS, jnp.int32).at[best].get(mode="clip")).astype(jnp.int32)


def faced(place: Pose, direction: Int[Array, ""]) -> Int[Array, ""]:
    """The first-person action that turns north, east, south or west; where it looks there already, it turns to and fro."""
    off = (direction.astype(jnp.float32) * (jnp.pi / 2) - place.heading + jnp.pi) % (2 * jnp.pi) - jnp.pi
    return jnp.where(off > 0, LOOK_RIGHT, LOOK_LEFT).astype(jnp.int32)


def led(place: Pose, action: Int[Array, ""], walls: Bool[Array, "H W"]) -> Float[Array, "2"]:
    """Where a first-person action leads (x, y) among these walls."""
    cells = walls.astype(jnp.uint8)
    for _ in range(clock.ACTION_REPEAT):
        place = walker.moved(cells, place, action)
    return jnp.stack([place.x, place.y])


def embodied(action: Int[Array, ""], heading: Int[Array, ""], gaze: Float[Array, "3"]) -> Int[Array, ""]:
    """The first-person action for a compact one, from the nearest cell and heading: it first gets back to where these are exact.

    Args:
        action: of the compact embodiment.
        heading: the nearest of the four.
        gaze: how far the body is off: metres to the east, metres to the south, radians to the right.
    """
    east, south, turned = gaze
    quarter = jnp.asarray([0, 2, 3, 1], jnp.int32).at[action].get(mode="clip")  # of ahead, behind, left and right
    along_row = (heading + quarter) % 2 == 1
    aside = jnp.where(along_row, south, east)  # to the south or to the east of the line it should walk on
    back = step(jnp.where(along_row, jnp.where(aside > 0, 0, 2), jnp.where(aside > 0, 3, 1)), heading)
    walk = jnp.where(jnp.abs(aside) > ASIDE, back, action)
    askew = jnp.abs(turned) > ASKEW
    forward = walk == FORWARD
    align = jnp.where(turned > 0, jnp.where(forward, CURVE_LEFT, LOOK_LEFT), jnp.where(forward, CURVE_RIGHT, LOOK_RIGHT))
    # A turn that has begun goes on the same way.
    turn = jnp.where(askew, jnp.where(turned > 0, LOOK_RIGHT, LOOK_LEFT), action)
    return jnp.where(action > compact_land.RIGHT, turn, jnp.where(askew, align, walk)).astype(jnp.int32)
