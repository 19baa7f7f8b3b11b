"""Explore goal locations: mazes of every level with their goal band, start cells and padding (§3.12); the maze itself is tested apart."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quickly import jit
from scipy import ndimage

from unseen.environments.memory_suite import maze
from unseen.environments.memory_suite.explore_goal_locations import EXTENTS, ExploreGoalLocations

TASK = ExploreGoalLocations()
BANDS: dict[str, Any] = {  # side; rows of the goal counted from 1 with the outer wall: training, held out
    "small": (11, (2, 5), (7, 10)),
    "large": (21, (2, 10), (12, 20)),
    "interpolate": (15, (2, 7), (9, 14)),
    "extrapolate": (27, (2, 13), (15, 26)),
}
PLACES = [(scale, holdout) for scale in BANDS for holdout in (False, True)]
EACH = 64


@lru_cache
def draws() -> dict[tuple[str, bool], Any]:
    params = [EXTENTS[scale].params(holdout) for scale, holdout in PLACES]
    stacked = jax.tree.map(lambda *leaves: jnp.repeat(jnp.stack(leaves), EACH, axis=0), *params)
    keys = jax.random.split(jax.random.key(8), EACH * len(PLACES))

    @jit
    @jax.vmap
    def draw(key: Any, params: Any) -> Any:
        """The land, and the maze that its first key gives."""
        shape = maze.MazeShape(params.side, params.rooms, params.room_side, params.goals)
        return TASK.draw(key, params), maze.generate(jax.random.split(key, 3)[0], shape)

    drawn = jax.tree.map(np.asarray, draw(keys, stacked))
    return {place: jax.tree.map(lambda x, k=k: x[EACH * k : EACH * (k + 1)], drawn) for k, place in enumerate(PLACES)}


@pytest.mark.parametrize(("scale", "holdout"), PLACES)
def test_the_goal_is_in_its_band_and_connected_to_every_start(scale: str, holdout: bool) -> None:
    lands, mazes = draws()[scale, holdout]
    first, last = BANDS[scale][1 + holdout]
    in_rooms = 0
    for k in range(EACH):
        cells, goal, starts = lands.cells[k], lands.goal[k], lands.starts[k].astype(int)
        assert first <= goal[0] + 1 <= last
        assert cells[goal[0], goal[1]] == 0
        labelled: Any = ndimage.label(cells == 0)
        pieces = labelled[0]
        assert (pieces[starts[:, 0], starts[:, 1]] == pieces[goal[0], goal[1]]).all()
        assert pieces[goal[0], goal[1]] > 0
        assert ((starts[:, 0] - goal[0]) ** 2 + (starts[:, 1] - goal[1]) ** 2 > 1).all()
        assert starts[:, 2].max() <= 3
        # Starts are spawn cells of rooms; the goal is a candidate of a room wherever the band has one.
        assert mazes.spawns[k][starts[:, 0], starts[:, 1]].all()
        candidates = mazes.goals[k][first - 1 : last]
        assert mazes.goals[k][goal[0], goal[1]] or not candidates.any()
        in_rooms += bool(candidates.any())
    assert in_rooms > 0.9 * EACH


@pytest.mark.parametrize(("scale", "holdout"), PLACES)
def test_all_that_is_outside_is_wall_and_walls_have_one_theme(scale: str, holdout: bool) -> None:
    (lands, mazes), side = draws()[scale, holdout], BANDS[scale][0]
    themes = set()
    for k in range(EACH):
        cells = lands.cells[k]
        np.testing.assert_array_equal(cells[:27, :27] > 0, mazes.walls[k])
        outside = np.ones_like(cells, bool)
        outside[1 : side - 1, 1 : side - 1] = False
        assert (cells[outside] > 0).all()
        inside = cells[:side, :side]
        (theme,) = {int(m) for m in np.unique(inside) if 13 <= m <= 15}
        decals = inside == theme + 3
        assert set(np.unique(inside).tolist()) <= {0, theme, theme + 3}
        np.testing.assert_array_equal(decals, mazes.decals[k][:side, :side])
        themes.add(theme)
    assert themes == {13, 14, 15}


def test_goals_are_uniform_over_the_candidates_of_the_band() -> None:
    """The rank of the goal among its candidates, from 0 to 1, is uniform."""
    ranks = []
    for (scale, holdout), (lands, mazes) in draws().items():
        first, last = BANDS[scale][1 + holdout]
        for k in range(EACH):
            candidates = np.flatnonzero(mazes.goals[k][first - 1 : last].ravel())
            at = (lands.goal[k, 0] - first + 1) * 27 + lands.goal[k, 1]
            if at in candidates:
                ranks.append((np.searchsorted(candidates, at) + 0.5) / len(candidates))
    assert abs(np.mean(ranks) - 0.5) < 5 / np.sqrt(12 * len(ranks))
    assert abs(np.mean(np.square(ranks)) - 1 / 3) < 0.05


def test_starts_are_uniform_over_the_spawn_cells_out_of_reach() -> None:
    lands, mazes = draws()["small", False]
    for k in range(8):
        goal, starts = lands.goal[k], lands.starts[k].astype(int)
        spawns = {(int(r), int(c)) for r, c in np.argwhere(mazes.spawns[k]) if (r - goal[0]) ** 2 + (c - goal[1]) ** 2 > 1}
        seen = [tuple(place) for place in starts[:, :2].tolist()]
        assert set(seen) <= spawns
        assert len(set(seen)) > 0.6 * min(len(spawns), 128)
    assert len({tuple(goal) for goal in lands.goal.tolist()}) > 10
