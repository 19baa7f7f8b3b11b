"""Somebody with a trained agent and an old log: what would the agent have earned, had it acted there, without letting it act?"""

import numpy as np

import unseen
from unseen.experiments.judged import on_record, remembered
from unseen.outcomes import DRQLearner, ImportanceSampling, Transitions

DISCOUNT = 0.95
settings = {
    "agent": unseen.Agent(memory=unseen.GRU(8), head=(32,), embedding=16, critic=unseen.Critic(signals=("state",))),
    "algorithm": unseen.PPO(environments=16, rollout=64, minibatches=2, learning_rate=3e-3),
}
old = unseen.train(unseen.Experiment(environment="heavenhell-1", env_steps=64_000, **settings), "runs/old")
new = unseen.train(unseen.Experiment(environment="heavenhell-1", env_steps=80_000, **settings), "runs/new")

log = old.episodes(2_000)  # 2,000 episodes by the old agent, with the probabilities it acted with
policy = new.policy()
log = remembered(policy, log)  # what the new agent would remember at each step becomes a signal
data = Transitions.from_episodes(log, state={"signal.state": "categorical", "signal.memory": "numeric"}, actions=range(4))
judged = on_record(policy, log, data)

learner = DRQLearner(DISCOUNT, behaviour="logged").fit(data, judged)
print("doubly robust:      ", learner.value(), "\n  verdict", learner.diagnostics.verdict)
print("importance sampling:", ImportanceSampling(DISCOUNT, method="weighted-per-decision").fit(data, judged).value())

for name, run in (("old", old), ("new", new)):
    played = run.episodes(4_000, seed=0)
    earned = np.bincount(played.episode_of_step, DISCOUNT**played.time_of_step * played.rewards)
    print(f"in the simulator the {name} agent earns {earned.mean():.3f} (standard error {earned.std() / len(earned) ** 0.5:.3f})")
