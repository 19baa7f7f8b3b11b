"""The smallest experiments that still do everything, for tests."""

from __future__ import annotations

import unseen

TINY = unseen.Agent(memory=unseen.GRU(8), embedding=8, head=(8,))


def small(algorithm: str = "a2c", **changes: object) -> unseen.Experiment:
    algorithms = {
        "a2c": unseen.A2C(target_period=100),
        "ppo": unseen.PPO(environments=4, rollout=16, epochs=2, minibatches=2),
        "vtrace": unseen.VTrace(environments=4, rollout=16),
    }
    settings: dict = {"agent": TINY, "env_steps": 600, "report_every": 100} | changes
    return unseen.Experiment("heavenhell-1", algorithm=algorithms[algorithm], **settings)


def stop_after(intervals):
    """A callback that ends training, resumably, after so many intervals."""
    seen = []

    def callback(interval):
        seen.append(interval)
        if len(seen) >= intervals:
            raise StopIteration

    return callback
