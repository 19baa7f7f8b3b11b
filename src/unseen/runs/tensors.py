"""Named arrays as safetensors bytes, described so that any change of name, shape, dtype or content is noticed."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import safetensors
import safetensors.numpy

from unseen.errors import UserError

_MAX_DIFFERENCES = 10
_MAX_NAME = 1024

# safetensors' name -> NumPy's; those NumPy lacks come from ml_dtypes, which JAX brings along
_DTYPES = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "U16": "uint16",
    "I16": "int16",
    "U32": "uint32",
    "I32": "int32",
    "U64": "uint64",
    "I64": "int64",
    "F16": "float16",
    "F32": "float32",
    "F64": "float64",
    "C64": "complex64",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
}


class CheckpointError(UserError):
    """A checkpoint that cannot be used, and what differs from what was saved or is expected."""


@runtime_checkable
class ShapeAndDtype(Protocol):
    """Anything with a shape and a dtype: an array, or `jax.ShapeDtypeStruct`."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> Any: ...


@dataclass(frozen=True)
class Tensor:
    """What one array is: NumPy's name of its dtype, its shape, and the SHA-256 of its bytes where known."""

    dtype: str
    shape: tuple[int, ...]
    sha256: str | None = None


def check_name(name: str) -> None:
    """Refuse names that could be mistaken for a way out of a directory, or that a person cannot read.

    Raises:
        ValueError: names the name and what is wrong with it.
    """
    if not 0 < len(name) <= _MAX_NAME or not name.isprintable() or name == "__metadata__":
        raise ValueError(f"bad array name {name[:80]!r}; 1 to {_MAX_NAME} printable characters are allowed, '__metadata__' is not")
    if name.startswith("/") or ".." in name.replace("\\", "/").split("/"):
        raise ValueError(f"bad array name {name[:80]!r}; a leading '/' and '..' between slashes are not allowed")


def encode(arrays: Mapping[str, np.ndarray]) -> tuple[bytes, str, dict[str, Tensor]]:
    """Arrays as the bytes of a safetensors file.

    Args:
        arrays: name -> array of any shape; bool, integers, floats, complex64 and bfloat16.

    Returns:
        The bytes, the SHA-256 of the file's header, and what each array is. Together the digests cover every byte.

    Raises:
        UserError: for a name or dtype that cannot be stored.
    """
    allowed = set(_DTYPES.values())
    plain: dict[str, np.ndarray] = {}
    for name, value in arrays.items():
        try:
            check_name(name)
        except ValueError as error:
            raise UserError(str(error)) from None
        array = np.asarray(value)
        if array.dtype.name not in allowed:
            raise UserError(f"array {name!r} has dtype {array.dtype}; a checkpoint holds {', '.join(sorted(allowed))}")
        if array.dtype.byteorder == ">":
            array = array.astype(array.dtype.newbyteorder("<"))
        # safetensors reads memory as it lies: a transposed view would be stored scrambled
        plain[name] = np.array(array, order="C", copy=None)
    data = safetensors.numpy.save(plain)
    tensors = {name: Tensor(array.dtype.name, array.shape, _sha256(_bytes_of(array))) for name, array in plain.items()}
    return data, _header_sha256(data), tensors


def decode(data: bytes, header_sha256: str, expected: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """The arrays in the bytes of a safetensors file, once they are proved to be those that were saved.

    Raises:
        ValueError: says what differs, up to ten differences.
    """
    try:
        stored = dict(safetensors.deserialize(data))
    except Exception as error:  # the library has one exception type for all damage, not exported in every version
        raise ValueError(f"not a safetensors file: {error}") from error
    found = {name: Tensor(_dtype_name(info["dtype"]), tuple(info["shape"]), _sha256(info["data"])) for name, info in stored.items()}
    report = differences(expected, found)
    if not report and _header_sha256(data) != header_sha256:
        report = ["the header differs from the saved one"]
    if report:
        raise ValueError("; ".join(report))
    return {
        name: np.frombuffer(stored[name]["data"], dtype=_dtype(tensor.dtype)).reshape(tensor.shape) for name, tensor in expected.items()
    }


def restore_into(template: Mapping[str, ShapeAndDtype], arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The loaded arrays in the template's order, if they are exactly those the template asks for.

    Args:
        template: name -> anything with `.shape` and `.dtype`.
        arrays: name -> array, as loaded.

    Raises:
        CheckpointError: lists up to ten of: missing, extra, wrong shape, wrong dtype.
    """
    wanted = {name: Tensor(np.dtype(spec.dtype).name, tuple(spec.shape)) for name, spec in template.items()}
    found = {name: Tensor(array.dtype.name, array.shape) for name, array in arrays.items()}
    report = differences(wanted, found)
    if report:
        raise CheckpointError(f"the checkpoint does not fit this experiment: {'; '.join(report)}")
    return {name: arrays[name] for name in template}


def differences(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    """Up to ten differences between two sets of arrays, in words; a digest counts where both sides know it."""
    report = [f"{name!r} is missing" for name in expected if name not in found]
    report += [f"{name!r} is extra" for name in found if name not in expected]
    for name in expected:
        if name not in found:
            continue
        want, have = expected[name], found[name]
        if want.shape != have.shape:
            report.append(f"{name!r} has shape {have.shape} instead of {want.shape}")
        if want.dtype != have.dtype:
            report.append(f"{name!r} has dtype {have.dtype} instead of {want.dtype}")
        if (want.shape, want.dtype) == (have.shape, have.dtype) and want.sha256 and have.sha256 and want.sha256 != have.sha256:
            report.append(f"{name!r} has other contents than were saved (SHA-256)")
    if len(report) > _MAX_DIFFERENCES:
        return [*report[:_MAX_DIFFERENCES], f"and {len(report) - _MAX_DIFFERENCES} more"]
    return report


def _bytes_of(array: np.ndarray) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


def _sha256(data: bytes | bytearray | memoryview) -> str:
    return hashlib.sha256(data).hexdigest()


def _header_sha256(data: bytes) -> str:
    (length,) = struct.unpack_from("<Q", data)
    return _sha256(memoryview(data)[: 8 + length])


def _dtype_name(code: str) -> str:
    if code not in _DTYPES:
        raise ValueError(f"dtype {code} is not one that checkpoints hold")
    return _DTYPES[code]


def _dtype(name: str) -> np.dtype:
    if name.startswith(("bfloat", "float8")):
        import ml_dtypes

        return np.dtype(getattr(ml_dtypes, name))
    return np.dtype(name)
