"""A hall to play in: what is seen is a picture, a vector, or both; what is hidden is on which side the prize lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np

from unseen.environments.contract import References, Score, Step

CELLS, HEIGHT, WIDTH = 5, 36, 60
COLOURS = np.asarray([(200, 60, 40), (40, 120, 200)], np.uint8)  # of the light, which is drawn anew at every step


class HallState(NamedTuple):
    cell: Any
    light: Any
    prize_is_right: Any


class HallParams(NamedTuple):
    limit: Any


@dataclass(frozen=True)
class Hall:
    """Walk to the end of the hall that holds the prize.

    You cannot see which end that is.

    Args:
        seen: "picture", "vector", "drawn" (a vector that can be drawn) or "both".
    """

    seen: str = "picture"
    name: str = "hall"
    clock: float | None = None
    idle: int | None = 2

    action_names = ("left", "right", "stay")

    def __getattr__(self, name: str) -> Any:
        optional = {"picture": self._drawing, "frames_per_second": self.clock, "idle_action": self.idle}
        if name in optional and (name != "picture" or self.seen == "drawn"):
            return optional[name]
        raise AttributeError(name)

    @property
    def levels(self) -> Mapping[str, Any]:
        short, long = HallParams(np.int32(3)), HallParams(np.int32(6))
        return {"train": ((1.0, long),), "mixed": ((1.0, short), (1.0, long))}

    def observation_space(self, params: Any) -> gymnasium.Space[Any]:
        picture = gymnasium.spaces.Box(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
        vector = gymnasium.spaces.Box(0, 1, (CELLS,), np.float32)
        return {"picture": picture, "both": gymnasium.spaces.Dict({"eye": picture, "place": vector})}.get(self.seen, vector)

    def action_space(self, params: Any) -> gymnasium.spaces.Discrete[Any]:
        return gymnasium.spaces.Discrete(3)

    def signal_spaces(self, params: Any) -> Mapping[str, gymnasium.Space[Any]]:
        return {"prize": gymnasium.spaces.Discrete(2)}

    def horizon(self, params: Any) -> int:
        return int(params.limit)

    def reset(self, key: Any, params: Any) -> tuple[Any, HallState]:
        k_light, k_prize = jax.random.split(key)
        lit, right = (jax.random.bernoulli(k).astype(jnp.int32) for k in (k_light, k_prize))
        state = HallState(jnp.int32(CELLS // 2), lit, right)
        return self._observe(state), state

    def step(self, key: Any, state: HallState, action: Any, params: Any) -> Step:
        cell = jnp.clip(state.cell + jnp.asarray([-1, 1, 0], jnp.int32)[action], 0, CELLS - 1)
        after = HallState(cell, jax.random.bernoulli(key).astype(jnp.int32), state.prize_is_right)
        at_end = (cell == 0) | (cell == CELLS - 1)
        won = at_end & ((cell > 0) == (state.prize_is_right > 0))
        reward = jnp.where(won, 1.0, jnp.where(at_end, -1.0, -0.125)).astype(jnp.float32)
        return Step(self._observe(after), after, reward, at_end)

    def action_mask(self, state: HallState, params: Any) -> Any:
        """Nobody may stay in the cell left of the middle."""
        return jnp.asarray([True, True, False]) | (state.cell != CELLS // 2 - 1)

    def signals(self, key: Any, state: HallState, params: Any) -> Mapping[str, Any]:
        return {"prize": state.prize_is_right}

    def references(self, level: str) -> References:
        return References(random=Score(-0.5, 0.01), perfect_memory=Score(0.5), oracle=Score(0.875))

    def draw(self, state: HallState, params: Any) -> np.ndarray:
        picture = np.zeros((8, 10, 3), np.uint8)
        picture[:, 5 * int(state.prize_is_right) :] = 255
        return picture

    def _observe(self, state: HallState) -> Any:
        place = jax.nn.one_hot(state.cell, CELLS, dtype=jnp.float32)
        columns = jnp.repeat(place, WIDTH // CELLS) > 0
        lit = jnp.asarray(COLOURS)[state.light]
        picture = jnp.where(columns[None, :, None], lit[None, None], jnp.uint8(230)) * jnp.ones((HEIGHT, 1, 1), jnp.uint8)
        return {"picture": picture, "both": {"eye": picture, "place": place}}.get(self.seen, place)

    def _drawing(self, observation: Any, params: Any) -> np.ndarray:
        return np.broadcast_to((np.asarray(observation) * 255).astype(np.uint8)[None, :, None], (3, CELLS, 3))
