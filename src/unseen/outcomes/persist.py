"""Fitted learners as files: structure as JSON, numbers as arrays, scikit-learn models by skops. Nothing that is read can run code.

A file is a zip archive of `learner.json` (a list of nodes that refer to each other by number), `arrays.npz` and `models/NUMBER.skops`.
Objects are made of this package's own classes only; what a function of the user's said about the data is kept, the function is not.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import FunctionType, MethodType
from typing import Any

import numpy as np
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator

from unseen.errors import UserError
from unseen.outcomes.policies import Columns, at_states
from unseen.outcomes.problem import Problem
from unseen.runs.files import write_atomic

FORMAT = 2
OWN = ("unseen.outcomes.", "unseen.data.")
TRUSTED = ("sklearn.", "numpy.", "scipy.", "lightgbm.", "collections.", "builtins.", "joblib.")
Node = dict[str, Any]


class _Unknown(Exception):
    """Something that has no place in a file."""


class _Writer:
    """Objects as nodes; what is met twice is written once."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.arrays: dict[str, np.ndarray] = {}
        self.models: dict[int, bytes] = {}
        self.place: dict[int, int] = {}
        self.kept: list[Any] = []  # so that no two objects share an id

    def write(self, value: Any) -> Any:
        """A plain value as it is, anything else as {"at": number of its node}."""
        if value is None or isinstance(value, bool | int | str):
            return value
        if isinstance(value, float):
            return float(value) if np.isfinite(value) else {"float": str(value)}
        if isinstance(value, np.generic):
            return self.write(value.item())
        if id(value) in self.place:
            return {"at": self.place[id(value)]}
        number = self.place[id(value)] = len(self.nodes)
        self.kept.append(value)
        self.nodes.append({})
        self.nodes[number] = self._node(value, number)
        return {"at": number}

    def _node(self, value: Any, number: int) -> Node:
        if isinstance(value, np.ndarray):
            if value.dtype.kind in "biuf":
                self.arrays[str(number)] = value
                return {"array": str(number)}
            return {"labels": [self.write(x) for x in value.tolist()], "text": value.dtype.kind == "T"}
        if isinstance(value, csr_array):
            parts: Any = value  # its shape is typed as unknown
            return {"sparse": [self.write(x) for x in (value.data, value.indices, value.indptr)], "shape": [int(n) for n in parts.shape]}
        if isinstance(value, dict):
            return {"dict": [[self.write(k), self.write(v)] for k, v in value.items()]}
        if type(value) in (list, tuple):
            return {type(value).__name__: [self.write(x) for x in value]}
        if isinstance(value, MethodType):
            return {"method": value.__name__, "of": self.write(value.__self__)}
        kind = type(value)
        if isinstance(value, FunctionType | type):
            if _own(value.__module__) and "<" not in value.__qualname__:
                return {"name": f"{value.__module__}:{value.__qualname__}"}
        elif _own(kind.__module__):
            return {"class": f"{kind.__module__}:{kind.__qualname__}", "state": self._state(value)}
        elif isinstance(value, BaseEstimator):
            self.models[number] = _dumped(value)
            return {"model": number}
        raise _Unknown(f"a {kind.__module__}.{kind.__qualname__}")

    def _state(self, value: Any) -> Node:
        made_again = {name for name in vars(value) if isinstance(getattr(type(value), name, None), cached_property)}
        state = {name: part for name, part in vars(value).items() if name not in made_again}
        if isinstance(value, Problem) and not _writable(value.policy):
            state["policy"] = Columns(value.rows.policy, value.rows.next_policy, value.start_policy)
        return {name: self.write(part) for name, part in state.items()}


def _own(module: str) -> bool:
    return module.startswith(OWN)


def _writable(policy: Any) -> bool:
    try:
        _Writer().write(policy)
    except _Unknown:
        return False
    return True


def _dumped(model: Any) -> bytes:
    import skops.io

    return skops.io.dumps(model)


def save(learner: Any, path: str | os.PathLike[str]) -> Path:
    """Write a fitted learner with its data, nuisances and settings.

    Args:
        learner: fitted.
        path: of the file, as in "sepsis.zip".

    Raises:
        UserError: a learner that holds something that cannot be written without pickle, such as a function as initial Q.
    """
    from sklearn.utils.validation import check_is_fitted

    check_is_fitted(learner, "problem_")
    writer = _Writer()
    try:
        root = writer.write(learner)
    except _Unknown as what:
        raise UserError(f"{type(learner).__name__} holds {what}, which cannot be saved without pickle; use a named model instead") from None
    arrays = io.BytesIO()
    np.savez_compressed(arrays, **writer.arrays)  # type: ignore[arg-type]
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("learner.json", json.dumps({"format": FORMAT, "root": root, "nodes": writer.nodes}))
        archive.writestr("arrays.npz", arrays.getvalue())
        for number, model in writer.models.items():
            archive.writestr(f"models/{number}.skops", model)
    write_atomic(Path(path), file.getvalue())
    return Path(path)


def load(path: str | os.PathLike[str], *, policy: Any = None, trusted: Sequence[str] = ()) -> Any:
    """A learner that `save` wrote: it predicts, and estimates again with the same numbers.

    Args:
        path: of the file.
        policy: the evaluated policy, where it was a function of the user's: only what it said about the data was kept.
        trusted: types of other packages that the file may hold, as "package.module.Class"; scikit-learn's and LightGBM's need not be named.

    Raises:
        UserError: no such file, a damaged one, types that are not trusted, a policy that says other things about the data.
    """
    file = Path(path)
    if not file.is_file():
        raise UserError(f"no file {str(file)!r}")
    try:
        with zipfile.ZipFile(file) as archive:
            stored = json.loads(archive.read("learner.json"))
            with np.load(io.BytesIO(archive.read("arrays.npz")), allow_pickle=False) as arrays:
                numbers = {name: arrays[name] for name in arrays.files}
            models = {name: archive.read(name) for name in archive.namelist() if name.startswith("models/")}
        if stored["format"] != FORMAT:
            raise UserError(f"{str(file)!r} has format {stored['format']}; this version reads {FORMAT}")
        learner = _Reader(stored["nodes"], numbers, models, tuple(trusted)).read(stored["root"])
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, AttributeError, IndexError, EOFError, OSError, RecursionError) as error:
        raise UserError(f"{str(file)!r} is no saved learner or is damaged: {(str(error).splitlines() or [''])[0]}") from None
    return learner if policy is None else _with_policy(learner, policy)


class _Reader:
    """Nodes as objects, each made once."""

    def __init__(self, nodes: list[Node], arrays: dict[str, np.ndarray], models: dict[str, bytes], trusted: tuple[str, ...]) -> None:
        self.nodes, self.arrays, self.models, self.trusted = nodes, arrays, models, trusted
        self.made: dict[int, Any] = {}

    def read(self, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        if "float" in value:
            return float(value["float"])
        number = value["at"]
        if number not in self.made:
            self.made[number] = self._made(self.nodes[number], number)
        return self.made[number]

    def _made(self, node: Node, number: int) -> Any:
        if "array" in node:
            return self.arrays[node["array"]]
        if "labels" in node:
            values = [self.read(x) for x in node["labels"]]
            if node["text"]:
                return np.array(values, np.dtypes.StringDType())
            packed = np.empty(len(values), object)
            packed[:] = values
            return packed
        if "sparse" in node:
            return csr_array(tuple(self.read(x) for x in node["sparse"]), shape=tuple(node["shape"]))
        if "list" in node:
            return [self.read(x) for x in node["list"]]
        if "tuple" in node:
            return tuple(self.read(x) for x in node["tuple"])
        if "dict" in node:
            return {self.read(k): self.read(v) for k, v in node["dict"]}
        if "name" in node:
            return _named(node["name"])
        if "model" in node:
            return self._model(f"models/{node['model']}.skops")
        if "method" in node:
            owner = self.read(node["of"])
            return MethodType(getattr(type(owner), node["method"]), owner)
        kind = _named(node["class"])
        if not isinstance(kind, type):
            raise ValueError(f"{node['class']} is no class")
        made = self.made[number] = object.__new__(kind)  # known before its parts are, which may refer to it
        for name, part in node["state"].items():
            vars(made)[name] = self.read(part)
        return made

    def _model(self, name: str) -> Any:
        import skops.io

        file = self.models[name]
        unknown = skops.io.get_untrusted_types(data=file)
        refused = [kind for kind in unknown if not kind.startswith(TRUSTED) and kind not in self.trusted]
        if refused:
            raise UserError(f"the file holds {refused[0]}, which is not trusted; if you trust it, load with trusted=[{refused[0]!r}]")
        return skops.io.loads(file, trusted=unknown)


def _named(name: str) -> Any:
    """A class or function of this package's."""
    module, _, qualified = name.partition(":")
    if not _own(module):
        raise ValueError(f"{name} is not of this package")
    found: Any = importlib.import_module(module)
    for part in qualified.split("."):
        found = getattr(found, part)
    if getattr(found, "__module__", None) != module:
        raise ValueError(f"{name} is not of this package")
    return found


def _with_policy(learner: Any, policy: Any) -> Any:
    p = learner.problem_
    given = at_states(policy, p.data, p.data.states)
    apart = np.abs(given - p.rows.policy).max(axis=1) > 1e-6
    if apart.any():
        row = int(p.data.rows[int(np.argmax(apart))])
        raise UserError(f"this policy is not the one that was evaluated: it says something else at row {row}; fit anew")
    learner.problem_ = replace(p, policy=policy)
    return learner
