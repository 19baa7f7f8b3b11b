"""Public names that import their module only when first used (PEP 562), so that `import unseen` stays cheap."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def lazy(package: str, names: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return `__getattr__`, `__dir__` and `__all__` for a package whose names live in other modules.

    Args:
        package: the package's `__name__`.
        names: public name -> module that defines it ("" when the name is itself a submodule of `package`).
    """

    def __getattr__(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home = names[name]
        value = importlib.import_module(f"{package}.{name}") if home == "" else getattr(importlib.import_module(home), name)
        setattr(sys.modules[package], name, value)
        return value

    public = sorted(names)
    return __getattr__, lambda: public, public
