"""Every registered environment keeps every promise; an environment that breaks one is caught, by the name of that promise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unseen.environments import check_environment, make, names
from unseen.environments.check import PROMISES, BrokenPromise
from unseen.environments.contract import References, Score, Step
from unseen.environments.navigation.cleaner import Cleaner
from unseen.environments.navigation.heavenhell import HeavenHell
from unseen.errors import UserError

spaces = gymnasium.spaces


# In first person one task of each family: the others differ from it by the task alone, which the compact ones have too.
FIRST_PERSON = {
    f"memory-fp/{task}" for task in ("change-detection", "spot-diff-multi", "visible-goal-with-buildings", "transitive-inference")
}
NAMES = [name for name in names() if not name.startswith("memory-fp/") or name in FIRST_PERSON]


@pytest.mark.parametrize("name", [*NAMES, "heavenhell-1", "heavenhell-10", "shopping-2", "shopping-12"])
def test_registered_environments_keep_their_promises(name: str) -> None:
    # The memory suite has ten sets of parameters each, walked one after the other.
    check_environment(make(name), steps=16 if name.startswith("memory") and "/" in name else 200)


# ---- environments that use more of the contract, and keep it -----------------------------------------------------------


class Game(NamedTuple):
    age: Any
    hidden: Any


@dataclass(frozen=True)
class Rich:
    """Dict observations, two masked choices, two levels, noisy signals, and a natural end before the horizon."""

    name: str = "rich"
    ends_at: int = 5
    limit: int = 20

    @property
    def levels(self) -> dict:
        return {"train": ((0.5, {"size": jnp.int32(2)}), (2.0, {"size": jnp.int32(3)})), "holdout": ((1.0, {"size": jnp.int32(4)}),)}

    def observation_space(self, params: Any) -> Any:
        return spaces.Dict({"age": spaces.Discrete(1_000), "noise": spaces.Box(-1, 1, (2, 2), np.float32)})

    def action_space(self, params: Any) -> Any:
        return spaces.MultiDiscrete([3, 2])

    def signal_spaces(self, params: Any) -> Any:
        return {"noisy": spaces.Box(-10, 10, (1,), np.float32), "hidden": spaces.MultiDiscrete([4])}

    def horizon(self, params: Any) -> int:
        return self.limit

    def reset(self, key: Any, params: Any) -> Any:
        state = Game(jnp.int32(0), jax.random.randint(key, (1,), 0, params["size"], jnp.int32))
        return self._observe(key=None, state=state), state

    def step(self, key: Any, state: Any, action: Any, params: Any) -> Step:
        state = state._replace(age=state.age + 1)
        reward = (action[0] == state.hidden[0]).astype(jnp.float32)
        return Step(self._observe(key, state), state, reward, state.age >= self.ends_at)

    def action_mask(self, state: Any, params: Any) -> Any:
        return jnp.array([True, False, True, False, True]) | (state.age > 2)

    def signals(self, key: Any, state: Any, params: Any) -> Any:
        return {"noisy": jnp.clip(jax.random.normal(key, (1,), jnp.float32), -10, 10), "hidden": state.hidden}

    def references(self, level: str) -> References:
        return References(random=Score(1.0, 0.1))

    def draw(self, state: Any, params: Any) -> np.ndarray:
        return np.full((4, 6, 3), int(state.age), np.uint8)

    def _observe(self, key: Any, state: Any) -> Any:
        noise = jnp.zeros((2, 2)) if key is None else jax.random.uniform(key, (2, 2), jnp.float32, -1, 1)
        return {"age": state.age, "noise": noise}


class Continuous(Rich):
    def action_space(self, params: Any) -> Any:
        return spaces.Box(-2, np.inf, (2,), np.float32)

    def action_mask(self, state: Any, params: Any) -> None:
        return None

    def step(self, key: Any, state: Any, action: Any, params: Any) -> Step:
        step = Rich.step(self, key, state, jnp.zeros(2, jnp.int32), params)
        return step._replace(reward=jnp.where((action >= -2).all(), 1.0, jnp.nan))


@pytest.mark.parametrize("kind", [Rich, Continuous])
def test_rich_environments_pass(kind: type) -> None:
    check_environment(kind())


def test_masked_walks_take_legal_actions_only() -> None:
    class Strict(Rich):
        def step(self, key: Any, state: Any, action: Any, params: Any) -> Step:
            mask = self.action_mask(state, params)
            legal = mask[action[0]] & mask[3 + action[1]]
            step = Rich.step(self, key, state, action, params)
            return step._replace(reward=jnp.where(legal, step.reward, jnp.nan))

    check_environment(Strict())


# ---- one deliberately broken environment per way of breaking a promise -------------------------------------------------

BROKEN: list[tuple[str, str, Any]] = []


def breaks(promise: str, says: str) -> Any:
    def remember(kind: Any) -> Any:
        BROKEN.append((promise, says, kind))
        return kind

    return remember


@breaks("members", "it has no action_mask, action_space, draw")
class Nothing:
    name = "nothing"


@breaks("levels", "no level 'train'")
class NoTrain(HeavenHell):
    levels: ClassVar = {"test": ((1.0, ()),)}


@breaks("levels", "has weights []")
class EmptyTrain(HeavenHell):
    levels: ClassVar = {"train": ()}


@breaks("levels", "all positive")
class NegativeWeight(HeavenHell):
    levels: ClassVar = {"train": ((1.0, ()), (-1.0, ()))}


@breaks("levels", "float32[2] and float32[1]")
class UnpaddedLevels(HeavenHell):
    levels: ClassVar = {"train": ((1.0, {"x": np.zeros(1, np.float32)}),), "holdout": ((1.0, {"x": np.zeros(2, np.float32)}),)}


@breaks("levels", "is object")
class ObjectParams(HeavenHell):
    levels: ClassVar = {"train": ((1.0, {"x": np.array([None])}),)}


@breaks("levels", "is str")
class WordParams(HeavenHell):
    levels: ClassVar = {"train": ((1.0, {"x": "many"}),)}


@breaks("horizon", "horizon is 0")
class NoHorizon(HeavenHell):
    def horizon(self, params: Any = ()) -> int:
        return 0


@breaks("horizon", "horizon is 100.0")
class FloatHorizon(HeavenHell):
    def horizon(self, params: Any = ()) -> Any:
        return 100.0


@breaks("spaces", "action_space is")
class TupleActions(HeavenHell):
    def action_space(self, params: Any = ()) -> Any:
        return spaces.Tuple([spaces.Discrete(4)])


@breaks("spaces", "signal space 'heaven' is MultiBinary(1)")
class BinarySignal(HeavenHell):
    def signal_spaces(self, params: Any = ()) -> Any:
        return {"heaven": spaces.MultiBinary(1)}


@breaks("spaces", "count from 0")
class ActionsFromOne(HeavenHell):
    def action_space(self, params: Any = ()) -> Any:
        return spaces.Discrete(4, start=1)


@breaks("spaces", "observation_space differs between levels")
class GrowingObservations(Rich):
    def observation_space(self, params: Any) -> Any:
        return spaces.Discrete(int(params["size"]))


@breaks("mask", "give bool[4]")
class ShortMask(HeavenHell):
    def action_mask(self, state: Any, params: Any = ()) -> Any:
        return jnp.ones(3, jnp.bool_)


@breaks("mask", "the mask is float32[4]")
class FloatMask(HeavenHell):
    def action_mask(self, state: Any, params: Any = ()) -> Any:
        return jnp.ones(4)


@breaks("mask", "continuous actions have a mask")
class ContinuousMask(Continuous):
    def action_mask(self, state: Any, params: Any) -> Any:
        return jnp.ones(2, jnp.bool_)


@breaks("shapes", "observation after a step and after reset differ: int32[1] and int32[]")
class GrowingObservation(HeavenHell):
    def step(self, key: Any, state: Any, action: Any, params: Any = ()) -> Step:
        step = HeavenHell.step(self, key, state, action, params)
        return step._replace(observation=step.observation[None])


@breaks("shapes", "differ in structure")
class ObservationTurnsDict(HeavenHell):
    def step(self, key: Any, state: Any, action: Any, params: Any = ()) -> Step:
        step = HeavenHell.step(self, key, state, action, params)
        return step._replace(observation={"cell": step.observation})


@breaks("shapes", "differ in .age: float32[] and int32[]")
class StateTurnsFloat(Rich):
    def step(self, key: Any, state: Any, action: Any, params: Any) -> Step:
        step = Rich.step(self, key, state._replace(age=state.age.astype(jnp.int32)), action, params)
        return step._replace(state=step.state._replace(age=step.state.age.astype(jnp.float32)))


@breaks("shapes", "is int; give an array")
class PythonState(HeavenHell):
    def reset(self, key: Any, params: Any = ()) -> Any:
        observation, state = HeavenHell.reset(self, key, params)
        return observation, state._replace(cell=0)

    def step(self, key: Any, state: Any, action: Any, params: Any = ()) -> Step:
        return HeavenHell.step(self, key, state._replace(cell=jnp.int32(state.cell)), action, params)

    def signals(self, key: Any, state: Any, params: Any = ()) -> Any:
        return HeavenHell.signals(self, key, state._replace(cell=jnp.int32(state.cell)), params)


@breaks("shapes", "is key<fry>")
class KeyInState(Rich):
    def reset(self, key: Any, params: Any) -> Any:
        observation, state = Rich.reset(self, key, params)
        return observation, state._replace(age=(state.age, key))

    def step(self, key: Any, state: Any, action: Any, params: Any) -> Step:
        step = Rich.step(self, key, state._replace(age=state.age[0]), action, params)
        return step._replace(state=step.state._replace(age=(step.state.age, key)))

    def action_mask(self, state: Any, params: Any) -> Any:
        return jnp.ones(5, jnp.bool_)


@breaks("scalars", "reward is float32[1]")
class VectorReward(HeavenHell):
    def step(self, key: Any, state: Any, action: Any, params: Any = ()) -> Step:
        step = HeavenHell.step(self, key, state, action, params)
        return step._replace(reward=step.reward[None])


@breaks("scalars", "reward is int32[]")
class IntegerReward(HeavenHell):
    def step(self, key: Any, state: Any, action: Any, params: Any = ()) -> Step:
        step = HeavenHell.step(self, key, state, action, params)
        return step._replace(reward=step.reward.astype(jnp.int32))


@breaks("scalars", "terminated is bool; give a bool array")
class PythonTerminated(HeavenHell):
    def step(self, key: Any, state: Any, action: Any, params: Any = ()) -> Step:
        return HeavenHell.step(self, key, state, action, params)._replace(terminated=False)


class _Counter:
    value = 0


@breaks("determinism", "step with the same key and state, twice")
class HostRandomStep(HeavenHell):
    def step(self, key: Any, state: Any, action: Any, params: Any = ()) -> Step:
        _Counter.value += 1
        return HeavenHell.step(self, key, state, action, params)._replace(reward=jnp.float32(_Counter.value))


@breaks("determinism", "reset with the same key, twice")
class HostRandomReset(HeavenHell):
    def reset(self, key: Any, params: Any = ()) -> Any:
        _Counter.value += 1
        observation, state = HeavenHell.reset(self, key, params)
        return observation, state._replace(heaven=jnp.int32(_Counter.value % 2))


@breaks("determinism", "signals with the same key and state, twice")
class HostRandomSignals(HeavenHell):
    def signals(self, key: Any, state: Any, params: Any = ()) -> Any:
        _Counter.value += 1
        return {**HeavenHell.signals(self, key, state, params), "heaven": jnp.int32(_Counter.value % 2)}


@breaks("jit", "TracerBoolConversionError")
class PythonBranch(HeavenHell):
    def step(self, key: Any, state: Any, action: Any, params: Any = ()) -> Step:
        if state.cell == 3:
            action = jnp.int32(0)
        return HeavenHell.step(self, key, state, action, params)


@breaks("jit", "step under jit and without gives different values in .reward")
class LooksAtTracers(HeavenHell):
    def step(self, key: Any, state: Any, action: Any, params: Any = ()) -> Step:
        step = HeavenHell.step(self, key, state, action, params)
        return step._replace(reward=step.reward + (1.0 if isinstance(state.cell, jax.core.Tracer) else 0.0))


@breaks("keys", "step consumes a key twice")
class ReusedKey(Rich):
    def step(self, key: Any, state: Any, action: Any, params: Any) -> Step:
        step = Rich.step(self, key, state, action, params)
        return step._replace(reward=step.reward + jax.random.uniform(key))


@breaks("keys", "reset makes a random key of its own")
class OwnKey(Rich):
    def reset(self, key: Any, params: Any) -> Any:
        return Rich.reset(self, jax.random.key(7), params)


_IMPORTED_KEY = None


@breaks("keys", "signals makes a random key of its own")
class ImportedKey(Rich):
    def signals(self, key: Any, state: Any, params: Any) -> Any:
        global _IMPORTED_KEY
        if _IMPORTED_KEY is None:
            with jax.ensure_compile_time_eval():
                _IMPORTED_KEY = jax.random.key(5)
        return Rich.signals(self, _IMPORTED_KEY, state, params)


@breaks("vmap", "step under vmap and one by one")
class MixesCopies(HeavenHell):
    def step(self, key: Any, state: Any, action: Any, params: Any = ()) -> Step:
        shape = jax.ShapeDtypeStruct((), jnp.float32)
        total = lambda cell: np.full(np.shape(cell), np.size(cell), np.float32)  # noqa: E731  (1 alone, B among B copies)
        reward = jax.pure_callback(total, shape, state.cell, vmap_method="broadcast_all")
        return HeavenHell.step(self, key, state, action, params)._replace(reward=reward)


@breaks("observations", "is not in Discrete(15)")
class ForgottenSymbol(HeavenHell):
    def observation_space(self, params: Any = ()) -> Any:
        return spaces.Discrete(15)


@breaks("observations", "is float32, its space says float64")
class WrongWidth(Cleaner):
    def observation_space(self, params: Any = ()) -> Any:
        return spaces.Box(0.0, 1.0, (54,), np.float64)


@breaks("observations", "is not in Box")
class WrongShape(Cleaner):
    def observation_space(self, params: Any = ()) -> Any:
        return spaces.Box(0.0, 1.0, (27,), np.float32)


@breaks("observations", "is not a dict with the keys")
class MissingEntry(Rich):
    def observation_space(self, params: Any) -> Any:
        return spaces.Dict({**Rich.observation_space(self, params).spaces, "more": spaces.Discrete(2)})


@breaks("rewards", "reward is nan")
class NotANumber(HeavenHell):
    def step(self, key: Any, state: Any, action: Any, params: Any = ()) -> Step:
        return HeavenHell.step(self, key, state, action, params)._replace(reward=jnp.float32(jnp.nan))


@breaks("signals", "signal_spaces names ['heaven', 'more', 'position', 'state']")
class MissingSignal(HeavenHell):
    def signal_spaces(self, params: Any = ()) -> Any:
        return {**HeavenHell.signal_spaces(self, params), "more": spaces.Discrete(2)}


@breaks("signals", "signal 'position'")
class SmallSignalSpace(HeavenHell):
    def signal_spaces(self, params: Any = ()) -> Any:
        return {**HeavenHell.signal_spaces(self, params), "position": spaces.Discrete(1)}


@breaks("purity", "state before and after signals")
class SignalsWrite(Rich):
    def reset(self, key: Any, params: Any) -> Any:
        observation, state = Rich.reset(self, key, params)
        return observation, state._replace(hidden=np.array(state.hidden) if not isinstance(key, jax.core.Tracer) else state.hidden)

    def signals(self, key: Any, state: Any, params: Any) -> Any:
        signals = Rich.signals(self, key, state._replace(hidden=jnp.array(state.hidden)), params)
        if isinstance(state.hidden, np.ndarray):
            state.hidden[:] += 1
        return {**signals, "hidden": jnp.zeros(1, jnp.int32)}

    def step(self, key: Any, state: Any, action: Any, params: Any) -> Step:
        return Rich.step(self, key, state, action, params)._replace(reward=jnp.float32(0))


@breaks("legal", "no action is legal")
class DeadEnd(HeavenHell):
    def action_mask(self, state: Any, params: Any = ()) -> Any:
        return jnp.broadcast_to(state.cell == 0, 4)


@dataclass(frozen=True)
class Timed(Rich):
    """Ends after `ends_at` steps whatever happens."""

    ends_at: int = 20
    limit: int = 20


BROKEN.append(("time limit", "terminated at step 20", Timed))
BROKEN.append(("time limit", "terminated at step 21", lambda: Timed(ends_at=21)))


@breaks("draw", "float64[4, 6, 3]")
class FloatPicture(Rich):
    def draw(self, state: Any, params: Any) -> np.ndarray:
        return np.zeros((4, 6, 3))


@breaks("draw", "uint8[4, 6]")
class GreyPicture(Rich):
    def draw(self, state: Any, params: Any) -> np.ndarray:
        return np.zeros((4, 6), np.uint8)


@breaks("draw", "give pictures of one size")
class GrowingPicture(Rich):
    def draw(self, state: Any, params: Any) -> np.ndarray:
        return np.zeros((4 + int(state.age), 6, 3), np.uint8)


@breaks("references", "KeyError")
class RaisingReferences(Rich):
    def references(self, level: str) -> References:
        return {"train": References()}[level]


@breaks("references", "finite mean")
class InfiniteReference(Rich):
    def references(self, level: str) -> References:
        return References(oracle=Score(float("inf")))


@breaks("references", "finite mean")
class NegativeError(Rich):
    def references(self, level: str) -> References:
        return References(discounted={"oracle": (0.9, Score(1.0, -1.0))})


@pytest.mark.parametrize(("promise", "says", "kind"), BROKEN, ids=[f"{p}-{i}" for i, (p, _, _) in enumerate(BROKEN)])
def test_broken_environments_are_caught(promise: str, says: str, kind: Any) -> None:
    environment = kind()
    with pytest.raises(BrokenPromise) as caught:
        check_environment(environment, steps=60)
    assert caught.value.promise == promise, str(caught.value)
    assert says in str(caught.value)
    assert str(caught.value).startswith(environment.name)
    assert "\n" not in str(caught.value)


def test_every_promise_has_a_broken_environment() -> None:
    assert {promise for promise, _, _ in BROKEN} == set(PROMISES)


def test_too_few_steps_are_refused() -> None:
    with pytest.raises(UserError, match="steps=1 is too few"):
        check_environment(HeavenHell(), steps=1)
