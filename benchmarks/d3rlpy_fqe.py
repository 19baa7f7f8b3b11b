"""d3rlpy's FQE on a file of logged rows: its error against the truth as it trains. Run by `outcomes.py --d3rlpy PYTHON`, in d3rlpy's own
environment, whose Gymnasium is older than this package's.

The file holds one-hot observations with their actions, rewards and ends, the judged policy's action for every state, and the states
asked about with their true values. d3rlpy's defaults but for the discount, learning rate 1e-3 and one thread; the error is looked at
every 1,000 updates, for a minute.
"""

from __future__ import annotations

import json
import sys
import time
from types import SimpleNamespace

import numpy as np
import torch
from d3rlpy.dataset import MDPDataset
from d3rlpy.logging import NoopAdapterFactory
from d3rlpy.ope import DiscreteFQE, FQEConfig

SECONDS, EVERY = 60.0, 1_000


def main(path: str) -> None:
    torch.set_num_threads(1)
    file = np.load(path)
    data = MDPDataset(file["observations"], file["actions"], file["rewards"], file["terminals"], file["timeouts"])
    code, best = torch.from_numpy(file["code"]), torch.from_numpy(file["best"])
    judged = SimpleNamespace(predict_best_action=lambda x: best[torch.round(x @ code).long()])
    fqe = DiscreteFQE(SimpleNamespace(impl=judged), FQEConfig(gamma=float(file["discount"]), learning_rate=1e-3))
    fqe.build_with_dataset(data)
    asked, truth = file["asked"], file["truth"]
    spent, found = 0.0, []
    begun = time.perf_counter()
    for _ in fqe.fitter(
        data, n_steps=10**7, n_steps_per_epoch=EVERY, logger_adapter=NoopAdapterFactory(), show_progress=False, save_interval=10**6
    ):
        spent = time.perf_counter() - begun
        q = np.stack([fqe.predict_value(asked, np.full(len(asked), a)) for a in range(truth.shape[1])], axis=1)
        found.append((spent, float(((q - truth) ** 2).sum() / (truth**2).sum())))
        if spent > SECONDS:
            break
    seconds, error = min(found, key=lambda pair: pair[1])
    print(json.dumps({"seconds_d3rlpy_best": seconds, "error_d3rlpy_best": error, "error_d3rlpy_last": found[-1][1]}))


if __name__ == "__main__":
    main(sys.argv[1])
