"""gymnax environments as ours: `step_env` and `reset_env` without auto-reset, spaces that hold what they promise, the state as signal.

What changes on the way in:

* Time limits. gymnax's `step` truncates at `params.max_steps_in_episode`; here `horizon` says so and the batch loop truncates.
  Environments written for gymnax before 1.0 merge the limit into `done`; theirs is asked again with the limit lifted.
* Observations are cast to the declared dtype, unless that would change a value (then the dtype is the one delivered).
* Declared bounds are checked on `probe_steps` random steps of whole episodes. An element that leaves its bounds becomes
  unbounded, the others keep theirs; float bounds at the largest finite number mean infinity. Nothing is ever clipped.
* gymnax relies on JAX's standard type promotion, so its functions are traced under it whatever the caller's setting.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from unseen.environments.adapters.gymnax_spaces import picture_of_grid, picture_of_numbers, repaired, to_gymnasium_space
from unseen.environments.contract import References, State, Step
from unseen.errors import UserError, unknown

_LIMITS = ("max_steps_in_episode", "max_timesteps")  # gymnax, Craftax
_NO_LIMIT = 2**30
_PROBE_ENVS = 32


@dataclass(frozen=True, eq=False)
class GymnaxEnvironment:
    """A gymnax environment behind our contract; made by `from_gymnax`. Its gymnax parameters are constants: contract `params` is ()."""

    name: str
    gymnax: Any
    gymnax_params: Any
    limit: int
    observations: gymnasium.Space[Any]
    state_shapes: Any  # ShapeDtypeStruct per leaf: reset and step then agree, as loops need

    @property
    def levels(self) -> Mapping[str, tuple[tuple[float, tuple[()]], ...]]:
        return {"train": ((1.0, ()),)}

    def observation_space(self, params: Any) -> gymnasium.Space[Any]:
        return self.observations

    def action_space(self, params: Any) -> gymnasium.Space[Any]:
        with _standard_promotion():
            return to_gymnasium_space(self.gymnax.action_space(self.gymnax_params), f"the action space of {self.name}")

    def signal_spaces(self, params: Any) -> Mapping[str, gymnasium.Space[Any]]:
        size = sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(self.state_shapes) if _numeric(leaf.dtype))
        return {"state": gymnasium.spaces.Box(-np.inf, np.inf, (size,), np.float32)}

    def horizon(self, params: Any) -> int:
        return self.limit

    def reset(self, key: PRNGKeyArray, params: Any) -> tuple[Any, State]:
        with _standard_promotion():
            observation, state = self.gymnax.reset_env(key, self.gymnax_params)
            return _cast_observation(self.observations, observation), _cast_state(self.state_shapes, state)

    def step(self, key: PRNGKeyArray, state: State, action: Array, params: Any) -> Step:
        with _standard_promotion():
            observation, state, reward, done, _ = self.gymnax.step_env(key, state, action, self.gymnax_params)
            terminated = _terminated(self.gymnax, self.gymnax_params, state, done)
            return Step(
                _cast_observation(self.observations, observation),
                _cast_state(self.state_shapes, state),
                jnp.reshape(jnp.asarray(reward, jnp.float32), ()),
                jnp.reshape(jnp.asarray(terminated, jnp.bool_), ()),
            )

    def action_mask(self, state: State, params: Any) -> None:
        return None

    def signals(self, key: PRNGKeyArray, state: State, params: Any) -> Mapping[str, Array]:
        """{"state": every number in the state}, in the order of its leaves; there is nothing random in it."""
        return {"state": _flat(state)}

    def references(self, level: str) -> References:
        return References()

    def draw(self, state: State, params: Any) -> np.ndarray:
        """The observation where it is a picture, otherwise one bar per number of the state (tanh-scaled, zero in the middle)."""
        if isinstance(self.observations, gymnasium.spaces.Box) and len(self.observations.shape) in (2, 3):
            with _standard_promotion():
                return picture_of_grid(np.asarray(self.gymnax.observe(jax.random.key(0), state, None, self.gymnax_params), np.float32))
        return picture_of_numbers(np.asarray(_flat(state)))


def from_gymnax(
    name_or_env: str | Any,
    params: Any = None,
    *,
    horizon: int | None = None,
    observation_space: gymnasium.Space[Any] | None = None,
    probe_steps: int = 8192,
    **options: Any,
) -> GymnaxEnvironment:
    """Bring a gymnax environment in.

    Args:
        name_or_env: a name gymnax knows, or an environment object.
        params: its gymnax parameters; None for the defaults. A dict replaces single fields of the defaults.
        horizon: steps until the batch loop truncates; None takes gymnax's own time limit.
        observation_space: replaces the declared space, unprobed, where you know better.
        probe_steps: random steps on which the declared observation bounds are checked; 0 trusts them.
        options: keyword arguments of `gymnax.make`.

    Raises:
        UserError: gymnax is not installed, the name is unknown, the environment has no time limit and no `horizon` was given,
            or it uses a space that has no counterpart here.
    """
    with _standard_promotion():
        return _from_gymnax(name_or_env, params, horizon, observation_space, probe_steps, options)


def _from_gymnax(
    name_or_env: Any,
    params: Any,
    horizon: int | None,
    observation_space: gymnasium.Space[Any] | None,
    probe_steps: int,
    options: Mapping[str, Any],
) -> GymnaxEnvironment:
    if isinstance(name_or_env, str):
        name, env = name_or_env, _make(_import_gymnax(), name_or_env, options)
    elif options:
        raise UserError(f"options {sorted(options)} need a name to be passed to; give the gymnax environment's name, or build it with them")
    else:
        name, env = str(name_or_env.name), name_or_env
    params = _params(name, env, params)
    limit = horizon if horizon is not None else next((int(getattr(params, field)) for field in _LIMITS if hasattr(params, field)), None)
    if limit is None or limit < 1:
        raise UserError(f"gymnax environment {name!r} has a time limit of {limit}; pass horizon=STEPS, at least 1")
    declared = observation_space or to_gymnasium_space(env.observation_space(params), f"the observation space of {name}")
    state_shapes = _state_shapes(name, env, params)
    if observation_space is None and probe_steps > 0:
        declared = repaired(declared, *_probe(env, params, limit, probe_steps))
    return GymnaxEnvironment(f"gymnax:{name}", env, params, limit, declared, state_shapes)


def _import_gymnax() -> ModuleType:
    try:
        import gymnax  # pyright: ignore[reportMissingTypeStubs]
    except ModuleNotFoundError as error:
        raise UserError("gymnax is not installed; run: pip install 'unseen[gymnax]'") from error
    return gymnax


def _make(gymnax: ModuleType, name: str, options: Mapping[str, Any]) -> Any:
    if name not in gymnax.registered_envs:
        raise unknown("gymnax environment", name, gymnax.registered_envs)
    try:
        return gymnax.make(name, **options)[0]
    except (TypeError, OSError) as error:  # an option it does not take; data it cannot download
        raise UserError(f"gymnax environment {name!r} could not be made with options {dict(options)}: {error}") from error


def _params(name: str, env: Any, params: Any) -> Any:
    if params is None:
        return env.default_params
    if isinstance(params, Mapping):
        fields = list(env.default_params.__dataclass_fields__)
        for field in params:
            if field not in fields:
                raise unknown(f"parameter of gymnax environment {name}", field, fields)
        return env.default_params.replace(**params)
    return params


@contextlib.contextmanager
def _standard_promotion() -> Generator[None, None, None]:
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def _terminated(env: Any, params: Any, state: Any, done: Any) -> Any:
    """`done` as gymnax 1.x gives it has no time limit in it; older environments are asked again with the limit lifted."""
    if hasattr(env, "is_truncated"):
        return done
    lifted = {field: _NO_LIMIT for field in _LIMITS if hasattr(params, field)}
    return env.is_terminal(state, params.replace(**lifted)) if lifted else done


def _numeric(dtype: Any) -> bool:
    return jnp.issubdtype(dtype, jnp.number) or jnp.issubdtype(dtype, jnp.bool_)


def _flat(state: State) -> Float[Array, "n"]:
    leaves = [jnp.asarray(leaf) for leaf in jax.tree.leaves(state)]
    return jnp.concatenate([jnp.ravel(leaf).astype(jnp.float32) for leaf in leaves if _numeric(leaf.dtype)] or [jnp.zeros(0, jnp.float32)])


def _state_shapes(name: str, env: Any, params: Any) -> Any:
    """Shapes and dtypes of the state after a step, which are those a reset must take too."""
    key = jax.random.key(0)

    def after(state: Any) -> Any:
        return env.step_env(key, state, env.action_space(params).sample(key), params)[1]

    first = jax.eval_shape(lambda: after(env.reset_env(key, params)[1]))
    second = jax.eval_shape(lambda: after(_cast_state(first, env.reset_env(key, params)[1])))
    as_text = [[(leaf.shape, str(leaf.dtype)) for leaf in jax.tree.leaves(shapes)] for shapes in (first, second)]
    if as_text[0] != as_text[1]:
        raise UserError(
            f"the state of gymnax environment {name!r} changes its shapes or types from step to step; it cannot be compiled in a loop"
        )
    return first


def _cast_state(shapes: Any, state: Any) -> Any:
    return jax.tree.map(lambda leaf, like: jnp.broadcast_to(jnp.asarray(leaf, like.dtype), like.shape), state, shapes)


def _cast_observation(space: gymnasium.Space[Any], observation: Any) -> Any:
    if isinstance(space, gymnasium.spaces.Dict):
        return {name: _cast_observation(part, observation[name]) for name, part in space.spaces.items()}
    dtype = jnp.int32 if isinstance(space, gymnasium.spaces.Discrete) else space.dtype
    return jnp.reshape(jnp.asarray(observation, dtype), space.shape)


def _probe(env: Any, params: Any, limit: int, steps: int) -> tuple[Any, Any, Any]:
    """Elementwise minimum, maximum and "always a whole number" of the observations on random steps of whole episodes."""
    shapes = _state_shapes("", env, params)
    observation_shapes = jax.eval_shape(lambda: env.reset_env(jax.random.key(0), params)[0])

    def merge(seen: Any, observation: Any) -> Any:
        low, high, whole = seen
        values = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), observation)
        return (
            jax.tree.map(jnp.minimum, low, values),
            jax.tree.map(jnp.maximum, high, values),
            jax.tree.map(lambda w, v: w & (v == jnp.round(v)), whole, values),
        )

    def step(carry: Any, key: PRNGKeyArray) -> tuple[Any, None]:
        state, over, time, seen = carry
        act, move, fresh = jax.random.split(key, 3)
        first, start = env.reset_env(fresh, params)
        state = jax.tree.map(lambda new, old: jnp.where(over, new, old), _cast_state(shapes, start), state)
        time = jnp.where(over, 0, time) + 1
        seen = jax.tree.map(lambda new, old: jnp.where(over, new, old), merge(seen, first), seen)
        observation, state, _, done, _ = env.step_env(move, state, env.action_space(params).sample(act), params)
        state = _cast_state(shapes, state)
        over = jnp.reshape(jnp.asarray(_terminated(env, params, state, done), jnp.bool_), ()) | (time >= limit)
        return (state, over, time, merge(seen, observation)), None

    def run(key: PRNGKeyArray) -> Any:
        nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)  # never acted on: the first iteration resets
        low = jax.tree.map(lambda x: jnp.full(x.shape, jnp.inf), observation_shapes)
        seen = (low, jax.tree.map(jnp.negative, low), jax.tree.map(lambda x: jnp.ones(x.shape, jnp.bool_), observation_shapes))
        carry = (nothing, jnp.ones((), jnp.bool_), jnp.zeros((), jnp.int32), seen)
        return jax.lax.scan(step, carry, jax.random.split(key, -(-steps // _PROBE_ENVS)))[0][3]

    low, high, whole = jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(0), _PROBE_ENVS))
    over = lambda join, values: jax.tree.map(lambda x: join(np.asarray(x), axis=0), values)  # noqa: E731
    return over(np.min, low), over(np.max, high), over(np.all, whole)
