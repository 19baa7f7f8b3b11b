"""One worker process: started by `Worker` in the main process, `serve` is all that runs in the other."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.reduction
import signal
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import gymnasium

from unseen.environments.adapters.host import HostBatch
from unseen.environments.adapters.host_contract import EnvironmentCrash
from unseen.errors import UserError

_START_UP = 300.0  # seconds: imports and assets, far slower than any step


class WorkerDied(Exception):
    """A worker's process is gone, or has not answered in time."""


class Worker:
    """One process with its own `HostBatch`. It may die at any time, which shows in `answer`."""

    def __init__(self, name: str, factory: Callable[[], gymnasium.Env[Any, Any]], count: int, timeout: float) -> None:
        try:
            multiprocessing.reduction.ForkingPickler.dumps(factory)  # type: ignore[attr-defined]
        except Exception as error:
            raise UserError(f"{name} cannot be sent to a worker process ({error}); define it at the top level of a module") from error
        self._arguments, self._timeout = (name, factory, count), timeout
        self._patience = _START_UP
        self._process: Any = None

    def start(self) -> None:
        """Start the process; its first answer holds the facts about the environment."""
        context = multiprocessing.get_context("spawn")  # a forked copy of a process with JAX threads may hang
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, *self._arguments), daemon=True)
        self._process.start()
        self._patience = max(self._timeout, _START_UP)  # until its first answer
        theirs.close()

    def ask(self, command: str, payload: tuple[Any, ...]) -> None:
        with contextlib.suppress(OSError):  # a broken pipe: `answer` will say so
            self._connection.send((command, payload))

    def answer(self) -> Any:
        try:
            if not self._connection.poll(self._patience):
                raise WorkerDied(f"has not answered for {self._patience:g} s")
            kind, content = self._connection.recv()
            self._patience = self._timeout
        except (EOFError, OSError) as error:
            self._process.join(5)
            raise WorkerDied(f"ended with exit code {self._process.exitcode}") from error
        if kind == "user":
            raise UserError(content)
        if kind == "crash":
            raise EnvironmentCrash(self._arguments[0], *content)
        return content

    def stop(self) -> None:
        if self._process is None:
            return
        self.ask("close", ())
        self._process.join(1)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._connection.close()
        self._process = None


def _serve(connection: Connection, name: str, factory: Callable[[], gymnasium.Env[Any, Any]], count: int) -> None:
    """The whole life of a worker: make the environments, then answer until told to close or left alone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the main process's business
    made: list[HostBatch] = []

    def make() -> dict[str, Any]:
        made.append(HostBatch(name, factory, count))
        batch = made[0]
        return {
            "observations": batch.observation_space,
            "actions": batch.action_space,
            "signals": batch.signal_spaces,
            "dropped": batch.dropped,
            "horizon": batch.horizon,
            "supports_save": batch.supports_save,
            "mask": batch.action_mask(),
        }

    if not _reply(connection, make):
        return
    (batch,) = made
    with contextlib.suppress(EOFError, OSError):
        while (request := connection.recv())[0] != "close":
            command, payload = request
            _reply(connection, lambda: (getattr(batch, command)(*payload), batch.action_mask()))  # noqa: B023
    batch.close()


def _reply(connection: Connection, call: Callable[[], Any]) -> bool:
    try:
        reply = ("ok", call())
    except UserError as error:
        reply = ("user", str(error))
    except EnvironmentCrash as error:
        reply = ("crash", (error.what, error.first_traceback))
    except Exception as error:
        reply = ("crash", (f"{type(error).__name__}: {error}", traceback.format_exc()))
    with contextlib.suppress(OSError):
        connection.send(reply)
    return reply[0] == "ok"
