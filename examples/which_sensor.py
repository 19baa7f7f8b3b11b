"""Robotics researcher with more sensors than the robot will have: which of them is worth telling the critic, before any training?

Gymnasium's CartPole, of which the actor sees only the cart's position and the pole's angle. The simulator knows more: both
velocities, and the temperature of the room, which has nothing to do with it.
"""

import gymnasium
import numpy as np

import unseen
from unseen.signals import rank


class PoleWithSensors(gymnasium.Wrapper):
    """CartPole-v1 without velocities; what the lab's other sensors see goes into `info["signals"]`."""

    def __init__(self):
        super().__init__(gymnasium.make("CartPole-v1"))
        whole = self.env.observation_space
        self.observation_space = gymnasium.spaces.Box(whole.low[[0, 2]], whole.high[[0, 2]], dtype=np.float32)

    def reset(self, *, seed=None, options=None):
        state, info = self.env.reset(seed=seed, options=options)
        return state[[0, 2]], info | {"signals": self._sensors(state)}

    def step(self, action):
        state, reward, terminated, truncated, info = self.env.step(action)
        return state[[0, 2]], reward, terminated, truncated, info | {"signals": self._sensors(state)}

    def _sensors(self, state):
        temperature = 20.0 + self.env.unwrapped.np_random.normal(0.0, 1.0, 1)
        return {"cart_velocity": state[[1]], "pole_velocity": state[[3]], "temperature": temperature.astype(np.float32)}


gymnasium.register("PoleWithSensors-v0", lambda: PoleWithSensors(), max_episode_steps=100)

ranking = rank("gym:PoleWithSensors-v0", steps=50, episodes=600)
print(ranking)

experiment = unseen.Experiment(
    environment="gym:PoleWithSensors-v0",
    agent=unseen.Agent(memory=unseen.GRU(32), head=(64,), embedding=16, critic=unseen.Critic(signals=ranking.chosen)),
    algorithm=unseen.PPO(environments=16, rollout=64, minibatches=2, learning_rate=1e-3),
    env_steps=20_000,
)
run = unseen.train(experiment, "runs/which-sensor")
print(run.evaluate(episodes=20))
