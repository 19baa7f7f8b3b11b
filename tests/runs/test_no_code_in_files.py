"""No module of the package can load code from a file: pickle and its kin, torch.load, eval and exec are banned."""

import ast
from pathlib import Path

import pytest

import unseen

SOURCE = Path(unseen.__file__).parent
BANNED_MODULES = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "jsonpickle"}
BANNED_CALLS = {"torch.load", "torch.save", "yaml.load", "yaml.unsafe_load"}
BANNED_METHODS = {"read_pickle", "to_pickle"}
BANNED_BUILTINS = {"eval", "exec", "compile", "__import__"}


def violations(source):
    """Line and reason of everything banned in a piece of source."""
    found, aliases = [], {}
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            aliases |= {(alias.asname or alias.name): alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            aliases |= {(alias.asname or alias.name): f"{node.module}.{alias.name}" for alias in node.names}
    for node in ast.walk(tree):
        for reason in _reasons(node, aliases):
            found.append((node.lineno, reason))
    return sorted(found)


def _reasons(node, aliases):
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name.split(".")[0] in BANNED_MODULES)
    elif isinstance(node, ast.ImportFrom) and node.level == 0:
        if node.module.split(".")[0] in BANNED_MODULES:
            yield node.module
        yield from (name for alias in node.names if (name := f"{node.module}.{alias.name}") in BANNED_CALLS)
    elif isinstance(node, ast.Attribute):
        dotted = _dotted(node, aliases)
        if dotted in BANNED_CALLS:
            yield dotted
        if node.attr in BANNED_METHODS or (dotted and dotted.split(".")[-2] in BANNED_MODULES):
            yield node.attr
    elif isinstance(node, ast.Name) and node.id in BANNED_BUILTINS:
        yield node.id
    elif isinstance(node, ast.Call):
        for keyword in node.keywords:
            if keyword.arg == "allow_pickle" and not (isinstance(keyword.value, ast.Constant) and keyword.value.value is False):
                yield "allow_pickle"
            if keyword.arg == "weights_only" and not (isinstance(keyword.value, ast.Constant) and keyword.value.value is True):
                yield "weights_only"
        for argument in node.args[:1]:
            name = _dotted(node.func, aliases) or ""
            if (
                name.endswith("import_module")
                and isinstance(argument, ast.Constant)
                and str(argument.value).split(".")[0] in BANNED_MODULES
            ):
                yield argument.value


def _dotted(node, aliases):
    """`torch.load` for `torch.load`, and for `t.load` after `import torch as t`."""
    if isinstance(node, ast.Name):
        return aliases.get(node.id, node.id)
    if isinstance(node, ast.Attribute) and (head := _dotted(node.value, aliases)):
        return f"{head}.{node.attr}"
    return None


FILES = sorted(SOURCE.rglob("*.py"))


def test_the_search_reaches_every_room():
    assert {"runs", "data", "environments"} <= {path.relative_to(SOURCE).parts[0] for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_code_can_come_from_a_file(path):
    assert violations(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import pickle as harmless",
        "from pickle import loads",
        "import cloudpickle.cloudpickle",
        "from dill import load",
        "def f():\n    import joblib",
        "import importlib; importlib.import_module('pickle')",
        "from importlib import import_module; import_module('dill')",
        "__import__('pickle')",
        "import torch; torch.load('x')",
        "import torch as t; t.load('x')",
        "from torch import load",
        "from torch import load as read",
        "import numpy as np; np.load('x', allow_pickle=True)",
        "import numpy as np; np.load('x', allow_pickle=flag)",
        "import pandas as pd; pd.read_pickle('x')",
        "import pandas as pd; pd.compat.pickle.load('x')",
        "import yaml; yaml.load('x')",
        "eval('1')",
        "exec('1')",
        "f = eval",
        "compile('1', '', 'exec')",
        "load(weights_only=False)",
    ],
)
def test_every_way_round_the_ban_is_seen(source):
    assert violations(source)


@pytest.mark.parametrize(
    "source",
    [
        "model.eval()",
        "import re; re.compile('x')",
        "jax.jit(f).lower(x).compile()",
        "import numpy as np; np.load('x', allow_pickle=False)",
        "import json; json.load(f)",
        "from safetensors.numpy import load",
        "evaluate(); execute()",
        "torch.load_state = 1",
        "'pickle'",
    ],
)
def test_what_is_harmless_is_allowed(source):
    assert violations(source) == []
