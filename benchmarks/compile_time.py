"""Compile plus first update of the default heaven-hell-3 training: with an empty compilation cache, and again from the cache.

Each measurement is a fresh process. `cold_s` and `cached_s` run from the settings to the end of the first update, imports apart;
the `process` figures are the whole process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time

from figures import arguments, conditions, peak_memory_mib, show, write


def child() -> None:
    """One process: prints its seconds and its peak memory as JSON."""
    from unseen.experiments.platform import prepare

    prepare()
    import jax.numpy as jnp

    import unseen
    from unseen.experiments.compiled import CompiledSeeds

    jnp.zeros(()).block_until_ready()  # the backend's own start is not compilation
    begun = time.perf_counter()
    engine = CompiledSeeds(unseen.Experiment("heavenhell-3"), unseen.make("heavenhell-3"))
    engine.start()
    engine.advance(1)
    print(json.dumps({"s": time.perf_counter() - begun, "peak_memory_mib": peak_memory_mib()}))


def measured(cache: str) -> dict[str, float]:
    environment = {k: v for k, v in os.environ.items() if k not in ("XLA_FLAGS", "JAX_COMPILATION_CACHE_DIR")} | {"UNSEEN_CACHE": cache}
    begun = time.perf_counter()
    done = subprocess.run([sys.executable, __file__, "--child"], env=environment, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1]) | {"process_s": time.perf_counter() - begun}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--child", action="store_true", help="the measured process itself")
    options = parser.parse_args()
    if options.child:
        child()
        return
    print(conditions(["jax", "equinox", "optax"]))
    repeats = 1 if options.quick else 3
    with tempfile.TemporaryDirectory() as cache:
        cold = measured(cache)
        cached = sorted((measured(cache) for _ in range(repeats)), key=lambda found: found["s"])[repeats // 2]
    figures = {
        "cold_s": cold["s"],
        "cached_s": cached["s"],
        "cold_process_s": cold["process_s"],
        "cached_process_s": cached["process_s"],
        "peak_memory_mib": max(cold["peak_memory_mib"], cached["peak_memory_mib"]),
    }
    rows = [
        [name, f"{found['s']:.1f}", f"{found['process_s']:.1f}", f"{found['peak_memory_mib']:.0f}"]
        for name, found in (("empty cache", cold), ("from the cache (median)", cached))
    ]
    show("default heaven-hell-3 training", ["", "compile + first update, s", "whole process, s", "peak MiB"], rows)
    write(figures, options.json)


if __name__ == "__main__":
    main()
