"""What everybody waits for: `import unseen`, `unseen --help` and `unseen train --help`, each as a whole process.

Each figure is the median of seven fresh processes, the interpreter's own start included.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

from figures import arguments, conditions, show, write

COMMANDS = {
    "import_s": ["-c", "import unseen"],
    "help_s": ["-m", "unseen.cli", "--help"],
    "train_help_s": ["-m", "unseen.cli", "train", "--help"],
}


def measured(command: list[str], processes: int) -> list[float]:
    """Seconds of each process, shortest first."""
    seconds = []
    for _ in range(processes):
        begun = time.perf_counter()
        subprocess.run([sys.executable, *command], env=os.environ | {"COLUMNS": "100"}, check=True, capture_output=True)
        seconds.append(time.perf_counter() - begun)
    return sorted(seconds)


def main() -> None:
    options = arguments(__doc__).parse_args()
    print(conditions(["tyro", "rich"]))
    processes = 1 if options.quick else 7
    measured(COMMANDS["train_help_s"], 1)  # what is compiled to bytecode once is nobody's daily wait
    found = {name: measured(command, processes) for name, command in COMMANDS.items()}
    rows = [
        ["python " + " ".join(command), f"{found[name][processes // 2]:.3f}", f"{found[name][0]:.3f}", f"{found[name][-1]:.3f}"]
        for name, command in COMMANDS.items()
    ]
    show(f"start-up, {processes} processes each", ["", "median s", "shortest s", "longest s"], rows)
    write({name: seconds[processes // 2] for name, seconds in found.items()}, options.json)


if __name__ == "__main__":
    main()
