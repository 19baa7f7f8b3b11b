"""Places besides the run directory to send metrics to while training, for those who watch in another program."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

from unseen.errors import UserError, unknown
from unseen.runs.files import local_path


@runtime_checkable
class Sink(Protocol):
    """Where numbers are sent."""

    def write(self, env_steps: int, values: Mapping[str, float]) -> None:
        """Send metric -> number, reached after `env_steps` environment steps."""
        ...

    def close(self) -> None:
        """Send what is still held back, and stop."""
        ...


class TensorBoard:
    """Event files for `tensorboard --logdir`; needs the package tensorboard only, not TensorFlow or torch."""

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        from tensorboard.summary.writer.event_file_writer import EventFileWriter  # pyright: ignore[reportMissingImports, reportAttributeAccessIssue]

        self._writer: Any = EventFileWriter(os.fspath(local_path(directory) / "tensorboard"))

    def write(self, env_steps: int, values: Mapping[str, float]) -> None:
        import time

        from tensorboard.compat.proto.event_pb2 import Event  # pyright: ignore[reportMissingImports, reportAttributeAccessIssue]
        from tensorboard.compat.proto.summary_pb2 import Summary  # pyright: ignore[reportMissingImports, reportAttributeAccessIssue]

        summary = Summary(value=[Summary.Value(tag=metric, simple_value=float(value)) for metric, value in values.items()])
        self._writer.add_event(Event(wall_time=time.time(), step=int(env_steps), summary=summary))

    def close(self) -> None:
        self._writer.close()


_SINKS: dict[str, tuple[str, str, Callable[[str | os.PathLike[str]], Sink]]] = {  # name -> package, extra, constructor
    "tensorboard": ("tensorboard", "track", TensorBoard),
}


def open_sinks(names: Iterable[str], directory: str | os.PathLike[str]) -> tuple[Sink, ...]:
    """Open sinks by name.

    Args:
        names: from "tensorboard".
        directory: the run directory; a sink that writes files makes its own folder there.

    Raises:
        UserError: for an unknown name, or a package that is not installed, with the command that installs it.
    """
    opened: list[Sink] = []
    for name in names:
        if name not in _SINKS:
            raise unknown("sink", name, _SINKS)
        package, extra, constructor = _SINKS[name]
        if importlib.util.find_spec(package) is None:
            raise UserError(f"sink {name!r} needs the package {package}; install it with: pip install 'unseen[{extra}]'")
        opened.append(constructor(directory))
    return tuple(opened)
