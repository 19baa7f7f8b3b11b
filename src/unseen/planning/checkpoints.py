"""Checkpoints of a language model in training: DIRECTORY/checkpoint, written whole or not at all, tensors and JSON only.

It holds model/ (for `LocalModel.load`), optimiser.safetensors, a JSON file of what the run says of itself, and what else it has in tensors.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from unseen.errors import UserError
from unseen.planning.models.local import LocalModel
from unseen.planning.models.small import without_bars
from unseen.runs.files import sync_directory, writing

Tensors = Mapping[str, Any]
"""Tensors of torch by name."""


def save(
    folder: Path, name: str, said: Mapping[str, Any], model: LocalModel, optimiser: Any, more: Mapping[str, Tensors] | None = None
) -> None:
    """Write a checkpoint beside the old one, and then put it in its place.

    Args:
        folder: of the run.
        name: of the JSON file.
        said: what stands in it.
        model, optimiser: as they are.
        more: files of tensors, by name without ending.
    """
    from safetensors.torch import save_file

    fresh, place, old = folder / ".fresh", folder / "checkpoint", folder / ".old"
    with writing(folder):
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        save_model(model, fresh / "model")
        save_file(dict(flat(optimiser)), fresh / "optimiser.safetensors")
        for file, tensors in (more or {}).items():
            save_file({key: value.detach().contiguous() for key, value in tensors.items()}, fresh / f"{file}.safetensors")
        (fresh / name).write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
        for path in fresh.rglob("*"):
            if path.is_file():
                with path.open("rb") as file:
                    os.fsync(file.fileno())
        sync_directory(fresh / "model")
        sync_directory(fresh)
        shutil.rmtree(old, ignore_errors=True)
        if place.exists():
            place.rename(old)
        fresh.rename(place)
        sync_directory(folder)
        shutil.rmtree(old, ignore_errors=True)


def save_model(model: LocalModel, folder: Path) -> None:
    """A model and its tokenizer, for `LocalModel.load`."""
    with without_bars():
        model.model.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)


def flat(optimiser: Any) -> Iterator[tuple[str, Any]]:
    """The optimiser's tensors, by name."""
    for k, state in optimiser.state_dict()["state"].items():
        for name, value in state.items():
            yield f"{k}.{name}", value.contiguous()


def resume(
    folder: Path, name: str, check: Callable[[Mapping[str, Any]], None], network: Any, optimiser: Any, files: tuple[str, ...] = ()
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]] | None:
    """Load the last checkpoint into a network and its optimiser.

    Args:
        folder, name: of `save`.
        check: raises an error where the checkpoint is not of this run.
        network, optimiser: that are changed.
        files: what else is read.

    Returns:
        What the JSON file says, and the tensors of the files by name; None where there is no checkpoint.

    Raises:
        UserError: a damaged checkpoint, one of another kind of run, or whatever `check` says.
    """
    said = recalled(folder, name)
    if said is None:
        return None
    from safetensors.torch import load_file

    place = folder / "checkpoint"
    try:
        check(said)
        load_weights(network, place / "model")
        state = optimiser.state_dict()
        state["state"] = {}
        for key, value in load_file(place / "optimiser.safetensors").items():
            k, _, what = key.partition(".")
            state["state"].setdefault(int(k), {})[what] = value
        optimiser.load_state_dict(state)
        return said, {file: load_file(place / f"{file}.safetensors") for file in files}
    except UserError:
        raise
    except Exception as error:  # of files that are damaged, each library's own
        raise _damaged(place, error) from None


def recalled(folder: Path, name: str) -> dict[str, Any] | None:
    """What the last checkpoint of a run says of itself; None where there is no checkpoint.

    Args:
        folder, name: of `save`.

    Raises:
        UserError: a damaged checkpoint, or one of another kind of run.
    """
    place = folder / "checkpoint"
    if not place.exists() and (folder / ".old").exists():  # it was cut between two renames
        (folder / ".old").rename(place)
    if not place.exists():
        return None
    if not (place / name).exists() and (place / "model").exists():  # sound weights, which nobody should be told to delete
        others = ", ".join(sorted(path.name for path in place.glob("*.json")))
        if not others:
            raise UserError(
                f"the checkpoint in {str(place)!r} is damaged ({name} is gone), and its weights are there; give another directory"
            )
        raise UserError(f"{str(folder)!r} holds another kind of run ({others}, not {name}); give another directory")
    try:
        return json.loads((place / name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(place, error) from None


def _damaged(place: Path, error: Exception) -> UserError:
    why = (str(error).splitlines() or [type(error).__name__])[0]
    return UserError(f"the checkpoint in {str(place)!r} is damaged ({why}); delete it to begin anew")


def compare(folder: Path, there: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    """See that a checkpoint's settings are those that are asked for.

    Raises:
        UserError: the first that is not, by name.
    """
    for name in sorted(there.keys() | here.keys()):
        if there.get(name) != here.get(name):
            raise UserError(
                f"{str(folder)!r} holds a run with {name} = {there.get(name)!r}, not {here.get(name)!r}; give another directory"
            )


def load_weights(network: Any, folder: Path) -> None:
    """Put saved weights, or adapters, into a network of the same kind.

    Raises:
        ValueError: some are missing.
    """
    if hasattr(network, "peft_config"):
        import peft
        from safetensors.torch import load_file

        peft.set_peft_model_state_dict(network, load_file(folder / "adapter_model.safetensors"))
        return
    how = {"config": copy.deepcopy(network.config), "dtype": network.dtype, "use_safetensors": True, "local_files_only": True}
    with without_bars():
        saved, told = type(network).from_pretrained(folder, output_loading_info=True, **how)
    if told["missing_keys"]:
        raise ValueError(f"{sorted(told['missing_keys'])[0]} is missing")
    network.load_state_dict(saved.state_dict())  # by way of the library: it may store weights otherwise than it holds them
