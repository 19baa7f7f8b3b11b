"""Somebody who wants the loop and nothing else: a pure function of a key, compiled, mapped over seeds."""

import jax

import unseen
from unseen.learning.learner import make_train

environment = unseen.make("heavenhell-1")
agent = unseen.Agent(memory=unseen.LRU(32), head=(64,), embedding=16, critic=unseen.Critic(signals=("heaven",)))
algorithm = unseen.PPO(environments=16, rollout=64, minibatches=2, learning_rate=1e-3, entropy=0.03)

train = make_train(environment, agent, algorithm, env_steps=20_000, reports=5)
states, metrics = jax.jit(jax.vmap(train))(jax.random.split(jax.random.key(0), 3))

for seed in range(3):
    print(f"seed {seed}:", [round(float(x), 2) for x in metrics["return"][seed]])  # mean return of recent episodes
