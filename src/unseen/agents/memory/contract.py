"""What every memory promises: time-major, batched, and the same result unrolled as stepped."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from jaxtyping import Array, Bool, Float

Carry = Any  # a pytree of arrays with a leading batch axis
Records = dict[str, Array]  # what was recalled, for the report; empty for memories that recall nothing
READ = ("slot", "weight", "live")  # of the records of a memory that is `Recalling`


@runtime_checkable
class Memory(Protocol):
    """Carries the past. `start` marks the first observation of an episode: the carry is fresh there."""

    @property
    def features(self) -> int:
        """Width of the features."""
        ...

    def initial(self, batch: int) -> Carry: ...

    def step(self, carry: Carry, x: Float[Array, "B I"], start: Bool[Array, "B"]) -> tuple[Carry, Float[Array, "B H"], Records]: ...

    def unroll(
        self, carry: Carry, xs: Float[Array, "T B I"], starts: Bool[Array, "T B"]
    ) -> tuple[Carry, Float[Array, "T B H"], Records]: ...


@runtime_checkable
class Projecting(Protocol):
    """A memory that reads its input through one product `xs @ w_x`: who knows the inputs to be few embeddings can multiply those."""

    @property
    def w_x(self) -> Float[Array, "I P"]: ...

    def unroll_projected(
        self, carry: Carry, projections: Float[Array, "T B P"], starts: Bool[Array, "T B"]
    ) -> tuple[Carry, Float[Array, "T B H"], Records]:
        """`unroll`, from `xs @ w_x`."""
        ...


@runtime_checkable
class Refreshing(Protocol):
    """A memory whose carry holds something made with its parameters, as keys are; after an update it is made anew."""

    def refreshed(self, carry: Carry) -> Carry: ...


@runtime_checkable
class Replaying(Protocol):
    """A memory that need not search again for what its steps recalled, as long as its parameters are those that stepped."""

    def unroll_recalled(
        self, carry: Carry, xs: Float[Array, "T B I"], starts: Bool[Array, "T B"], recalled: Records
    ) -> tuple[Carry, Float[Array, "T B H"], Records]:
        """`unroll`, where the steps' records were `recalled` ("slot" and "live" are enough)."""
        ...


@runtime_checkable
class Recalling(Protocol):
    """A memory that writes steps 0, `every`, 2 `every`, … of an episode, one after the other, into a ring of `capacity` slots.

    The records of its steps say what was read (`READ`): "slot" (B, K), "weight" (B, K), and "live" (B, K), False where there was nothing.
    """

    @property
    def capacity(self) -> int: ...

    @property
    def every(self) -> int: ...
