"""A bell that rings once: which of two it was is shown at the start and hidden afterwards. Its picture counts the steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np

from unseen.environments import References, Step

SPACES = {
    "discrete": gymnasium.spaces.Discrete(3, start=5),
    "multi": gymnasium.spaces.MultiDiscrete([2, 3], start=[1, 0]),
    "box": gymnasium.spaces.Box(np.float32([0, -1]), np.float32([4, 1])),
}


class BellState(NamedTuple):
    bell: Any
    time: Any


@dataclass(frozen=True)
class Bell:
    """Reward t at step t. Ends by itself after `ends` steps, or is cut after `cut`."""

    acts: str = "discrete"
    ends: int = 9
    cut: int = 20
    colours: int = 256
    name: str = "bell"

    @property
    def levels(self) -> Mapping[str, Any]:
        return {"train": ((1.0, jnp.int32(0)),)}

    def observation_space(self, params: Any) -> gymnasium.Space:
        return gymnasium.spaces.Discrete(3)

    def action_space(self, params: Any) -> gymnasium.Space:
        return SPACES[self.acts]

    def signal_spaces(self, params: Any) -> Mapping[str, gymnasium.Space]:
        return {"bell": gymnasium.spaces.Discrete(2), "time": gymnasium.spaces.Discrete(32)}

    def horizon(self, params: Any) -> int:
        return self.cut

    def reset(self, key: Any, params: Any) -> Any:
        bell = jax.random.bernoulli(key).astype(jnp.int32)
        return bell, BellState(bell, jnp.int32(0))

    def step(self, key: Any, state: Any, action: Any, params: Any) -> Step:
        after = BellState(state.bell, state.time + 1)
        return Step(jnp.int32(2), after, state.time.astype(jnp.float32), after.time >= self.ends)

    def action_mask(self, state: Any, params: Any) -> Any:
        return None

    def signals(self, key: Any, state: Any, params: Any) -> Mapping[str, Any]:
        return {"bell": state.bell, "time": state.time}

    def references(self, level: str) -> References:
        return References()

    def draw(self, state: Any, params: Any) -> np.ndarray:
        return np.full((4, 6, 3), int(state.time) % self.colours, np.uint8)


@dataclass(frozen=True)
class Named(Bell):
    action_names = ("<left>", "right & up", "stay")
