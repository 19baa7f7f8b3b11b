"""Somebody else's environments, importable by worker processes; registered when imported."""

from __future__ import annotations

from typing import ClassVar

import gymnasium
import numpy as np


class Masked(gymnasium.Env):
    """Four actions of which two are legal, other ones at every step; an illegal one is an error. Seven steps."""

    observation_space = gymnasium.spaces.Box(0.0, 10.0, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(4)
    signal_spaces: ClassVar = {"goal": gymnasium.spaces.Discrete(4), "time": gymnasium.spaces.Box(0.0, 10.0, (1,), np.float32)}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.goal, self.t = int(self.np_random.integers(4)), 0
        return self._seen()

    def _legal(self):
        return np.arange(4) // 2 == (self.goal + self.t) % 2

    def _seen(self):
        info = {"signals": {"goal": np.int64(self.goal), "time": np.array([self.t], np.float32)}, "action_mask": self._legal()}
        return np.array([self.t, 1.0], np.float32), info

    def step(self, action):
        assert self._legal()[action], f"action {action} is illegal"
        self.t += 1
        observation, info = self._seen()
        return observation, float(action == self.goal), self.t >= 7, False, info


class Endless(gymnasium.Env):
    """Never ends, and says so nowhere."""

    observation_space = gymnasium.spaces.Discrete(3)
    action_space = gymnasium.spaces.Discrete(2)
    metadata: ClassVar = {"render_modes": ["rgb_array"], "render_fps": 10}

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return 0, {}

    def step(self, action):
        self.t += 1
        return self.t % 3, float(action), False, False, {}

    def render(self):
        return np.full((4, 4, 3), self.t % 256, np.uint8)


class Saved(gymnasium.Env):
    """A noisy walk of random length that can be saved: position, time and the state of its random numbers."""

    observation_space = gymnasium.spaces.Box(-100.0, 100.0, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    signal_spaces: ClassVar = {"end": gymnasium.spaces.Box(0.0, 40.0, (), np.float32)}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x, self.t, self.end = 0.0, 0, int(self.np_random.integers(20, 40))
        return self._seen()

    def _seen(self):
        return np.array([self.x], np.float32), {"signals": {"end": np.float32(self.end)}}

    def step(self, action):
        self.t += 1
        self.x += (2 * action - 1) + self.np_random.normal()
        observation, info = self._seen()
        return observation, -abs(self.x), self.t >= self.end, False, info

    def save_state(self):
        inner = self.np_random.bit_generator.state["state"]
        words = [[(inner[name] >> (32 * k)) % 2**32 for k in range(4)] for name in ("state", "inc")]
        return {"numbers": np.array([self.x, self.t, self.end]), "random": np.array(words, np.uint32)}

    def load_state(self, arrays):
        self.x, self.t, self.end = (kind(v) for kind, v in zip((float, int, int), arrays["numbers"]))
        state = self.np_random.bit_generator.state
        state["state"] = {
            name: sum(int(w) << (32 * k) for k, w in enumerate(arrays["random"][i])) for i, name in enumerate(("state", "inc"))
        }
        self.np_random.bit_generator.state = state


for environment, limit in ((Masked, 20), (Endless, None), (Saved, 40)):
    if f"{environment.__name__}-v0" not in gymnasium.registry:
        gymnasium.register(f"{environment.__name__}-v0", entry_point=f"{__name__}:{environment.__name__}", max_episode_steps=limit)
