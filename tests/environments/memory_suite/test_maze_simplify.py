"""What is taken out of a maze: in pictures, and against a slow search for bends in plain Python.

test_maze_labmaze.py holds the same code against the original, cell by cell.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy import ndimage

from unseen.environments.memory_suite.maze import lay_out, maze_shape
from unseen.environments.memory_suite.maze_simplify import simplify, without_bends, without_dead_ends

DIRECTIONS = ((1, 0), (-1, 0), (0, 1), (0, -1))


def read(picture: str) -> np.ndarray:
    """The characters of a picture: * wall, . free, + join."""
    return np.asarray([list(line) for line in picture.split()])


def halves(picture: str) -> tuple[Any, Any]:
    grid = read(picture)
    return jnp.asarray(grid == "."), jnp.asarray(grid == "+")


def slow_bends(free: np.ndarray, joins: np.ndarray) -> set[int]:
    """The lengths of all bends: two arms that leave a straight corridor to the same side, with nothing but wall about them."""
    side, lengths = len(free), set()
    kind = np.where(free, ".", np.where(joins, "+", "*"))

    def all_are(what: str, cells: list[tuple[int, int]]) -> bool:
        return all(0 <= row < side and 0 <= column < side and kind[row, column] == what for row, column in cells)

    for row in range(side):
        for column in range(side):
            for bulge in DIRECTIONS:
                for along in ((bulge[1], -bulge[0]), (-bulge[1], bulge[0])):

                    def at(a: int, b: int, row: int = row, column: int = column, bulge: Any = bulge, along: Any = along) -> tuple[int, int]:
                        return row + a * along[0] + b * bulge[0], column + a * along[1] + b * bulge[1]

                    for length in range(1, side - 3):
                        if not all_are("*", [at(length - 1, 0), at(length - 1, -1)]):
                            break
                        line = range(-1, length + 1)
                        corridor = [at(a, 1) for a in line] + [at(-1, 0), at(length, 0)]
                        if all_are(".", corridor) and all_are("*", [at(a, 2) for a in line] + [at(-2, 1), at(length + 1, 1)]):
                            lengths.add(length)
    return lengths


def test_dead_ends_go_and_a_corridor_that_leads_nowhere_goes_with_its_join() -> None:
    free, joins = halves("""
        ***********
        *...*******
        *...*******
        *...+.*...*
        *+***.*.***
        *.***...***
        *.***.*****
        *...*.+...*
        ***.***...*
        ***.***...*
        ***********""")
    after = read("""
        ***********
        *...*******
        *...*******
        *...+.*****
        *****.*****
        *****.*****
        *****.*****
        *****.+...*
        *******...*
        *******...*
        ***********""")
    np.testing.assert_array_equal(without_dead_ends(free, joins), after == ".")
    np.testing.assert_array_equal(simplify(free, joins), after != "*")


def test_a_bend_is_pulled_straight() -> None:
    row, arms, room = "*" * 15, "*****.***.*****", "*...*******...*"
    before = [row, row, row, "*****.....*****", *[arms] * 7, "*...+.***.+...*", room, room, row]
    after = [*[row] * 11, "*...+.....+...*", room, room, row]
    result = np.asarray(simplify(*halves("\n".join(before))))
    np.testing.assert_array_equal(result, read("\n".join(after)) != "*")


def test_a_bend_around_a_room_stays() -> None:
    row, room, arms = "*" * 17, "*...*********...*", "*****.*****.*****"
    middle = "*****.*...*.*****"
    before = [*[row] * 3, "*****.......*****", arms, middle, middle, middle, *[arms] * 3, "*...+.*****.+...*", room, room, *[row] * 3]
    free, joins = halves("\n".join(before))
    np.testing.assert_array_equal(simplify(free, joins), free | joins)


def test_one_bend_of_a_single_cell_goes_between_two_searches_for_longer_ones() -> None:
    """The original's rule: with nothing longer about, the second of two such bends is left; a longer one brings it its turn."""
    row, single = "*" * 11, ["*...***...*", "*.*.***.*.*", "*.*.***.*.*"]
    longer, straight = ["*****.....*", "*****.***.*", "*****.***.*"], [row, row, "*****.....*"]
    alone = without_bends(*halves("\n".join([row, *single, *[row] * 7])))
    np.testing.assert_array_equal(alone, read("\n".join([row, "*******...*", "*******.*.*", "*...***.*.*", *[row] * 7])) == ".")
    together = without_bends(*halves("\n".join([row, *single, row, *longer, row, row, row])))
    np.testing.assert_array_equal(together, read("\n".join([*[row] * 3, "*...***...*", row, *straight, row, row, row])) == ".")


def test_no_dead_end_and_no_longer_bend_is_left_and_nothing_is_cut_off() -> None:
    """Few small rooms, so that there are many corridors."""
    shape, count = maze_shape(27, 4, 3, 0), 20

    @jax.jit
    @jax.vmap
    def stages(key: Any) -> Any:
        layout = lay_out(key, shape)
        free = (layout.rooms >= 0) | layout.corridors
        pruned = without_dead_ends(free, layout.joins)
        return layout, pruned, without_bends(pruned, layout.joins), simplify(free, layout.joins)

    layout, pruned, straight, result = jax.tree.map(np.asarray, stages(jax.random.split(jax.random.key(0), count)))
    before: set[int] = set()
    after: set[int] = set()
    for k in range(count):
        before |= slow_bends(pruned[k], layout.joins[k])
        after |= slow_bends(straight[k], layout.joins[k])
        neighbours = np.sum([np.roll(result[k], step, (0, 1)) for step in DIRECTIONS], axis=0)
        assert (neighbours[result[k]] >= 2).all()
        pieces: Any = ndimage.label(result[k])
        assert pieces[1] == 1
        assert result[k][layout.rooms[k] >= 0].all()
    assert max(before) > 1
    assert after <= {1}
