"""Encoders, heads and critics for every kind of space; what cannot be built is refused by name."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces

import unseen
from unseen.agents.actor import Seen
from unseen.agents.build import build
from unseen.agents.encoders import encoder
from unseen.agents.normalise import Running
from unseen.errors import UserError

SPACES = {
    "discrete": spaces.Discrete(5, start=2),
    "several": spaces.MultiDiscrete([3, 4], start=[1, 0]),
    "vector": spaces.Box(-1.0, 1.0, (3,)),
    "bits": spaces.MultiBinary(4),
    "picture": spaces.Box(0, 255, (12, 10, 3), np.uint8),
    "large picture": spaces.Box(0, 255, (64, 64, 3), np.uint8),
    "dict": spaces.Dict({"a": spaces.Discrete(3), "b": spaces.Box(-1.0, 1.0, (2,))}),
}


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("leading", [(2,), (3, 2)])
def test_encoders_keep_leading_axes_and_tell_values_apart(name, leading):
    space = SPACES[name]
    encode = encoder(space, 16, activation="tanh", precision="float32", key=jax.random.key(0))
    space.seed(0)
    count = int(np.prod(leading))
    samples = [space.sample() for _ in range(count)]
    batch = jax.tree.map(lambda *xs: jnp.asarray(np.stack(xs)).reshape(*leading, *np.shape(xs[0])), *samples)
    encoded = encode(batch)
    assert encoded.shape == (*leading, encode.features)
    rows = np.asarray(encoded).reshape(count, -1)
    for i in range(count):
        one = encode(jax.tree.map(lambda x: jnp.asarray(x)[None], samples[i]))
        np.testing.assert_allclose(one[0], rows[i], rtol=1e-5, atol=1e-5)


def test_the_first_category_is_the_spaces_own():
    encode = encoder(spaces.Discrete(3, start=7), 4, activation="relu", precision="float32", key=jax.random.key(0))
    np.testing.assert_array_equal(encode(jnp.array([7, 9])), encode.tables[0][np.array([0, 2])])


def test_unsupported_spaces_are_named():
    with pytest.raises(UserError, match="Text"):
        encoder(spaces.Text(5), 4, activation="relu", precision="float32", key=jax.random.key(0))
    with pytest.raises(UserError, match="Dict"):
        built(action=spaces.Dict({"a": spaces.Discrete(2)}), agent=unseen.Agent(previous_action=False))
    with pytest.raises(UserError, match="unbounded"):
        built(action=spaces.Box(-np.inf, np.inf, (1,)))


def built(agent=None, observation=None, action=None, signals=None):
    small = agent or unseen.Agent(memory=unseen.GRU(6), embedding=4, head=(5,))
    return build(small, observation or spaces.Discrete(3), action or spaces.Discrete(2), signals or {}, jax.random.key(1))


@pytest.mark.parametrize(
    ("space", "allowed"),
    [
        (spaces.Discrete(3, start=-1), {-1, 0, 1}),
        (spaces.MultiDiscrete([2, 3]), None),
        (spaces.Box(np.array([-2.0, 0.0], np.float32), np.array([2.0, 1.0], np.float32)), None),
    ],
)
@pytest.mark.parametrize("form", ["clipped", "tanh"])
def test_actions_lie_in_their_space(space, allowed, form):
    agent = unseen.Agent(memory=unseen.GRU(6), embedding=4, head=(5,), box_policy=form)
    head = built(agent, action=space).actor.head
    distribution = head(jnp.ones((50, 6)) * 3.0)
    drawn = head.to_environment(distribution.sample(3.0 * head.noise(jax.random.key(0), (50,))))
    for action in np.asarray(drawn):
        assert space.contains(action.astype(space.dtype))
    if allowed:
        assert set(np.asarray(drawn).tolist()) == allowed


def test_what_the_actor_sees_has_no_field_for_signals():
    assert Seen._fields == ("observation", "previous_action", "start", "action_mask", "previous_reward")


def test_the_value_depends_on_the_signal_of_its_own_time():
    agent = unseen.Agent(memory=unseen.GRU(6), embedding=4, head=(5,), critic=unseen.Critic(signals=("s",)))
    model = built(agent, signals={"s": spaces.Box(-1.0, 1.0, (2,))})
    key = jax.random.key(0)
    seen = Seen(jax.random.randint(key, (4, 2), 0, 3), jnp.zeros((4, 2), jnp.int32), jnp.zeros((4, 2), bool), None)

    def value(signal, t):
        return model.critic.unroll(model.critic.initial(2), seen, {"s": signal})[1][t].sum()

    signal = jax.random.normal(key, (4, 2, 2))
    for t in range(4):  # the value at t depends on the signal at t alone
        moved = np.abs(jax.grad(value)(signal, t)).max(axis=(1, 2)) > 0
        assert moved.tolist() == [k == t for k in range(4)]


def test_critics_of_every_kind_and_the_ones_that_make_no_sense():
    signals = {"s": spaces.Discrete(3)}
    for critic in (
        unseen.Critic(),
        unseen.Critic(signals=("s",)),
        unseen.Critic(history=False, signals=("s",)),
        unseen.Critic(shared_trunk=True),
    ):
        model = built(unseen.Agent(memory=unseen.GRU(6), embedding=4, head=(5,), critic=critic), signals=signals)
        assert (model.critic.trunk is None) == (critic.shared_trunk or not critic.history)
    with pytest.raises(UserError, match=r"did you mean 's'|allowed: s"):
        built(unseen.Agent(critic=unseen.Critic(signals=("x",))), signals=signals)
    with pytest.raises(UserError, match="sees nothing"):
        built(unseen.Agent(critic=unseen.Critic(history=False)))
    with pytest.raises(UserError, match="shared_trunk"):
        built(unseen.Agent(critic=unseen.Critic(history=False, signals=("s",), shared_trunk=True)), signals=signals)


def test_running_statistics_are_those_of_all_the_data():
    rng = np.random.default_rng(0)
    x = rng.normal(3.0, 2.0, size=(4, 25, 3)).astype(np.float32)
    weight = rng.random((4, 25)) < 0.7
    running = Running.fresh((3,))
    for part, w in zip(x, weight, strict=True):
        running = running.updated(jnp.asarray(part), jnp.asarray(w))
    kept = x[weight]
    np.testing.assert_allclose(running.mean, kept.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(running.deviation, kept.std(axis=0, ddof=1), rtol=1e-4)
    np.testing.assert_allclose(
        running.normalised(jnp.asarray(kept)), np.clip((kept - kept.mean(0)) / kept.std(0, ddof=1), -10, 10), atol=1e-3
    )
