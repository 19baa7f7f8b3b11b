"""POMDP person: a published .pomdp file, bounds on its optimal value, and an agent trained on it."""

from importlib.resources import files

import unseen
from unseen.environments.tabular import read_pomdp

path = files("unseen.environments.tabular") / "files" / "tiger.pomdp"
pomdp = read_pomdp(str(path))
print(len(pomdp.state_names), "states,", len(pomdp.action_names), "actions, discount", pomdp.discount)

lower, upper = pomdp.optimal_value_bounds(seconds=20, gap=0.01)
print(f"optimal discounted value between {lower:.3f} and {upper:.3f}")

experiment = unseen.Experiment(
    environment=str(path),
    environment_options={"time_limit": 30},
    agent=unseen.Agent(memory=unseen.GRU(16), head=(32,), embedding=16, critic=unseen.Critic(signals=("state",))),
    algorithm=unseen.PPO(environments=16, rollout=60, minibatches=2, discount=pomdp.discount, learning_rate=1e-3),
    env_steps=20_000,
)
run = unseen.train(experiment, "runs/tiger")
print(run.evaluate(episodes=200))
