"""SIGKILL at random instants of saving: the loader always returns the last complete checkpoint, to the bit."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import unseen
from unseen.runs import checkpoints

CHILD = """
import sys
import numpy as np
from unseen.runs import checkpoints
print("ready", flush=True)
step = int(sys.stdin.readline())
while True:
    arrays = {f"w{i}": np.full(20_000, step * 10 + i, np.float32) for i in range(5)} | {"step": np.array(step)}
    checkpoints.save(sys.argv[1], step, arrays, {"step": step})
    print(step, flush=True)
    step += 1
"""


def start(folder):
    source = str(Path(unseen.__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": source, "OPENBLAS_NUM_THREADS": "1"},
    )


@pytest.mark.slow
def test_200_kills_while_saving_lose_nothing_that_was_complete(tmp_path):
    rng = random.Random(1)
    last, interrupted = 0, 0
    waiting = [start(tmp_path)]
    for _ in range(200):
        waiting.append(start(tmp_path))  # it imports NumPy while its predecessor is being killed
        child = waiting.pop(0)
        with child:
            assert child.stdout.readline() == "ready\n"
            child.stdin.write(f"{last + 1}\n")
            child.stdin.flush()
            time.sleep(rng.uniform(0, 0.08))
            child.send_signal(signal.SIGKILL)
            told = [int(line) for line in child.stdout.read().splitlines()]
        assert child.returncode == -signal.SIGKILL
        complete = told[-1] if told else last
        interrupted += any(name.startswith(".") for name in os.listdir(tmp_path))
        if complete == 0 and checkpoints.latest(tmp_path) is None:
            continue
        loaded = checkpoints.load(tmp_path)
        assert loaded.step in (complete, complete + 1)  # killed after the rename, before it could say so
        assert loaded.skipped == ()
        assert loaded.meta == {"step": loaded.step}
        assert loaded.arrays["step"] == loaded.step
        assert all((loaded.arrays[f"w{i}"] == loaded.step * 10 + i).all() for i in range(5))
        last = loaded.step
    for child in waiting:
        with child:
            child.kill()
    assert interrupted >= 20, "too few kills fell inside a save for the test to mean anything"
    assert last >= 20
    checkpoints.save(tmp_path, last + 1, {})
    assert checkpoints.steps(tmp_path) == [last + 1, last, last - 1]  # what the killed had no time to remove is removed
