"""Robotics or control researcher: an own Gymnasium simulator whose extra sensors only the critic is told.

A cart has to be brought to rest at the origin. The actor sees its position; `info["signals"]` carries the velocity.
"""

import gymnasium
import numpy as np

import unseen


class Cart(gymnasium.Env):
    """A point mass on a line, pushed left, not at all or right."""

    observation_space = gymnasium.spaces.Box(-4.0, 4.0, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(3)
    signal_spaces = {"velocity": gymnasium.spaces.Box(-4.0, 4.0, (1,), np.float32)}  # noqa: RUF012

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.position, self.velocity = self.np_random.uniform(-1.0, 1.0, 2)
        return self._seen(), self._info()

    def step(self, action):
        self.velocity = np.clip(self.velocity + 0.2 * (action - 1), -4.0, 4.0)
        self.position = np.clip(self.position + 0.1 * self.velocity, -4.0, 4.0)
        reward = -(self.position**2) - 0.1 * self.velocity**2
        return self._seen(), float(reward), False, False, self._info()  # the time limit below truncates

    def _seen(self):
        return np.array([self.position], np.float32)

    def _info(self):
        return {"signals": {"velocity": np.array([self.velocity], np.float32)}}


gymnasium.register("Cart-v0", Cart, max_episode_steps=50)

experiment = unseen.Experiment(
    environment="gym:Cart-v0",
    agent=unseen.Agent(memory=unseen.GRU(32), head=(64,), embedding=16, critic=unseen.Critic(signals=("velocity",))),
    algorithm=unseen.PPO(environments=16, rollout=50, minibatches=2, learning_rate=1e-3),
    env_steps=20_000,
)
run = unseen.train(experiment, "runs/own-simulator")
print(run.evaluate(episodes=20))
