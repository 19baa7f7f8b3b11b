"""Pictures per second of memory-maze's 9x9 maze with random actions, one process; prints one number. Needs `memory-maze`."""

from __future__ import annotations

import os
import sys
import time

os.environ.setdefault("MUJOCO_GL", "egl")


def main(seconds: float) -> None:
    import numpy as np
    from memory_maze import tasks

    environment = tasks.memory_maze_9x9(seed=0)
    random = np.random.default_rng(0)
    count = environment.action_spec().num_values
    environment.reset()
    total, frames = 0, 0
    begun = time.perf_counter()
    while time.perf_counter() - begun < seconds:
        step = environment.step(int(random.integers(count)))
        total += int(step.observation["image"].sum())
        frames += 1
        if step.last():
            environment.reset()
    assert total > 0
    print(frames / (time.perf_counter() - begun))


if __name__ == "__main__":
    main(float(sys.argv[1]))
