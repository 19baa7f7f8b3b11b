"""What a reference player is: a small frozen object of pure functions, and what each kind of player is allowed to see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, TypeVar, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from unseen.environments.contract import Params, State
from unseen.environments.memory_suite import walker
from unseen.errors import UserError

Reads = Literal["observation", "place", "state"]
Given = TypeVar("Given")


class Seen(NamedTuple):
    """What a player that does not see the state is given.

    Attributes:
        words: the observation in words: of the compact embodiment the observation itself, in first person `described(state)`.
        gaze: first person only, of the picture what words leave out: on screens where the gaze is (x, y in 480ths), elsewhere how far
            the agent is from its cell's middle (metres to the east and to the south) and from the nearest of the four headings
            (radians, clockwise).
        place: x, y in metres and heading in radians, for players that read "place".
        reward: of the last step, for players that read "place".
    """

    words: Int[Array, "n"]
    gaze: Float[Array, "k"] | None = None
    place: walker.Pose | None = None
    reward: Float[Array, ""] | None = None


@runtime_checkable
class Player(Protocol):
    """A player of one environment.

    Attributes:
        reads: what it is given as `seen`: "observation", the words and in first person the gaze; "place", also where it is and what it
            was paid, which a perfect memory of one's own moves amounts to; "state", the state itself.
    """

    @property
    def reads(self) -> Reads: ...

    def begin(self) -> Any:
        """Its memory before the first step, a pytree of arrays."""
        ...

    def act(self, key: PRNGKeyArray, memory: Any, seen: Any, params: Params) -> tuple[Any, Int[Array, ""]]:
        """Its memory and the action, unbatched; `params` are the level's."""
        ...


@dataclass(frozen=True)
class Uniform:
    """Acts at random, every action as likely as another."""

    actions: int
    reads: Reads = "observation"

    def begin(self) -> tuple[()]:
        return ()

    def act(self, key: PRNGKeyArray, memory: tuple[()], seen: Any, params: Params = ()) -> tuple[tuple[()], Int[Array, ""]]:
        return memory, jax.random.randint(key, (), 0, self.actions, jnp.int32)


def look(environment: Any, reads: Reads, state: State, reward: Float[Array, ""]) -> Any:
    """What a player that reads so much is given in a state.

    Args:
        environment: a compact or first-person one of the suite.
        reward: of the step that led to the state.

    Returns:
        the state, or `Seen`. No picture is painted.
    """
    if reads == "state":
        return state
    seen = Seen(environment.described(state), gaze_of(state)) if hasattr(environment, "described") else Seen(environment.observe(state))
    return seen if reads == "observation" else seen._replace(place=place_of(state), reward=reward)


def place_of(state: State) -> walker.Pose | None:
    """Where the agent is, in metres and radians; in the compact embodiment in the middle of its cell, None where it has no body."""
    if hasattr(state, "pose"):
        return state.pose
    return walker.at(state.row, state.column, state.heading) if hasattr(state, "row") else None


def gaze_of(state: State) -> Float[Array, "k"]:
    """Where a gaze is on a screen; elsewhere how far a pose is from the nearest of the grid."""
    if not hasattr(state, "pose"):
        return jnp.stack([state.x, state.y]).astype(jnp.float32)
    on_grid = walker.at(*walker.on_grid(state.pose))
    turned = (state.heading - on_grid.heading + jnp.pi) % (2 * jnp.pi) - jnp.pi
    return jnp.stack([state.x - on_grid.x, state.y - on_grid.y, turned])


def given(value: Given | None) -> Given:
    """A part of `Seen` that a player needs.

    Raises:
        UserError: if it was given what another kind of player reads.
    """
    if value is None:
        raise UserError('this reference player reads "place"; give it what `look(environment, "place", state, reward)` returns')
    return value
