"""Watched episodes by hand, whose every number is known."""

from __future__ import annotations

import numpy as np

from unseen.experiments.watched import Choices, Normals, Watched

NAMES = ("left </script><img src=//evil.example onerror=alert(1)>", "right & up", "stay")


def watched(steps=30, recalls=True, pictures=None, names=NAMES, environment="hall <b>&</b>", reads=15, seed=0):
    """Step t recalls steps t - 1, t - 2, … with falling weights; picture t is one grey, unless given; every third reward is 1."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(len(names)), steps).astype(np.float32)
    chosen = rng.integers(0, len(names), (steps, 1))
    pictures = tuple(np.full((6, 8, 3), 20 + t, np.uint8) for t in range(steps + 1)) if pictures is None else tuple(pictures)
    shown = np.arange(steps + 1) % len(pictures)
    step = np.arange(steps)[:, None] - 1 - np.arange(reads)
    step = np.where(step >= 0, step, -1).astype(np.int32)
    weight = np.where(step >= 0, 1.0 / (1.0 + np.arange(reads)), 0.0)
    weight = (weight / np.maximum(weight.sum(axis=1, keepdims=True), 1e-9)).astype(np.float32)
    order = rng.permutation(reads)  # a memory does not sort what it reads
    return Watched(
        environment=environment,
        actions=tuple(names[k] for k in chosen[:, 0]),
        policy=Choices(tuple(names), p, chosen),
        rewards=np.where(np.arange(steps) % 3 == 2, 1.0, 0.0).astype(np.float32),
        values=np.append(np.linspace(0.5, -0.25, steps), np.nan).astype(np.float32),
        terminated=True,
        pictures=pictures,
        shown=shown,
        drawn=np.arange(steps + 1),
        reads={"step": step[:, order], "weight": weight[:, order]} if recalls else {},
    )


def vectors(steps=6):
    """The same with a policy over vectors of two numbers, cut, and nothing recalled."""
    base = watched(steps, recalls=False)
    mean = np.linspace(-0.5, 0.5, 2 * steps).reshape(steps, 2).astype(np.float32)
    values = np.linspace(0.0, 1.0, steps + 1).astype(np.float32)
    policy = Normals(mean, np.full_like(mean, 0.25), mean + 0.125)
    return Watched("pole", base.actions, policy, base.rewards, values, False, base.pictures, base.shown, base.drawn)
