import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from unseen.environments.adapters.host_spaces import adapt, adapt_action, blank, infer, stack
from unseen.errors import UserError

shapes = hnp.array_shapes(min_dims=0, max_dims=3, max_side=3)
sizes = st.lists(st.integers(1, 5), min_size=1, max_size=4)
boxes = st.builds(
    lambda shape, dtype: spaces.Box(0, 100, shape, dtype), shapes, st.sampled_from([np.float32, np.float64, np.uint8, np.int64, np.int32])
)
discretes = st.builds(lambda n, start: spaces.Discrete(n, start=start), st.integers(1, 9), st.integers(-5, 5))
multis = st.builds(lambda nvec, start: spaces.MultiDiscrete(nvec, start=[start] * len(nvec)), sizes, st.integers(-5, 5))
binaries = st.builds(spaces.MultiBinary, st.integers(1, 4))
leaves = boxes | discretes | multis | binaries
names = st.text("abc", min_size=1, max_size=3)
trees = st.recursive(leaves, lambda inner: st.dictionaries(names, inner, min_size=1, max_size=3).map(spaces.Dict), max_leaves=6)


def flat(value, path=()):
    if isinstance(value, dict):
        return {k: v for name, part in value.items() for k, v in flat(part, (*path, name)).items()}
    return {".".join(path): value}


@settings(max_examples=100, deadline=None)
@given(space=trees, seed=st.integers(0, 1000))
def test_values_keep_their_meaning_and_lie_in_the_adapted_space(space, seed):
    space.seed(seed)
    adapted = adapt(space, "it")
    value = space.sample()
    read = adapted.read(value)
    assert blank_like(read, blank(adapted.space))
    parts = flat(adapted.space.spaces if isinstance(adapted.space, spaces.Dict) else adapted.space)
    raw_spaces = flat_spaces(space)
    for path, raw in flat(value).items():
        ours = read[path] if isinstance(read, dict) else read
        start = getattr(raw_spaces[path], "start", 0)
        np.testing.assert_array_equal(ours, (np.asarray(raw) - start).astype(ours.dtype))
        assert parts[path].contains(int(ours) if isinstance(parts[path], spaces.Discrete) else ours)
        assert ours.dtype.itemsize <= 4
    assert adapted.dropped == ()


def flat_spaces(space, path=()):
    if isinstance(space, spaces.Dict):
        return {k: v for name, part in space.spaces.items() for k, v in flat_spaces(part, (*path, name)).items()}
    return {".".join(path): space}


def blank_like(value, other):
    ours, theirs = flat(value), flat(other)
    return {k: (v.shape, v.dtype) for k, v in ours.items()} == {k: (v.shape, v.dtype) for k, v in theirs.items()}


@settings(max_examples=100, deadline=None)
@given(space=boxes | discretes | multis | binaries, seed=st.integers(0, 1000))
def test_every_adapted_action_is_one_of_the_environments(space, seed):
    adapted, to_env = adapt_action(space, "it")
    adapted.seed(seed)
    assert space.contains(to_env(adapted.sample()))


def test_the_first_action_is_number_zero():
    assert adapt_action(spaces.Discrete(3, start=7), "it")[1](np.int32(0)) == 7
    assert adapt_action(spaces.MultiDiscrete([2, 2], start=[4, 5]), "it")[1](np.array([0, 1])).tolist() == [4, 6]


@pytest.mark.parametrize(
    "space",
    [
        spaces.Text(5),
        spaces.Graph(spaces.Box(0, 1), None),
        spaces.Sequence(spaces.Discrete(2)),
        spaces.Tuple([spaces.Discrete(2)]),
        spaces.OneOf([spaces.Discrete(2)]),
    ],
    ids=lambda space: type(space).__name__,
)
def test_other_spaces_are_refused_by_name(space):
    for wrapped, where in [(space, "it"), (spaces.Dict({"a": spaces.Dict({"b": space, "c": spaces.Discrete(2)})}), r"it\['a'\]\['b'\]")]:
        if isinstance(space, spaces.Text) and wrapped is not space:
            assert adapt(wrapped, "it").dropped == ("a.b (text)",)
            continue
        with pytest.raises(UserError, match=rf"^{where} is a {type(space).__name__} space; allowed") as caught:
            adapt(wrapped, "it")
        assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=r"allowed: Discrete, Box"):
        adapt_action(space, "it")


def test_nothing_left_to_read():
    with pytest.raises(UserError, match=r"left out: note \(text\)"):
        adapt(spaces.Dict({"note": spaces.Text(5)}), "it")


@pytest.mark.parametrize(
    ("value", "space"),
    [
        (True, spaces.Discrete(2)),
        (np.bool_(False), spaces.Discrete(2)),
        (np.array([True, False]), spaces.MultiBinary((2,))),
        (3, spaces.Box(-np.inf, np.inf, (), np.float32)),
        ([[1.5, 2.0]], spaces.Box(-np.inf, np.inf, (1, 2), np.float32)),
    ],
)
def test_inferred_spaces_hold_the_value(value, space):
    assert infer(value, "it") == space
    read = adapt(space, "it").read(value)
    np.testing.assert_array_equal(read, value)


@pytest.mark.parametrize("value", ["far", None, 1j, [[1], [2, 3]]])
def test_signals_that_are_no_numbers_are_refused(value):
    with pytest.raises(UserError, match="must be a number"):
        infer(value, "signal 'goal'")


@given(shape=shapes, other=shapes)
def test_a_value_of_another_shape_is_refused(shape, other):
    read = adapt(spaces.Box(0, 1, shape), "it").read
    if shape == other:
        assert read(np.zeros(other)).shape == shape
    else:
        with pytest.raises(UserError, match="where its space says"):
            read(np.zeros(other))


def test_stack_makes_fresh_arrays():
    row = {"a": np.zeros(2)}
    batch = stack([row, row])
    row["a"][:] = 1
    assert batch["a"].tolist() == [[0, 0], [0, 0]]
