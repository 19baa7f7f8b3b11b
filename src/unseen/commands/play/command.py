"""The command: find the environment, serve the page, wait for the last episode or Ctrl-C, say the score."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import threading
import webbrowser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unseen.commands.play.recording import Folder
from unseen.commands.play.scores import said
from unseen.commands.play.server import Server
from unseen.commands.play.session import Session, Settings
from unseen.environments.registry import make
from unseen.errors import UserError


def play(
    name: str,
    settings: Settings,
    *,
    out: Path | None = None,
    port: int = 8_000,
    browser: bool = True,
    options: Mapping[str, Any] | None = None,
) -> Session:
    """Let a person play, and print what they scored.

    Args:
        name: of the environment.
        settings: level, seed, player, ….
        out: folder of the recorded episodes; runs/play/ENVIRONMENT by default.
        port: 0 for any free one.
        browser: open one.
        options: of the environment.

    Raises:
        UserError: an external environment, an unknown name, level or option, actions that keys cannot play, a port or a folder that
            cannot be used.
    """
    # By its name, before anything of somebody else's is imported; by what it is, where it was registered under another name.
    environment = None if name.startswith("gym:") else make(name, **(options or {}))
    if environment is None or not hasattr(environment, "levels"):
        raise UserError(f"{name} is an external environment, and play needs one of this package (gymnasium.utils.play.play may do)")
    with Server(port) as server:  # first of all, so that nobody waits to hear that the port is taken
        folder = Folder(out or Path("runs") / "play" / _folder_name(environment.name), environment.name)
        session = server.session = Session(environment, settings, folder)
        print(f"play {environment.name} at {server.address} (Ctrl-C ends)", flush=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        if browser and _has_screen():
            webbrowser.open(server.address)
        with contextlib.suppress(KeyboardInterrupt):  # the usual end
            while not server.over.wait(0.5):
                pass
        server.shutdown()
        with server.lock:  # a step on its way may be the one that ends an episode
            session.save()
    print(result(session, folder.path), flush=True)
    return session


def result(session: Session, path: Path) -> str:
    """The score beside the reference players, and where the episodes are."""
    left = session.begun - len(session.scores)
    unfinished = f"\n{left} more {'was' if left == 1 else 'were'} begun and not finished" if left else ""
    if not session.scores:
        return f"no episode was finished{unfinished}"
    revealed = "\nthe state was shown: this is no score of a player who sees the observation alone" if session.settings.reveal else ""
    recorded = f"\nrecorded in {path}"
    return said(session.summary, session.references) + unfinished + revealed + recorded


def _folder_name(environment: str) -> Path:
    parts = [re.sub(r"[^A-Za-z0-9_.-]+", "-", part).strip(".") for part in environment.split("/")]
    return Path(*[part for part in parts if part])


def _has_screen() -> bool:
    """Without one, what would open is a browser for text, in this terminal."""
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
