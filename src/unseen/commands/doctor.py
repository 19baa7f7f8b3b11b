"""`unseen doctor`: what this installation can do, and whether it does it twice the same."""

from __future__ import annotations

import importlib.util
import time

from rich.console import Console
from rich.table import Table

_EXTRAS = {
    "gymnax": "gymnax",
    "minari": "minari",
    "memax": "memax",
    "track": "tensorboard",
    "minigrid": "minigrid",
    "text": "crafter",
    "endpoint": "httpx",
    "llm": "transformers",
}


def doctor(*, test: bool = True) -> int:
    """Print versions, devices and extras; train a little, twice. Returns 0 when everything needed works, 1 otherwise."""
    from unseen.experiments.platform import cache_directory, prepare
    from unseen.runs import versions

    prepare()
    import jax
    import psutil

    table = Table("what", "found")
    found = versions.collect([str(d) for d in jax.devices()])
    for name in ("python", "platform"):
        table.add_row(name, str(found.get(name, "")))
    for name, version in versions.packages().items():
        if name in ("unseen", "jax", "jaxlib", "equinox", "optax", "numpy", "polars"):
            table.add_row(name, version)
    table.add_row("devices", ", ".join(str(d) for d in jax.devices()))
    table.add_row("memory free", f"{psutil.virtual_memory().available / 2**30:.1f} GiB")
    table.add_row("compilation cache", str(cache_directory()))
    for extra, module in _EXTRAS.items():
        present = importlib.util.find_spec(module) is not None
        table.add_row(f"extra {extra}", "installed" if present else f'missing: pip install "unseen\\[{extra}]"')
    healthy = True
    if test:
        seconds, healthy = _self_test()
        table.add_row("self-test", f"{'the same twice' if healthy else 'DIFFERENT results of the same run'} ({seconds:.1f} s)")
    Console().print(table)
    return 0 if healthy else 1


def _self_test() -> tuple[float, bool]:
    """A small training run, twice from the same seed; returns seconds and whether they agree bit for bit."""
    import jax
    import numpy as np

    import unseen
    from unseen.learning.learner import make_train

    begun = time.monotonic()
    environment = unseen.make("heavenhell-1")
    agent = unseen.Agent(memory=unseen.GRU(16), head=(16,), embedding=8)
    train = jax.jit(make_train(environment, agent, unseen.A2C(), env_steps=1_000, reports=2))
    first, second = (jax.tree.leaves(train(jax.random.key(0))[0].agent) for _ in range(2))
    return time.monotonic() - begun, all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
