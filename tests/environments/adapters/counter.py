"""A Gymnasium environment nobody here trains on, whose every value can be told in advance; importable, so that workers can make it."""

import os
import time

import gymnasium
import numpy as np
from gymnasium import spaces

RAISE, DIE, HANG = 2, 3, 4  # actions that go wrong
FIRST = 10  # the number Gymnasium gives the first action


def length(seed: int) -> int:
    """Steps of the episode that `seed` starts; those of odd seeds end in truncation, the others in termination."""
    return 2 + seed % 5


class Counter(gymnasium.Env):
    """Counts its steps, aloud; the seed of the episode is the privileged signal."""

    def __init__(self, declared: bool = True, masked: bool = True, die_in_reset_of: int | None = None) -> None:
        inner = spaces.Dict({"time": spaces.Discrete(100, start=5), "flags": spaces.MultiBinary(2)})
        self.observation_space = spaces.Dict({"seed": spaces.Box(0, 2**40, (1,), np.int64), "inner": inner, "note": spaces.Text(20)})
        self.action_space = spaces.Discrete(5, start=FIRST)
        if declared:
            self.signal_spaces = {"seed": spaces.Box(0, np.inf, (), np.float32), "odd": spaces.Discrete(2)}
        self.masked, self.die_in_reset_of = masked, die_in_reset_of
        self.start, self.time, self.buffer = 0, 0, np.zeros(1, np.int64)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None and seed == self.die_in_reset_of:
            os._exit(7)
        self.start, self.time = int(seed or 0), 0
        return self._see()

    def step(self, action):
        if action - FIRST == RAISE:
            raise ArithmeticError("the counter cannot subtract")
        if action - FIRST == DIE:
            os._exit(9)
        if action - FIRST == HANG:
            time.sleep(600)
        self.time += 1
        over = self.time == length(self.start)
        observation, info = self._see()
        return observation, self.time + (action - FIRST) / 2, over and self.start % 2 == 0, over and self.start % 2 == 1, info

    def save_state(self):
        return {"start": np.array(self.start), "time": np.array(self.time)}

    def load_state(self, arrays):
        self.start, self.time = int(arrays["start"]), int(arrays["time"])

    def _see(self):
        self.buffer[:] = self.start  # one buffer for ever, as fast simulators do it
        inner = {"time": np.int64(5 + self.time), "flags": np.array([self.time % 2, 1], np.int8)}
        info = {"signals": {"seed": np.float64(self.start), "odd": self.start % 2}}
        if self.masked:
            info["action_mask"] = np.array([1, self.time % 2, 1, 1, 1], np.int8)
        return {"seed": self.buffer, "inner": inner, "note": "one more"}, info


class Unseedable(gymnasium.Env):
    """Gives signals and masks at reset and forgets them at a step."""

    observation_space = spaces.Discrete(3)
    action_space = spaces.Discrete(2)

    def __init__(self, forget: str) -> None:
        self.forget = forget

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return 0, {"signals": {"truth": np.array([1.0, 2.0]), "lit": True}, "action_mask": [True, True]}

    def step(self, action):
        info = {"signals": {"truth": np.array([1.0, 2.0]), "lit": True}, "action_mask": [True, True]}
        if self.forget != "nothing":
            del info[self.forget]
        return 0, 0.0, False, False, info


class Crash(gymnasium.Env):
    """Cannot even be made."""

    def __init__(self) -> None:
        raise FileNotFoundError("no such level file")
