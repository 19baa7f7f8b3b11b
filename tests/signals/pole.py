"""An external environment with a privileged signal, importable so that workers can make it."""

from __future__ import annotations

import gymnasium
import numpy as np


class Pole(gymnasium.Env):
    """The hidden side decides what every step is worth; only `info["signals"]` shows it."""

    observation_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, broken: bool = False, silent: bool = False) -> None:
        self.broken, self.silent = broken, silent
        if not silent:
            coin = gymnasium.spaces.Box(-np.inf, np.inf, (), np.float32) if broken else gymnasium.spaces.Discrete(2)
            self.signal_spaces = {"side": gymnasium.spaces.Discrete(2), "coin": coin}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.side = int(self.np_random.integers(2))
        return self._see()

    def step(self, action):
        observation, info = self._see()
        return observation, float(2 * self.side - 1) + 0.1 * float(self.np_random.normal()), False, False, info

    def _see(self):
        coin = np.float32(np.nan) if self.broken else int(self.np_random.integers(2))
        info = {} if self.silent else {"signals": {"side": self.side, "coin": coin}}
        return self.np_random.uniform(-1.0, 1.0, 1).astype(np.float32), info
