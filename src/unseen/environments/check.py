"""Does an environment keep the promises of `unseen.environments.contract`? Each is one small function in `PROMISES`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np

from unseen.environments.check_values import Broken, require_arrays, require_equal, require_member, require_same_form, require_space
from unseen.environments.check_walks import Moment, Walk, advance, running, sizes_of, walk
from unseen.environments.contract import Environment, Params, References, Score
from unseen.errors import UserError

EAGER_STEPS = 6  # calls outside jit are slow
LONGEST = 100_000  # horizons above this are not walked to their end
SAMPLE = 8


class BrokenPromise(UserError):
    """An environment broke a promise of the contract; `promise` is its name in `PROMISES`."""

    def __init__(self, environment: str, promise: str, detail: str):
        super().__init__(f"{environment} breaks the promise {promise!r}: {detail}")
        self.promise = promise


def check_environment(environment: Any, *, steps: int = 200, seed: int = 0) -> None:
    """Check an environment against the contract, with random legal actions.

    Args:
        environment: what to check; every level is walked through.
        steps: steps walked per set of parameters.
        seed: of the random actions and of the environment's keys.

    Raises:
        BrokenPromise: the first promise that does not hold, by name, with what was seen.
    """
    if steps < SAMPLE:
        raise UserError(f"steps={steps} is too few to check anything; give {SAMPLE} or more")
    subject = _Subject(environment, steps, seed)
    name = str(getattr(environment, "name", type(environment).__name__))
    for promise, check in PROMISES.items():
        try:
            check(subject)
        except Broken as broken:
            raise BrokenPromise(name, promise, str(broken)) from None
        except Exception as error:
            raise BrokenPromise(name, promise, f"{type(error).__name__}: {_first_line(error)}") from error


@dataclass(frozen=True)
class _Subject:
    """The environment, and walks through it that several checks look at."""

    environment: Any  # whether it is an Environment is the first thing to be checked
    steps: int
    seed: int

    @cached_property
    def places(self) -> list[tuple[str, Params]]:
        return [(level, params) for level, mixture in self.environment.levels.items() for _, params in mixture]

    @property
    def params(self) -> Params:
        return self.places[0][1]

    @cached_property
    def eager(self) -> Walk:
        """A few steps at the first set of parameters, as plain Python calls."""
        horizon = self.environment.horizon(self.params)
        return walk(self.environment.reset, partial(advance, self.environment), self.params, horizon, EAGER_STEPS, self.seed)

    @cached_property
    def compiled(self) -> tuple[Any, Any]:
        return jax.jit(self.environment.reset), jax.jit(partial(advance, self.environment))

    @cached_property
    def walks(self) -> list[Walk]:
        """Compiled walks at every set of parameters, with one program for all."""
        horizon = self.environment.horizon
        reset, go = self.compiled
        return [walk(reset, go, p, horizon(p), self.steps, self.seed + i) for i, (_, p) in enumerate(self.places)]

    @property
    def moments(self) -> list[Moment]:
        return [moment for walk in self.walks for moment in walk.moments]


# ---- the promises, in the order they are checked -----------------------------------------------------------------------


def has_every_member(subject: _Subject) -> None:
    members = [m for m in dir(Environment) if not m.startswith("_")]
    if missing := [m for m in members if not hasattr(subject.environment, m)]:
        raise Broken(f"it has no {', '.join(missing)}")


def levels_share_shapes(subject: _Subject) -> None:
    levels = subject.environment.levels
    if "train" not in levels:
        raise Broken(f"there is no level 'train', only {sorted(levels)}")
    for level, mixture in levels.items():
        weights = [float(weight) for weight, _ in mixture]
        if not weights or not all(math.isfinite(w) and w > 0 for w in weights):
            raise Broken(f"level {level!r} has weights {weights}; give at least one, all positive")
        for _, params in mixture:
            require_arrays("params", params)
            require_same_form(f"params of level {level!r} and the first ones", params, subject.params)


def horizon_is_a_positive_integer(subject: _Subject) -> None:
    for level, params in subject.places:
        horizon = subject.environment.horizon(params)
        if isinstance(horizon, bool) or not isinstance(horizon, int) or horizon < 1:
            raise Broken(f"horizon is {horizon!r} at level {level!r}; give a whole number, 1 or more")


def spaces_are_supported(subject: _Subject) -> None:
    environment = subject.environment
    for _, params in subject.places:
        require_space("observation_space", environment.observation_space(params), dictionary=True)
        require_space("action_space", environment.action_space(params))
        for name, space in environment.signal_spaces(params).items():
            require_space(f"signal space {name!r}", space)
            if space != environment.signal_spaces(subject.params).get(name):
                raise Broken(f"signal space {name!r} differs between levels")
        if environment.observation_space(params) != environment.observation_space(subject.params):
            raise Broken("observation_space differs between levels; pad to the largest")
        if environment.action_space(params) != environment.action_space(subject.params):
            raise Broken("action_space differs between levels; pad to the largest and mask")


def mask_fits_the_actions(subject: _Subject) -> None:
    space = subject.environment.action_space(subject.params)
    _, state = subject.environment.reset(jax.random.key(subject.seed), subject.params)
    mask = subject.environment.action_mask(state, subject.params)
    if mask is None:
        return
    if isinstance(space, gymnasium.spaces.Box):
        raise Broken("continuous actions have a mask; return None")
    if mask.dtype != jnp.bool_ or mask.shape != (sum(sizes_of(space)),):
        raise Broken(f"the mask is {mask.dtype}{list(mask.shape)}; give bool[{sum(sizes_of(space))}]")


def shapes_are_constant(subject: _Subject) -> None:
    observation, state = subject.environment.reset(jax.random.key(subject.seed), subject.params)
    require_arrays("observation", observation)
    require_arrays("state", state)
    for m in subject.eager.moments:
        require_same_form("state after a step and after reset", m.step.state, state)
        require_same_form("observation after a step and after reset", m.step.observation, observation)


def reward_and_terminated_are_scalars(subject: _Subject) -> None:
    for m in subject.eager.moments:
        for name, value, kind in (("reward", m.step.reward, jnp.floating), ("terminated", m.step.terminated, jnp.bool_)):
            if not isinstance(value, jax.Array) or value.shape != () or not jnp.issubdtype(value.dtype, kind):  # pyright: ignore[reportUnnecessaryIsInstance]
                seen = f"{value.dtype}{list(value.shape)}" if hasattr(value, "dtype") else type(value).__name__
                raise Broken(f"{name} is {seen}; give a {'float' if name == 'reward' else 'bool'} array of shape []")


def same_key_gives_the_same(subject: _Subject) -> None:
    environment, key, params = subject.environment, jax.random.key(subject.seed), subject.params
    require_equal("reset with the same key, twice", environment.reset(key, params), environment.reset(key, params))
    for m in subject.eager.moments:
        require_equal("step with the same key and state, twice", environment.step(m.step_key, m.state, m.action, params), m.step)
        first, second = (environment.signals(m.signals_key, m.state, params) for _ in range(2))
        require_equal("signals with the same key and state, twice", second, first)


def compiled_equals_plain(subject: _Subject) -> None:
    environment, key, params = subject.environment, jax.random.key(subject.seed), subject.params
    reset, go = subject.compiled
    require_equal("reset under jit and without", reset(key, params), environment.reset(key, params))
    for m in subject.eager.moments:
        _require_same_moment("under jit and without", go(m.key, m.state, params), m)


def keys_are_used_properly(subject: _Subject) -> None:
    """No key is consumed twice, and none is made up inside: JAX's own checker, and a look at the traced program."""
    environment, moment = subject.environment, subject.eager.moments[0]
    calls = {
        "reset": lambda key: environment.reset(key, subject.params),
        "step": lambda key: environment.step(key, moment.state, moment.action, subject.params),
        "signals": lambda key: environment.signals(key, moment.state, subject.params),
    }
    for name, call in calls.items():
        program = jax.make_jaxpr(call)(jax.random.key(subject.seed))
        own = any(jnp.issubdtype(getattr(c, "dtype", np.dtype(bool)), jax.dtypes.prng_key) for c in program.consts)
        if own or "random_seed[" in str(program):
            raise Broken(f"{name} makes a random key of its own; derive every key from the one it is given")
        with jax.debug_key_reuse(True):
            try:
                jax.jit(call)(jax.random.key(subject.seed))
            except jax.errors.KeyReuseError as error:
                raise Broken(f"{name} consumes a key twice ({_first_line(error)}); split it") from None


def batched_equals_single(subject: _Subject) -> None:
    environment, params = subject.environment, subject.params

    def again(m: Moment) -> Moment:
        return m._replace(
            mask=environment.action_mask(m.state, params),
            signals=environment.signals(m.signals_key, m.state, params),
            step=environment.step(m.step_key, m.state, m.action, params),
        )

    moments = _stack(subject.walks[0].moments[:SAMPLE])
    _require_same_moment("under vmap and one by one", jax.jit(jax.vmap(again))(moments), moments)
    one_by_one = _stack([environment.reset(key, params) for key in moments.key])
    require_equal("reset under vmap and one by one", jax.jit(jax.vmap(environment.reset, (0, None)))(moments.key, params), one_by_one)


def observations_lie_in_their_space(subject: _Subject) -> None:
    space = subject.environment.observation_space(subject.params)
    firsts = [observation for walk in subject.walks for observation in walk.first_observations]
    for observation in firsts + [m.step.observation for m in subject.moments]:
        require_member("observation", space, observation)


def rewards_are_finite(subject: _Subject) -> None:
    for m in subject.moments:
        if not np.isfinite(m.step.reward):
            raise Broken(f"reward is {float(m.step.reward)}")


def signals_lie_in_their_spaces(subject: _Subject) -> None:
    spaces = subject.environment.signal_spaces(subject.params)
    for m in subject.moments:
        if set(m.signals) != set(spaces):
            raise Broken(f"signals are {sorted(m.signals)}, signal_spaces names {sorted(spaces)}")
        for name, value in m.signals.items():
            require_member(f"signal {name!r}", spaces[name], value)


def signals_change_nothing(subject: _Subject) -> None:
    environment, params = subject.environment, subject.params
    for m in subject.eager.moments:
        before = jax.tree.map(lambda x: np.array(x, copy=True), m.state)
        environment.signals(m.signals_key, m.state, params)
        require_equal("state before and after signals", m.state, before)
        require_equal("step before and after signals", environment.step(m.step_key, m.state, m.action, params), m.step)


def some_action_is_always_legal(subject: _Subject) -> None:
    space = subject.environment.action_space(subject.params)
    sizes = [] if isinstance(space, gymnasium.spaces.Box) else sizes_of(space)
    for m in subject.moments:
        if m.mask is None:
            continue
        if not all(part.any() for part in np.split(np.asarray(m.mask), np.cumsum(sizes)[:-1])):
            raise Broken("a state was reached in which no action is legal")


def time_limits_do_not_terminate(subject: _Subject) -> None:
    """Copies still running at the horizon must not all end there: the batch loop truncates, and bootstraps."""
    first_of = {subject.environment.horizon(params): params for _, params in reversed(subject.places)}
    for horizon, params in first_of.items():
        if horizon > LONGEST:
            continue
        alive = running(subject.environment, params, horizon + 1, subject.seed)
        for t in (horizon, horizon + 1):
            if alive[t - 1] >= 2 and alive[t] == 0:
                raise Broken(
                    f"all {alive[t - 1]} copies still running at the horizon ({horizon}) terminated at step {t}; "
                    "a time limit is truncation (or, if the task itself ends there, set the horizon later)"
                )


def pictures_are_rgb(subject: _Subject) -> None:
    shape = None
    pictured = [(m.state, walk.params) for walk in subject.walks for m in walk.moments[:4] + walk.moments[4 :: 1 + subject.steps // 6]]
    for state, params in pictured[:60]:
        picture = subject.environment.draw(state, params)
        if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
            seen = f"{picture.dtype}{list(picture.shape)}" if hasattr(picture, "dtype") else type(picture).__name__
            raise Broken(f"draw returned {seen}; give a NumPy array uint8[height, width, 3]")
        if picture.size == 0 or picture.shape != (shape or picture.shape):
            raise Broken(f"draw returned {list(picture.shape)} after {list(shape or ())}; give pictures of one size")
        shape = picture.shape


def references_are_scores(subject: _Subject) -> None:
    for level in subject.environment.levels:
        references = subject.environment.references(level)
        if not isinstance(references, References):
            raise Broken(f"references({level!r}) returned {type(references).__name__}; give References")
        scores = [references.random, references.memoryless, references.perfect_memory, references.oracle]
        for score in [s for s in scores if s is not None] + [s for _, s in references.discounted.values()]:
            if not isinstance(score, Score) or not math.isfinite(score.mean) or not 0 <= score.standard_error < math.inf:  # pyright: ignore[reportUnnecessaryIsInstance]
                raise Broken(f"references({level!r}) holds {score!r}; give a finite mean and standard error")


PROMISES: dict[str, Callable[[_Subject], None]] = {
    "members": has_every_member,
    "levels": levels_share_shapes,
    "horizon": horizon_is_a_positive_integer,
    "spaces": spaces_are_supported,
    "mask": mask_fits_the_actions,
    "shapes": shapes_are_constant,
    "scalars": reward_and_terminated_are_scalars,
    "determinism": same_key_gives_the_same,
    "jit": compiled_equals_plain,
    "keys": keys_are_used_properly,
    "vmap": batched_equals_single,
    "observations": observations_lie_in_their_space,
    "rewards": rewards_are_finite,
    "signals": signals_lie_in_their_spaces,
    "purity": signals_change_nothing,
    "legal": some_action_is_always_legal,
    "time limit": time_limits_do_not_terminate,
    "draw": pictures_are_rgb,
    "references": references_are_scores,
}


def _require_same_moment(when: str, moment: Moment, other: Moment) -> None:
    for part in ("step", "signals", "mask"):
        require_equal(f"{'action_mask' if part == 'mask' else part} {when}", getattr(moment, part), getattr(other, part))


def _stack(trees: list[Any]) -> Any:
    """Stack leaf by leaf; all but keys on the host, where stacking compiles nothing."""
    is_key = lambda leaf: jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)  # noqa: E731
    return jax.tree.map(lambda *leaves: jnp.stack(leaves) if is_key(leaves[0]) else np.stack(leaves), *trees)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0]
