"""Errors a person can act on: one line that names the value, what is allowed and the fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """A mistake in what the user asked for; the command line prints it in one line and exits with code 2."""


def unknown(kind: str, name: str, allowed: Iterable[str]) -> UserError:
    """An error for a name that does not exist, with the nearest one that does.

    Args:
        kind: what was being named, as in "environment" or "signal of heavenhell-3".
        name: what the user wrote.
        allowed: every valid name.
    """
    allowed = sorted(allowed)
    longer = sorted((each for each in allowed if len(name) > 2 and name in each), key=len)  # a name that was cut short
    near = longer or difflib.get_close_matches(name, allowed, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"allowed: {', '.join(allowed) or 'none'}"
    return UserError(f"unknown {kind} {name!r}; {hint}")
