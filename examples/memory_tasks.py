"""A memory task by hand: levels, steps, signals, many copies at once, and what a score is worth."""

import jax
import jax.numpy as jnp

import unseen

environment = unseen.make("memory/continuous-recognition")
print("actions:", ", ".join(environment.action_names))

# A level is a weighted mixture of parameters; "train" of some tasks mixes two scales, the other levels have one.
weight, params = environment.levels["holdout_extrapolate"][0]
print("levels:", ", ".join(environment.levels), "- steps at most:", environment.horizon(params))

# `reset` and `step` are pure functions of a key; nothing resets itself.
key = jax.random.key(0)
observation, state = jax.jit(environment.reset)(key, params)
step = jax.jit(environment.step)(key, state, jnp.int32(0), params)
print("observation:", step.observation, "- reward:", step.reward, "- terminated:", step.terminated)

# Signals are what a critic may be told while training, here whether the picture was seen before. Buttons are counted from 0, and
# action k + 1 looks at button k.
print("signals:", ", ".join(environment.signals(key, step.state, params)))


def play(key: jax.Array) -> jax.Array:
    """The return of an episode of somebody who is told the answer, in as many steps as it may take."""

    def advance(carry, key):
        state, running = carry
        told = environment.signals(key, state, params)["answer"].astype(jnp.int32) + 1
        look = jnp.where(jax.random.bernoulli(key), told, 0)  # at the button, or back at the middle, where a trial begins
        step = environment.step(key, state, look, params)
        return (step.state, running & ~step.terminated), jnp.where(running, step.reward, 0.0)

    state = environment.reset(key, params)[1]
    keys = jax.random.split(key, environment.horizon(params))
    return jnp.sum(jax.lax.scan(advance, (state, jnp.asarray(True)), keys)[1])


scores = jax.jit(jax.vmap(play))(jax.random.split(key, 100))
marks = environment.references("holdout_extrapolate")
print(f"told the answer: {scores.mean():.1f}; normalised, random 0 and perfect memory 100: {marks.normalised(float(scores.mean())):.1f}")
