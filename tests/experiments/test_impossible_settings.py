"""Settings that no run could honour: each is one line that names the field and the value, and nothing is compiled or written."""

from __future__ import annotations

import copy
import math
import typing
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from small import TINY, small

import unseen
from unseen.cli import main
from unseen.experiments import train as training
from unseen.experiments.settings import _RANGES
from unseen.learning.guard import RANGES
from unseen.learning.learner import make_learner

HUGE = 2**31

# (field, value): what Python may hand over, and the command line too. "ppo." stands for the algorithm being PPO.
BOTH: list[tuple[str, Any]] = [
    ("env_steps", 0),
    ("env_steps", -5),
    ("env_steps", HUGE),
    ("env_steps", 1.5),
    ("env_steps", "many"),
    ("seeds", 0),
    ("seeds", 100_001),
    ("first_seed", -1),
    ("first_seed", HUGE),
    ("report_every", -1),
    ("reset_pool", -1),
    ("reset_pool", 10),
    ("reset_pool", 10_000_001),
    ("agent.embedding", 0),
    ("agent.embedding", 65_537),
    ("agent.embedding", "wide"),
    ("agent.head", (-3,)),
    ("agent.head", (64, 0)),
    ("agent.head", (65_537,)),
    ("agent.head", ("x",)),
    ("agent.activation", "rellu"),
    ("agent.box_policy", "clip"),
    ("agent.precision", "float16"),
    ("agent.policy_scale", -1.0),
    ("agent.policy_scale", math.nan),
    ("agent.policy_scale", math.inf),
    ("agent.critic.signals", ("heaven", "heaven")),
    ("agent.previous_action", "perhaps"),
    ("algorithm.episodes_per_update", 0),
    ("algorithm.episodes_per_update", 2**20 + 1),
    ("algorithm.discount", 1.5),
    ("algorithm.discount", -0.1),
    ("algorithm.discount", math.nan),
    ("algorithm.estimator", "tdd"),
    ("algorithm.time_limit", "ignore"),
    ("algorithm.n", 0),
    ("algorithm.n", HUGE),
    ("algorithm.lambda_", 1.01),
    ("algorithm.learning_rate", 0.0),
    ("algorithm.learning_rate", -1e-3),
    ("algorithm.learning_rate", math.inf),
    ("algorithm.learning_rate", "fast"),
    ("algorithm.adam_epsilon", 0.0),
    ("algorithm.max_gradient_norm", 0.0),
    ("algorithm.max_gradient_norm", -1.0),
    ("algorithm.entropy", -0.1),
    ("algorithm.entropy", math.inf),
    ("algorithm.entropy_end", -0.1),
    ("algorithm.entropy_steps", 0),
    ("algorithm.entropy_steps", HUGE),
    ("algorithm.target_period", 0),
    ("algorithm.target_period", HUGE),
    ("ppo.environments", 0),
    ("ppo.environments", 2**20 + 1),
    ("ppo.rollout", 0),
    ("ppo.rollout", 2**20 + 1),
    ("ppo.epochs", 0),
    ("ppo.minibatches", 0),
    ("ppo.minibatches", 3),
    ("ppo.clip", 0.0),
    ("ppo.clip", math.nan),
    ("ppo.value_clip", -0.2),
    ("ppo.anneal_steps", 0),
    ("ppo.anneal_steps", HUGE),
    ("ppo.adam_epsilon", -1e-8),
    ("ppo.max_gradient_norm", math.inf),
    ("ppo.value_weight", -0.5),
    ("ppo.carries", "store"),
    ("vtrace.lag", -1),
    ("vtrace.lag", 1_001),
    ("vtrace.clip_ratio", 0.0),
    ("vtrace.clip_trace", -1.0),
    ("vtrace.clip_policy", math.nan),
    ("vtrace.optimiser", "sgd"),
    ("vtrace.rms_decay", 1.5),
    ("vtrace.rms_epsilon", 0.0),
    ("vtrace.reward_clip", 0.0),
]
PYTHON: list[tuple[str, Any]] = [
    ("environment", ""),
    ("environment", None),
    ("level", ""),
    ("level", 3),
    ("seeds", True),
    ("seeds", None),
    ("seeds", np.int64(4)),
    ("environment_options", None),
    ("environment_options", {"n": None}),
    ("environment_options", {"n": np.float32(0.5)}),
    ("agent", unseen.PPO()),
    ("agent.memory", "gru"),
    ("agent.memory", unseen.GRU),
    ("agent.memory", None),
    ("agent.memory.size", 0),
    ("agent.memory.size", 65_537),
    ("agent.memory.size", 8.0),
    ("agent.critic", None),
    ("agent.critic.history", 1),
    ("agent.critic.signals", "heaven"),
    ("agent.critic.signals", ("",)),
    ("agent.critic.signals", (3,)),
    ("agent.head", 64),
    ("agent.activation", None),
    ("agent.normalise_observations", "yes"),
    ("algorithm", "ppo"),
    ("algorithm.estimator", None),
    ("algorithm.discount", None),
    ("algorithm.discount", "0.9"),
    ("algorithm.discount", True),
    ("algorithm.learning_rate", 10**400),
    ("algorithm.discount_gradient", 1),
    ("agent.auxiliary", "cpc"),
    ("agent.auxiliary", unseen.CPC),
    ("agent.pictures", 2),
    ("agent.previous_reward", 1),
    ("ppo.normalise_returns", "no"),
    ("ppo.clip", None),
]


def names(rows):
    return [f"{field}={value!r}"[:60] for field, value in rows]


def in_settings(field: str) -> str:
    """The field without the algorithm's name."""
    return field.replace("ppo.", "algorithm.").replace("vtrace.", "algorithm.")


def broken(field: str, value: Any) -> unseen.Experiment:
    """A good experiment with one wrong value; past the constructors, which the suite has check their arguments."""
    experiment = small(field.split(".")[0] if field.startswith(("ppo.", "vtrace.")) else "a2c")
    at: Any = experiment
    *path, last = in_settings(field).split(".")
    for name in path:
        inner = copy.copy(getattr(at, name))
        object.__setattr__(at, name, inner)
        at = inner
    object.__setattr__(at, last, value)
    return experiment


def shown(value: Any) -> list[str]:
    """What of the value a message must show."""
    if isinstance(value, tuple):
        return [str(entry) for entry in value]
    if isinstance(value, dict):
        return [word for name, entry in value.items() for word in (name, str(entry))]
    return [type(value).__name__ if isinstance(value, unseen.PPO) else str(value)[:50]]


@pytest.fixture
def no_engine(monkeypatch):
    def engine(*_):
        raise AssertionError("the experiment was taken for a good one")

    monkeypatch.setattr(training, "_engine", engine)


@pytest.mark.parametrize(("field", "value"), BOTH + PYTHON, ids=names(BOTH + PYTHON))
def test_python_is_told_in_one_line_before_anything_is_compiled(field, value, tmp_path, no_engine):
    with pytest.raises(unseen.UserError) as error:
        unseen.train(broken(field, value), tmp_path / "run")
    message = str(error.value)
    assert in_settings(field) in message
    assert all(word in message for word in shown(value))
    assert "\n" not in message
    assert len(message) < 300
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("field", "value"), BOTH, ids=names(BOTH))
def test_the_command_line_says_it_in_one_line_with_exit_code_two(field, value, tmp_path, no_engine, capsys):
    chosen = field.split(".")[0]
    ppo = ["--algorithm", chosen] if chosen in ("ppo", "vtrace") else []
    field = in_settings(field)
    flag = "--" + field.replace("_", "-")
    words = shown(value)
    with pytest.raises(SystemExit) as stop:
        main(["train", "heavenhell-1", *ppo, flag, *words, "--out", str(tmp_path / "run")])
    out, err = capsys.readouterr()
    assert stop.value.code == 2
    assert field in err or flag in err
    assert all(word in err for word in words)
    assert "Traceback" not in out + err
    assert err.strip().count("\n") == 0
    assert not (tmp_path / "run").exists()


def test_what_the_rows_change_is_a_good_experiment(tmp_path, no_engine):
    for algorithm in ("a2c", "ppo", "vtrace"):
        with pytest.raises(AssertionError, match="taken for a good one"):
            unseen.train(small(algorithm), tmp_path / "run")
    with pytest.raises(AssertionError, match="taken for a good one"):
        main(["train", "heavenhell-1", "--out", str(tmp_path / "run")])


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("algorithm.estimator", "tdd", "did you mean 'td'?"),
        ("agent.activation", "rellu", "did you mean 'relu'?"),
        ("env_steps", 1e6, "it must be of type int, as in 1000000"),
        ("agent.memory", unseen.GRU, "one of FeedForward(), GRU(), LSTM()"),
        ("agent.critic.signals", "heaven", "it must be a tuple, as in ('heaven',)"),
        ("agent.head", 64, "it must be a tuple, as in (64,)"),
        ("agent.memory", unseen.GTrXL(8, heads=3), "agent.memory.heads = 3; it must be a divisor of agent.memory.size = 8"),
        ("ppo.minibatches", 3, "a divisor of environments = 4"),
        ("agent.critic.signals", ("heaven", "heaven"), "it must name 'heaven' once"),
        ("agent", unseen.Agent(auxiliary=unseen.CPC(steps=0)), "agent.auxiliary.steps = 0; it must be a whole number from 1"),
        ("agent", unseen.Agent(auxiliary=unseen.CPC(weight=-1.0)), "agent.auxiliary.weight = -1.0; it must be at least 0"),
        ("ppo.rollout", 0, "algorithm.rollout = 0"),
        ("agent", unseen.Agent(pictures=unseen.Residual(3)), "agent.pictures.blocks = 3; it must be 1 or 2"),
        ("algorithm", unseen.PPO(environments=2**14, rollout=2**14), "their product must be at most 134,217,728"),
    ],
)
def test_the_fix_is_told(field, value, told):
    with pytest.raises(unseen.UserError) as error:
        broken(field, value).check()
    assert told in str(error.value)


@pytest.mark.parametrize(
    "kind",
    [
        unseen.Experiment,
        unseen.Agent,
        unseen.GRU,
        unseen.LSTM,
        unseen.LRU,
        unseen.MEM,
        unseen.GTrXL,
        unseen.Memax,
        unseen.CPC,
        unseen.Reconstruction,
        unseen.Residual,
        unseen.A2C,
        unseen.PPO,
        unseen.VTrace,
    ],
)
def test_every_number_has_a_range(kind):
    for name, hint in typing.get_type_hints(kind).items():
        if hint in (int, float, str) or {int, float} & set(typing.get_args(hint)):
            assert name in RANGES | _RANGES, f"{kind.__name__}.{name}"


@pytest.mark.parametrize(("field", "value"), [("agent.head", [8]), ("agent.head", ()), ("algorithm.discount", 1), ("reset_pool", 64)])
def test_what_can_be_honoured_is_not_refused(field, value):
    broken(field, value).check()


def test_a_prediction_beyond_the_unroll_is_refused():
    far = small("ppo", agent=unseen.Agent(auxiliary=unseen.CPC(steps=16)))
    with pytest.raises(unseen.UserError, match=r"agent\.auxiliary\.steps = 16; it must be below algorithm\.rollout = 16"):
        far.check()
    small("ppo", agent=unseen.Agent(auxiliary=unseen.CPC(steps=15))).check()


def test_a_memory_shorter_than_an_episode_is_said_with_the_numbers(tmp_path):
    short = replace(
        small("ppo", env_steps=64), agent=replace(TINY, memory=unseen.MEM(unseen.LSTM(4), capacity=4, neighbours=2, key_size=4, every=2))
    )
    with pytest.warns(UserWarning, match=r"capacity = 4 with every = 2 holds the last 8 steps, and episodes of heavenhell-1 may last 100"):
        run = unseen.train(short, tmp_path / "run")
    assert any("capacity = 50 holds all" in note for note in run.notes())
    long = replace(short, agent=replace(short.agent, memory=replace(short.agent.memory, capacity=50)))
    assert not any("capacity" in note for note in unseen.train(long, tmp_path / "long").notes())


def test_those_who_bypass_the_experiment_are_told_too():
    for field, value in (("algorithm.estimator", "tdd"), ("ppo.carries", "store"), ("algorithm.n", 0)):
        experiment = broken(field, value)
        with pytest.raises(unseen.UserError, match=str(value)):
            make_learner(unseen.make("heavenhell-1"), experiment.agent, experiment.algorithm)


@pytest.mark.parametrize("episodes", [0, -1, 10_000_001, True])
def test_a_run_cannot_be_evaluated_on_no_episodes(episodes, tmp_path):
    from unseen.experiments.toml import to_toml
    from unseen.runs import RunDirectory

    RunDirectory.create(tmp_path, to_toml(small())).close()
    run = unseen.load(tmp_path)
    for act in (lambda: run.evaluate(episodes=episodes), lambda: run.episodes(episodes)):
        with pytest.raises(unseen.UserError, match=f"episodes = {episodes}; it must be a whole number from 1"):
            act()
