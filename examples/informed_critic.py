"""Newcomer: an agent whose critic is told, while training, what the agent cannot see."""

import unseen

experiment = unseen.Experiment(
    environment="heavenhell-1",
    agent=unseen.Agent(memory=unseen.GRU(32), head=(64,), embedding=16, critic=unseen.Critic(signals=("heaven",))),
    algorithm=unseen.PPO(environments=16, rollout=64, minibatches=2, learning_rate=1e-3, entropy=0.03),
    env_steps=40_000,
    seeds=2,
)
run = unseen.train(experiment, "runs/informed-critic")  # resumes if the directory holds an unfinished run
print(run.evaluate(episodes=200))  # one row a seed: mean return, its standard error, length, …
print("report:", unseen.report([run], "runs/informed-critic/report.html"))
