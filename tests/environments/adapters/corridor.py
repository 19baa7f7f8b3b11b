"""A small environment of our own contract for the outward adapters: positions are integers, so every run has a closed form."""

from types import MappingProxyType

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np

from unseen.environments.contract import References, Step


class Corridor:
    """Walk left or right from the middle; a hidden side (the signal "goal") pays 1, the other -1, both ends terminate.

    Going right by action 2 takes two fields and is only legal away from the right end. The level "mixed" has horizons 3 and 7.
    """

    name = "corridor/test"
    levels = MappingProxyType(
        {
            "train": ((1.0, {"limit": np.int32(6)}),),
            "mixed": ((0.25, {"limit": np.int32(3)}), (0.75, {"limit": np.int32(7)})),
        }
    )
    half = 4

    def observation_space(self, params):
        spaces = {"position": gymnasium.spaces.Discrete(2 * self.half + 1), "noise": gymnasium.spaces.Box(0, 1, (2,), np.float32)}
        return gymnasium.spaces.Dict(spaces)

    def action_space(self, params):
        return gymnasium.spaces.Discrete(3)

    def signal_spaces(self, params):
        return {"goal": gymnasium.spaces.Discrete(2), "hint": gymnasium.spaces.Box(0, 1, (), np.float32)}

    def horizon(self, params):
        return int(params["limit"])

    def reset(self, key, params):
        side, noise = jax.random.split(key)
        state = {"position": jnp.int32(self.half), "goal": jax.random.bernoulli(side).astype(jnp.int32)}
        return self._see(noise, state), state

    def step(self, key, state, action, params):
        position = jnp.clip(state["position"] + jnp.array([-1, 1, 2], jnp.int32)[action], 0, 2 * self.half)
        terminated = (position == 0) | (position == 2 * self.half)
        reward = jnp.where(terminated, jnp.where((position == 0) == (state["goal"] == 0), 1.0, -1.0), 0.0)
        state = {**state, "position": position}
        return Step(self._see(key, state), state, reward, terminated)

    def action_mask(self, state, params):
        return jnp.array([True, True, False]) | (state["position"] < 2 * self.half - 1)

    def signals(self, key, state, params):
        return {"goal": state["goal"], "hint": jax.random.uniform(key)}

    def references(self, level):
        return References()

    def draw(self, state, params):
        picture = np.zeros((8, 8 * (2 * self.half + 1), 3), np.uint8)
        picture[:, 8 * int(state["position"]) : 8 * int(state["position"]) + 8] = 255
        return picture

    def _see(self, key, state):
        return {"position": state["position"], "noise": jax.random.uniform(key, (2,))}


def make_corridor() -> Corridor:
    return Corridor()
