"""Our environments under Gymnasium ids: `gymnasium.make("unseen/heavenhell-3")`.

Gymnasium 1.x no longer reads package entry points, so the ids exist once `unseen` has been imported, before or after Gymnasium
itself; `gymnasium.make("unseen:unseen/heavenhell-3")` does both in one line. Registering stores strings and imports no JAX.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import re
import sys
from collections.abc import Iterable
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import gymnasium

_HERE = "unseen.environments.adapters.registration"


def register_all(names: Iterable[str] | None = None) -> list[str]:
    """Register every environment of ours with Gymnasium; calling it again adds only what is new.

    Args:
        names: our names; None for all registered ones. A "/" inside a name becomes "." in the id.

    Returns:
        the Gymnasium ids, sorted.
    """
    import gymnasium

    if names is None:
        from unseen.environments.registry import names as registered

        names = registered()
    ids = {gymnasium_id(name): name for name in names}
    for identifier, name in ids.items():
        if identifier not in gymnasium.registry:
            gymnasium.register(
                identifier, entry_point=f"{_HERE}:make_single", vector_entry_point=f"{_HERE}:make_vector", kwargs={"name": name}
            )
    return sorted(ids)


def gymnasium_id(name: str) -> str:
    """The Gymnasium id of one of our names: `unseen/NAME`, with "." for whatever Gymnasium's grammar does not allow (a second "/")."""
    return "unseen/" + re.sub(r"[^\w.-]", ".", name)


def make_single(
    name: str, level: str = "train", seed: int | None = None, render_mode: str | None = None, **options: Any
) -> gymnasium.Env[Any, Any]:
    """What `gymnasium.make` calls: `options` go to `unseen.make`."""
    from unseen.environments.adapters.single import to_gymnasium
    from unseen.environments.registry import make

    _refuse_external(name)
    return to_gymnasium(make(name, **options), level, seed, render_mode)


def make_vector(
    name: str,
    num_envs: int = 1,
    level: str = "train",
    autoreset_mode: Any = "NextStep",
    seed: int | None = None,
    render_mode: str | None = None,
    **options: Any,
) -> gymnasium.vector.VectorEnv[Any, Any, Any]:
    """What `gymnasium.make_vec` calls: `options` go to `unseen.make`."""
    from unseen.environments.adapters.vector import to_gymnasium_vector
    from unseen.environments.registry import make

    _refuse_external(name)
    return to_gymnasium_vector(make(name, **options), num_envs, level, autoreset_mode, seed, render_mode)


def _refuse_external(name: str) -> None:
    """An external environment is a Gymnasium one already; naming one in an option of ours could only serve to import its module."""
    if name.startswith("gym:"):
        from unseen.errors import UserError

        raise UserError(f"name = {name!r}; 'unseen/' ids hold environments of this package: call gymnasium.make({name[4:]!r}) instead")


def register_on_import() -> None:
    """Register now where Gymnasium is already imported, otherwise right after somebody imports it; never imports it itself."""
    if "gymnasium" in sys.modules:
        register_all()
    elif not any(isinstance(finder, _AfterGymnasium) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AfterGymnasium())


class _AfterGymnasium(importlib.abc.MetaPathFinder):
    """Finds `gymnasium` as usual, once, and registers our environments when its import is done."""

    def find_spec(self, fullname: str, path: Any, target: ModuleType | None = None) -> importlib.machinery.ModuleSpec | None:
        if fullname != "gymnasium":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_register(module: ModuleType) -> None:
                execute(module)
                register_all()

            spec.loader.exec_module = execute_and_register
        return spec
