"""One process or several: sums of tensors and lists of objects over all of them. `accelerate` starts and connects several.

Environments are shared out, and every process sums its part of each minibatch; the sum over processes is that of one process with all of
them, up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

from unseen.errors import UserError


@runtime_checkable
class Processes(Protocol):
    """What the training needs of the others."""

    @property
    def rank(self) -> int: ...

    @property
    def count(self) -> int: ...

    def total(self, tensor: Any) -> Any:
        """The sum of a tensor over all processes, in each of them."""
        ...

    def everyone(self, one: Any) -> list[Any]:
        """The objects of all processes, in each of them, by rank."""
        ...


class Alone:
    """One process."""

    rank, count = 0, 1

    def total(self, tensor: Any) -> Any:
        return tensor

    def everyone(self, one: Any) -> list[Any]:
        return [one]


class Accelerated:
    """Those that `accelerate launch` has started."""

    def __init__(self) -> None:
        import accelerate
        import torch

        self._state = accelerate.PartialState(cpu=not torch.cuda.is_available())
        self.rank, self.count = self._state.process_index, self._state.num_processes

    def total(self, tensor: Any) -> Any:
        from accelerate.utils import reduce

        return reduce(tensor.to(self._state.device), "sum").to(tensor.device)  # pyright: ignore[reportAttributeAccessIssue]

    def everyone(self, one: Any) -> list[Any]:
        from accelerate.utils import gather_object

        return gather_object([one])


def processes() -> Processes:
    """Those that take part: more than one where the environment says so, as `accelerate launch` has it."""
    import os

    return Accelerated() if int(os.environ.get("WORLD_SIZE", "1")) > 1 else Alone()


def by_the_first(others: Processes, work: Callable[[], object]) -> None:
    """Have the first process do what must be done once, such as writing files, while the others wait.

    Args:
        others: all processes; each must call this.
        work: done in the first one only.

    Raises:
        UserError: what went wrong there, in every process, so that none waits for ever.
    """
    why = None
    if others.rank == 0:
        try:
            work()
        except UserError as error:
            why = str(error)
    why = others.everyone(why)[0]
    if why is not None:
        raise UserError(why)


def summed_gradients(parameters: Sequence[Any], others: Processes) -> None:
    """Replace every gradient by its sum over all processes."""
    if others.count == 1:
        return
    import torch

    some = [p for p in parameters if p.requires_grad]
    flat = others.total(torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten().float() for p in some]))
    at = 0
    for p in some:
        p.grad = flat[at : at + p.numel()].view_as(p).to(p.dtype)
        at += p.numel()
