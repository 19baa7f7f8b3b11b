"""What every benchmark shares: arguments, the line about the machine, the table, and the flat JSON of the same figures."""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

MACHINES = "machines.json"
PACKAGES = ("numpy", "scipy", "jax", "equinox", "optax", "torch", "lightgbm", "econml")  # whose versions are told where imported


def arguments(description: str | None) -> argparse.ArgumentParser:
    """A parser with the options that all benchmarks take."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write {figure: number} to this file")
    parser.add_argument("--quick", action="store_true", help="a tiny configuration that only shows that everything runs")
    return parser


def conditions(packages: Sequence[str]) -> str:
    """Processor, cores, load and versions: what a figure is worth nothing without."""
    hardware, software = machine(packages)
    return f"{hardware}, load {os.getloadavg()[0]:.1f} before the start; {software}"


def machine(packages: Sequence[str]) -> tuple[str, str]:
    """Processor and cores; Python and the versions of packages."""
    found = ", ".join(f"{name} {version(name)}" for name in packages)
    return f"{_processor()}, {len(os.sched_getaffinity(0))} cores", f"Python {platform.python_version()}, {found}"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor() or "processor")


def peak_memory_mib() -> float:
    """The largest resident memory this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for k, column in enumerate(columns):
        table.add_column(column, justify="left" if k == 0 else "right")
    for row in rows:
        table.add_row(*row)
    Console(width=140).print(table)


def write(figures: dict[str, float], path: Path | None) -> None:
    """Print the figures by name, and write them where asked."""
    for name, value in figures.items():
        print(f"{name} {value:.6g}")
    written(figures, path)


def written(figures: dict[str, float], path: Path | None) -> None:
    """Write the figures where asked, and in `machines.json` beside them what they were measured on."""
    if path is None:
        return
    path.write_text(json.dumps({name: float(value) for name, value in figures.items()}, indent=1) + "\n")
    beside = path.with_name(MACHINES)
    machines = json.loads(beside.read_text()) if beside.exists() else {}
    machines[path.stem] = "; ".join(machine([name for name in PACKAGES if name in sys.modules]))
    beside.write_text(json.dumps(machines, indent=1, sort_keys=True) + "\n")


def markdown(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """The lines of a table whose cells are numbers, intervals, words or None."""
    lines = [columns, ["---"] * len(columns), *([cell(x) for x in row] for row in rows)]
    return [f"| {' | '.join(line)} |" for line in lines]


def cell(value: object) -> str:
    """A table's cell as the reports write it."""
    from unseen.reports.text import interval, number

    if value is None:
        return "–"
    if isinstance(value, tuple):
        return interval(value)  # type: ignore[arg-type]
    return number(value) if isinstance(value, int | float) else str(value)
