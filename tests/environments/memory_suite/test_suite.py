"""The suite by name: 13 tasks in two embodiments, one-line errors, bits that repeat, and evaluation keys that training never uses."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quickly import jit

import unseen
from unseen.environments import make, names
from unseen.environments.memory_suite import suite
from unseen.environments.navigation import HeavenHell
from unseen.errors import UserError
from unseen.experiments.policy import ACTING
from unseen.experiments.run import EVALUATION

# §1.3, in the order of its table; released names have underscores.
RELEASED = (
    "arbitrary_visuomotor_mapping",
    "continuous_recognition",
    "change_detection",
    "what_then_where",
    "spot_diff",
    "spot_diff_passive",
    "spot_diff_multi",
    "spot_diff_motion",
    "visible_goal_with_buildings",
    "invisible_goal_with_buildings",
    "invisible_goal_empty_arena",
    "explore_goal_locations",
    "transitive_inference",
)
FAMILIES = ("continuous-recognition", "spot-diff-passive", "invisible-goal-empty-arena", "transitive-inference")


def test_the_thirteen_tasks_are_registered_in_both_embodiments() -> None:
    tasks = [name.replace("_", "-") for name in RELEASED]
    assert list(suite.TASKS) == tasks
    for prefix in ("memory", "memory-fp"):
        assert [name for name in names() if name.startswith(f"{prefix}/")] == sorted(f"{prefix}/{task}" for task in tasks)
    for task in tasks:
        assert suite.task(task).name == task
        for prefix in ("memory", "memory-fp"):
            environment = make(f"{prefix}/{task}")
            assert environment.name == f"{prefix}/{task}"
            assert len(environment.action_names) == environment.action_space().n
            assert environment == make(f"{prefix}/{task}")
            assert hash(environment) == hash(make(f"{prefix}/{task}"))


# ---- mistakes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("memory/spot-dif", {}, "did you mean 'memory/spot-diff'?"),
        ("memory-fp/what-then-were", {}, "did you mean 'memory-fp/what-then-where'?"),
        ("memory/spot_diff_motion", {}, "did you mean 'memory/spot-diff-motion'?"),
        ("memory/spot-diff", {"widht": 64}, "unknown option of memory/spot-diff 'widht'"),
        ("memory-fp/spot-diff", {"widht": 64}, "did you mean 'width'?"),
        ("memory-fp/spot-diff", {"name": "spot-diff-multi"}, "unknown option of memory-fp/spot-diff 'name'"),
        ("memory-fp/spot-diff", {"photographs": "."}, "memory-fp/spot-diff takes no photographs"),
        ("memory-fp/change-detection", {"mnist": "."}, "memory-fp/change-detection takes no mnist"),
    ],
)
def test_mistakes_are_one_line_errors(name: str, options: dict, says: str) -> None:
    with pytest.raises(UserError) as caught:
        make(name, **options)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_task_or_level_is_answered_with_the_nearest() -> None:
    with pytest.raises(UserError, match="unknown task of the memory suite 'spot-dif'; did you mean 'spot-diff'\\?"):
        suite.task("spot-dif")
    for name, level, nearest in (
        ("memory/change-detection", "holdout_extrapolat", "holdout_extrapolate"),
        ("memory-fp/change-detection", "holdout_trian", "holdout_train"),
        ("memory/spot-diff", "holdout_smal", "holdout_small"),
        ("memory-fp/spot-diff", "trainsmall", "train_small"),
        ("memory/transitive-inference", "interpolat", "interpolate"),
        ("memory-fp/transitive-inference", "extrapolat", "extrapolate"),
        ("memory/explore-goal-locations", "train-large", "train_large"),
        ("memory-fp/explore-goal-locations", "holdout_larg", "holdout_large"),
    ):
        with pytest.raises(UserError) as caught:
            make(name).references(level)
        assert str(caught.value) == f"unknown level of {name} {level!r}; did you mean {nearest!r}?"


@pytest.mark.parametrize("task", FAMILIES)
@pytest.mark.parametrize("option", ["width", "height"])
def test_pictures_out_of_range_are_refused(task: str, option: str) -> None:
    least = 64 if task == "continuous-recognition" else 16
    for value in (least, 512):
        made = make(f"memory-fp/{task}", **{option: value})
        assert made.observation_space().shape[option == "width"] == value
    for value in (least - 1, 513, 0, -96):
        with pytest.raises(UserError) as caught:
            make(f"memory-fp/{task}", **{option: value})
        assert str(caught.value) == f"memory-fp/{task}: {option}={value} is not allowed; give a whole number from {least} to 512"


def test_a_missing_folder_or_file_of_stimuli_is_one_line() -> None:
    """When the environment is made, and not when the first picture is painted."""
    for name, option in (("continuous-recognition", "photographs"), ("what-then-where", "mnist")):
        with pytest.raises(UserError) as caught:
            make(f"memory-fp/{name}", **{option: "no/such/place"})
        assert "no/such/place" in str(caught.value)
        assert "\n" not in str(caught.value)


# ---- bits that repeat --------------------------------------------------------------------------------------------------


@lru_cache
def first(task: str) -> Any:
    """(environment, parameters, compiled reset, compiled step) of the compact embodiment."""
    environment = make(f"memory/{task}")
    return environment, environment.levels["train"][0][1], jit(environment.reset), jit(environment.step)


@pytest.mark.parametrize("task", FAMILIES)
def test_same_key_and_actions_give_the_same_bits_alone_and_in_a_batch(task: str) -> None:
    """Twelve steps of four copies at once, twice, and of each step by step."""
    environment, params, reset, step = first(task)
    actions = np.random.default_rng(0).integers(0, environment.action_space().n, (4, 12)).astype(np.int32)
    keys = jax.random.split(jax.random.key(31), 4)

    @jit
    @jax.vmap
    def run(key: Any, actions: Any) -> Any:
        k_reset, k_steps = jax.random.split(key)
        observation, state = environment.reset(k_reset, params)

        def advance(state: Any, inputs: Any) -> Any:
            step = environment.step(inputs[0], state, inputs[1], params)
            return step.state, (step.observation, step.reward, step.terminated)

        return observation, jax.lax.scan(advance, state, (jax.random.split(k_steps, 12), actions))[1]

    begun, steps = run(keys, actions)
    same(run(keys, actions), (begun, steps))
    for copy in range(4):
        k_reset, k_steps = jax.random.split(keys[copy])
        observation, state = reset(k_reset, params)
        same(observation, begun[copy])
        for t, key in enumerate(jax.random.split(k_steps, 12)):
            after = step(key, state, actions[copy, t], params)
            same((after.observation, after.reward, after.terminated), jax.tree.map(lambda x, at=(copy, t): x[at], steps))
            state = after.state


@pytest.mark.parametrize("task", FAMILIES)
def test_compiled_and_plain_steps_agree(task: str) -> None:
    environment, params, reset, step = first(task)
    _, state = reset(jax.random.key(32), params)
    for action in (0, 1):
        compiled = step(jax.random.key(0), state, jnp.int32(action), params)
        same(environment.step(jax.random.key(0), state, jnp.int32(action), params), compiled)
        state = compiled.state


def same(found: Any, expected: Any) -> None:
    jax.tree.map(np.testing.assert_array_equal, found, expected)


@pytest.mark.parametrize("task", FAMILIES)
def test_what_the_compact_agent_sees_can_be_drawn(task: str) -> None:
    """A card of the observation alone, and a picture of the state: RGB bytes of one size, not all of one colour."""
    environment, params, reset, _ = first(task)
    observation, state = reset(jax.random.key(33), params)
    card = environment.picture(observation, params)
    for picture in (card, environment.draw(state, params)):
        assert picture.dtype == np.uint8
        assert picture.shape[2] == 3
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 1
    assert environment.picture(np.asarray(reset(jax.random.key(34), params)[0]), params).shape == card.shape


# ---- evaluation never sees what training saw ----------------------------------------------------------------------------


def test_no_evaluation_key_is_a_training_key_by_construction() -> None:
    """Training starts from the plain keys of its seeds, whose first word is 0; a folded key's is not."""
    seeds = jnp.arange(200_000, dtype=jnp.uint32)
    plain = np.asarray(jax.random.key_data(jax.vmap(jax.random.key)(seeds)))
    assert not plain[:, 0].any()
    fold = jax.vmap(lambda seed, constant: jax.random.fold_in(jax.random.key(seed), constant), (0, None))
    for constant in (EVALUATION, ACTING):  # of evaluation, of a policy's own draws
        folded = np.asarray(jax.random.key_data(fold(seeds, jnp.uint32(constant))))
        assert folded[:, 0].all()
        assert len(np.unique(folded, axis=0)) == len(seeds)


class Logged(HeavenHell):
    """Writes down the key of every reset."""

    log: set[tuple[int, ...]] = set()  # noqa: RUF012

    def reset(self, key: Any, params: Any = ()) -> Any:
        jax.debug.callback(lambda words: Logged.log.add(tuple(np.asarray(words).tolist())), jax.random.key_data(key))
        return super().reset(key, params)


@pytest.mark.slow
def test_resets_of_evaluation_are_never_those_of_training(tmp_path: Any) -> None:
    """Two seeds trained for a while, from a pool of levels that is redrawn, then evaluated twice; every reset's key was written down."""
    experiment = unseen.Experiment(
        "heavenhell-1",
        agent=unseen.Agent(memory=unseen.FeedForward(), embedding=8, head=(8,)),
        algorithm=unseen.PPO(environments=4, rollout=16, epochs=1, minibatches=1),
        env_steps=2_048,
        report_every=2_048,
        seeds=2,
        reset_pool=64,
    )
    Logged.log = set()
    run = unseen.train(experiment, tmp_path / "run", environment=Logged(1))
    jax.effects_barrier()
    training, evaluations = Logged.log, []
    for _ in range(2):
        Logged.log = set()
        for seed in (0, 1):
            run.episodes(20, seed=seed)
        jax.effects_barrier()
        evaluations.append(Logged.log)
    assert len(training) > 2 * 64
    assert len(evaluations[0]) == 40
    assert evaluations[0] == evaluations[1]  # fixed
    assert not training & evaluations[0]


# ---- one draw, two embodiments ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", suite.TASKS)
def test_the_same_key_gives_the_same_episode_in_both(task: str) -> None:
    """What is random of an episode; where a gaze starts is not part of it."""
    compact, seen = make(f"memory/{task}"), make(f"memory-fp/{task}")
    key = jax.random.key(51)
    level = compact.levels["holdout_interpolate"][0][1], seen.levels["holdout_interpolate"][0][1]
    states = [jit(lambda k, e=e, p=p: e.reset(k, p)[1])(key) for e, p in zip((compact, seen), level, strict=True)]
    part = next(name for name in ("drawn", "land", "blocks", "chains") if hasattr(states[0], name))
    for a, b in zip(*(jax.tree.leaves(getattr(state, part)) for state in states), strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b), err_msg=part)


@pytest.mark.parametrize("make_it", [suite.task, suite.compact, suite.first_person])
def test_an_unknown_task_names_the_nearest(make_it: Any) -> None:
    with pytest.raises(UserError, match="did you mean 'spot-diff'"):
        make_it("spot-dif")


@pytest.mark.parametrize("task", suite.TASKS)
@pytest.mark.parametrize(("width", "height"), [(64, 64), (64, 512)])
def test_pictures_of_the_smallest_sizes_can_be_painted(task: str, width: int, height: int) -> None:
    environment = make(f"memory-fp/{task}", width=width, height=height)
    shape = jax.eval_shape(environment.reset, jax.random.key(0), environment.levels["train"][0][1])[0]
    assert shape.shape == (height, width, 3)


@pytest.mark.parametrize("task", suite.TASKS)
@pytest.mark.parametrize("embodiment", ["memory", "memory-fp"])
def test_a_recorded_state_can_be_drawn(embodiment: str, task: str) -> None:
    """Reports draw states whose leaves are NumPy arrays; the picture is that of the state itself."""
    environment = make(f"{embodiment}/{task}")
    params = environment.levels["train"][0][1]
    state = jit(lambda key: environment.reset(key, params)[1])(jax.random.key(9))
    picture = environment.draw(jax.tree.map(np.asarray, state), params)
    np.testing.assert_array_equal(picture, environment.draw(state, params))


@pytest.mark.slow
@pytest.mark.parametrize("task", FAMILIES)
def test_an_agent_is_trained_evaluated_on_a_held_out_level_and_reported(task: str, tmp_path: Any) -> None:
    """The whole way of a user, with the normalised score and the pictures of an episode in the report."""
    agent = unseen.Agent(memory=unseen.GRU(8), embedding=8, head=(8,))
    algorithm = unseen.PPO(environments=8, rollout=32, minibatches=2, epochs=1)
    run = unseen.train(unseen.Experiment(f"memory/{task}", agent, algorithm, env_steps=600, seeds=1, reset_pool=64), tmp_path / "run")
    row = run.evaluate(level="holdout_extrapolate", episodes=2).row(0, named=True)
    marks = run.environment.references("holdout_extrapolate")
    assert row["normalised"] == pytest.approx(marks.normalised(row["return"]))
    unseen.report([run], tmp_path / "report.html")
    assert "data:image/png" in (tmp_path / "report.html").read_text("utf-8")
