"""Nothing seen in room 1 can be carried to room 2 by the body: it stands at one place when the far door opens, whatever it did."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quickly import jit

from unseen.environments import make
from unseen.environments.memory_suite import chambers, walker
from unseen.environments.memory_suite.chambers import OPEN, THRESHOLD, WAITING

NAMES = ("memory/spot-diff", "memory/spot-diff-passive", "memory-fp/spot-diff-motion", "memory-fp/spot-diff-multi")
COPIES = 32


@lru_cache
def wandered(name: str) -> Any:
    """Phases, and rows, columns and headings on the grid, of copies that back for a while, go east, then act at random; (steps, copies)."""
    environment = make(name)
    params = environment.levels["train_small"][0][1]
    east, backward = (environment.action_names.index(name) for name in ("forward", "backward"))
    first_person = name.startswith("memory-fp")
    crossing, steps = (90, 260) if first_person else (16, 60)

    def copy(key: Any) -> Any:
        k_reset, k_wait, k_act = jax.random.split(key, 3)
        state = environment.reset(k_reset, params)[1]
        hurry = jax.random.randint(k_wait, (), 0, 10, jnp.int32)

        def advance(state: Any, inputs: Any) -> Any:
            key, t = inputs
            idle = jax.random.randint(key, (), 0, len(environment.action_names), jnp.int32)
            action = jnp.where((t >= hurry) & (t < hurry + crossing), east, jnp.where(t < hurry, backward, idle))
            after = environment.step(key, state, action, params).state
            pose = walker.on_grid(after.pose) if first_person else (after.row, after.column, after.heading)
            return after, (after.progress.phase, jnp.stack(pose))

        times = jnp.arange(steps, dtype=jnp.int32)
        return jax.lax.scan(advance, state, (jax.random.split(k_act, steps), times))[1]

    phase, pose = jit(jax.vmap(copy))(jax.random.split(jax.random.key(61), COPIES))
    return np.asarray(phase), np.asarray(pose)


@pytest.mark.parametrize("name", NAMES)
def test_the_body_stands_before_the_far_door_when_it_opens(name: str) -> None:
    phase, pose = wandered(name)
    opens = (phase[:, 1:] == OPEN) & (phase[:, :-1] == WAITING)
    assert opens.any(axis=1).sum() > COPIES // 3
    assert {tuple(row) for row in pose[:, 1:][opens].tolist()} == {tuple(THRESHOLD)}
    just_before = {tuple(row) for row in pose[:, :-1][opens].tolist()}
    assert len(just_before) > 1  # the control: before that it stood in several places


def test_what_is_seen_of_a_room_changes_when_its_door_shuts() -> None:
    """Not at a column of the map: in the doorway, the blocks of room 1 are there until the near door shuts."""
    environment = make("memory-fp/spot-diff")
    state = environment.reset(jax.random.key(2), environment.levels["train_small"][0][1])[1]
    for x in (8.5, 9.05, 9.25):
        inside = state._replace(x=jnp.float32(x), y=jnp.float32(4.5), heading=jnp.float32(3 * np.pi / 2))
        columns = np.asarray(environment._seen(inside).column)[: int(state.blocks.count[0])]
        assert (columns < chambers.NEAR_DOOR).all()
