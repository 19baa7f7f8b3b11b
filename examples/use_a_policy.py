"""Somebody with a trained agent: play it in Gymnasium, with its memory handed in and out; episodes as a table."""

import gymnasium
import numpy as np

import unseen
from unseen.environments.adapters import register_all

experiment = unseen.Experiment(
    environment="heavenhell-3",
    agent=unseen.Agent(memory=unseen.GRU(32), head=(64,), embedding=16, critic=unseen.Critic(signals=("heaven",))),
    algorithm=unseen.PPO(environments=16, rollout=64, minibatches=2, learning_rate=1e-3),
    env_steps=10_000,
)
run = unseen.train(experiment, "runs/use-a-policy")
policy = run.policy(seed=0)

register_all()  # every environment of this package, as unseen/NAME
world = gymnasium.make("unseen/heavenhell-3")
observation, _ = world.reset(seed=0)
carry, start, total, over = policy.initial(batch=1), True, 0.0, False
while not over:
    action, carry = policy.act(np.asarray([observation]), carry, np.asarray([start]))
    observation, reward, terminated, truncated, _ = world.step(action[0])
    total, start, over = total + float(reward), False, terminated or truncated
print("return of one episode:", total)

episodes = run.episodes(20)
print(episodes.to_pandas().head())
episodes.write("runs/use-a-policy/episodes.parquet")
