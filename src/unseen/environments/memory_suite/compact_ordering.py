"""The compact embodiment of transitive inference: two objects as categories, and a direct choice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray

from unseen.environments.contract import Params, References, Step
from unseen.environments.memory_suite import clock, colours, levels, scores
from unseen.environments.memory_suite import transitive_inference as logic
from unseen.environments.memory_suite.stimuli import things
from unseen.environments.memory_suite.transitive_inference import LONGEST, ChainParams, Chains, Progress, TransitiveInference

STEPS = clock.frames(logic.SECONDS) // clock.COMPACT_FRAMES
WAIT = 0  # action 1 chooses the left object, 2 the right one
THING = (len(things.OUTLINES) + 1, *(colours.STEPS + 1,) * 3)  # outline, red, green, blue; 0 for nothing
DARK, LEFT_LIT, RIGHT_LIT = range(3)


class OrderState(NamedTuple):
    """Attributes:

    chains: everything random of the episode.
    progress: how far it has come.
    """

    chains: Chains
    progress: Progress


@dataclass(frozen=True)
class CompactOrdering:
    """Transitive inference in turns of 8 frames: demonstrations of 23 steps, a blank of 15, then a choice at once.

    Actions: 0 waits, 1 chooses left, 2 right (they count in a challenge only). An episode has 900 steps.

    Observation: `MultiDiscrete`: the phase (demonstration, blank, challenge), which pedestal is lit (0 none, 1 left, 2 right), and for
    the left and the right object 1 + outline and 1 + the amounts of red, green and blue.

    Signals: "answer" (which is higher, of the pair on the pedestals; 2 where there is none), "order" (objects from the highest to the
    lowest, as set index, 40 behind the last), "state" (both, phase, item, lit, right answers not paid yet, and the places of the two).

    Source: specification §1.3 and §3.13; all of it proposed.
    """

    task: TransitiveInference
    reset_pool = levels.RESET_POOL

    @property
    def name(self) -> str:
        return f"memory/{self.task.name}"

    @property
    def action_names(self) -> tuple[str, ...]:
        return "wait", "left", "right"

    @cached_property
    def levels(self) -> Mapping[str, tuple[tuple[float, Params], ...]]:
        return levels.mixtures(levels.TWO_SCALES, logic.params_of)

    def observation_space(self, params: Params = ()) -> gymnasium.spaces.MultiDiscrete:
        return gymnasium.spaces.MultiDiscrete([3, 3, *THING * 2])

    def action_space(self, params: Params = ()) -> gymnasium.spaces.Discrete[Any]:
        return gymnasium.spaces.Discrete(3)

    def signal_spaces(self, params: Params = ()) -> Mapping[str, gymnasium.Space[Any]]:
        return signal_spaces()

    def horizon(self, params: Params = ()) -> int:
        return STEPS

    def reset(self, key: PRNGKeyArray, params: ChainParams) -> tuple[Int[Array, "10"], OrderState]:
        state = OrderState(self.task.draw(key, params), self.task.begin())
        return self.observe(state), state

    def step(self, key: PRNGKeyArray, state: OrderState, action: Int[Array, ""], params: ChainParams) -> Step:
        progress, reward, _ = self.task.advanced(state.chains, state.progress, params, action - 1, clock.COMPACT_FRAMES)
        after = OrderState(state.chains, progress)
        return Step(self.observe(after), after, reward, jnp.asarray(False))

    def action_mask(self, state: OrderState, params: Params = ()) -> None:
        return None

    def signals(self, key: PRNGKeyArray, state: OrderState, params: ChainParams) -> Mapping[str, Array]:
        return told(self.task, state.chains, state.progress, params)

    def references(self, level: str) -> References:
        """Measured random, memoryless (always left), perfect-memory and oracle players."""
        levels.require_level(self.name, self.levels, level)
        return scores.references(self.name, level)

    def draw(self, state: OrderState, params: Params = ()) -> np.ndarray:
        state = jax.tree.map(jnp.asarray, state)  # a recorded one is of NumPy arrays
        return self.picture(self.observe(state), params)

    def picture(self, observation: Int[Array | np.ndarray, "10"], params: Params = ()) -> np.ndarray:
        """The observation for people."""
        from unseen.environments.memory_suite import cards

        return cards.ordering_card(np.asarray(observation))

    def observe(self, state: OrderState) -> Int[Array, "10"]:
        return described(self.task, state.chains, state.progress)


def described(task: TransitiveInference, chains: Chains, progress: Progress) -> Int[Array, "10"]:
    """Phase, light, and the two objects in categories."""
    pair = task.pair(chains, progress)
    objects = []
    for place in (pair.left, pair.right):
        outline, colour = logic.thing(chains, progress, place)
        amounts = colours.amounts(colour, chains.holdout)
        objects.append(jnp.where(pair.present, jnp.concatenate([outline[None], amounts]) + 1, 0))
    return jnp.concatenate([jnp.stack([progress.phase, pair.lit + 1]), *objects])


def signal_spaces() -> Mapping[str, gymnasium.Space[Any]]:
    """What `told` gives."""
    order = [logic.OBJECTS + 1] * LONGEST
    return {
        "answer": gymnasium.spaces.Discrete(3),
        "order": gymnasium.spaces.MultiDiscrete(order),
        "state": gymnasium.spaces.MultiDiscrete([*order, 3, 3, LONGEST, 3, logic.CHALLENGES, LONGEST + 1, LONGEST + 1]),
    }


def told(task: TransitiveInference, chains: Chains, progress: Progress, params: ChainParams) -> Mapping[str, Array]:
    """The signals of both embodiments."""
    pair = task.pair(chains, progress)
    within = jnp.arange(LONGEST, dtype=jnp.int32) < params.length
    order = jnp.where(within, logic.of_round(chains.order, progress), logic.OBJECTS)
    places = jnp.where(pair.present, jnp.stack([pair.left, pair.right]), LONGEST)
    answer = jnp.where(pair.present, pair.higher, 2)
    rest = jnp.stack([answer, progress.phase, progress.item, pair.lit + 1, progress.earned])
    return {"answer": answer, "order": order, "state": jnp.concatenate([order, rest, places])}
