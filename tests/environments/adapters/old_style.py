"""An environment written for gymnax before 1.0: `done` merges the goal with the time limit, and there is no `is_truncated`."""

import dataclasses

import jax.numpy as jnp
from flax import struct


@struct.dataclass
class State:
    place: int
    timestep: int


@struct.dataclass
class Params:
    max_timesteps: int = 5
    goal: int = 3


class Box:
    def __init__(self, low, high, shape, dtype):
        self.low, self.high, self.shape, self.dtype = low, high, shape, dtype


class Discrete:
    def __init__(self, n):
        self.n = n

    def sample(self, key):
        import jax

        return jax.random.randint(key, (), 0, self.n)


class OldWalk:
    """Walk right by the action; the declared bounds (0 to 2, integers) are wrong about the goal, and about halves."""

    name = "OldWalk"
    default_params = Params()

    def __init__(self, halves=False):
        self.halves = halves

    def reset_env(self, key, params):
        state = State(place=0, timestep=0)
        return self.observe(key, state, None, params), state

    def step_env(self, key, state, action, params):
        state = State(place=state.place + action, timestep=state.timestep + 1)
        return self.observe(key, state, action, params), state, 1, self.is_terminal(state, params), {}

    def is_terminal(self, state, params):
        return (state.place >= params.goal) | (state.timestep >= params.max_timesteps)

    def observe(self, key, state, action, params):
        return jnp.array([state.place * (0.5 if self.halves else 1.0), 0.0])

    def action_space(self, params):
        return Discrete(2)

    def observation_space(self, params):
        return Box(0, 2, (2,), jnp.int32)


class Unlimited(OldWalk):
    name = "Unlimited"

    @property
    def default_params(self):
        return dataclasses.make_dataclass("Free", [("goal", int, 3)], frozen=True)()


class Spaced(OldWalk):
    name = "Spaced"

    def observation_space(self, params):
        class Tuple:
            pass

        return Tuple()
