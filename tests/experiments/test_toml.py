"""Experiments as TOML: what is written is read back, and a mistake is one line that names the field."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small import small

import unseen
from unseen.agents.settings import CPC, GRU, LRU, LSTM, MEM, Agent, Critic, FeedForward, GTrXL, Memax, Reconstruction, Residual
from unseen.errors import UserError
from unseen.experiments.toml import from_toml, to_toml

names = st.text("abcdefghijklmnop-_0123456789", min_size=1, max_size=12)
positive = st.floats(1e-6, 10.0)
sizes = st.integers(1, 512)
working = st.one_of(st.just(FeedForward()), st.builds(GRU, sizes), st.builds(LSTM, sizes), st.builds(LRU, sizes))
memories = st.one_of(
    working,
    st.builds(GTrXL, sizes, layers=st.integers(1, 9)),
    st.builds(Memax, names, sizes),
    st.builds(MEM, working, capacity=sizes, gradient=st.sampled_from(["jumpy", "query", "through"])),
)
auxiliaries = st.one_of(
    st.none(),
    st.builds(CPC, sizes, positive),
    st.builds(Reconstruction, positive, st.sampled_from(["embedding", "both"])),
)
critics = st.builds(Critic, st.booleans(), st.lists(names, max_size=3).map(tuple), st.booleans(), st.booleans())
agents = st.builds(
    Agent,
    memory=memories,
    critic=critics,
    embedding=sizes,
    head=st.lists(sizes, max_size=3).map(tuple),
    activation=st.sampled_from(["relu", "tanh", "leaky_relu", "silu"]),
    previous_action=st.booleans(),
    previous_reward=st.booleans(),
    pictures=st.none() | st.builds(Residual, st.sampled_from([1, 2]), st.lists(sizes, min_size=1, max_size=3).map(tuple)),
    auxiliary=auxiliaries,
    box_policy=st.sampled_from(["clipped", "tanh", "unbounded"]),
)
algorithms = st.one_of(
    st.builds(
        unseen.A2C,
        episodes_per_update=sizes,
        discount=st.floats(0, 1),
        estimator=st.sampled_from(["td", "n-step", "td-lambda", "monte-carlo"]),
        max_gradient_norm=st.none() | positive,
        time_limit=st.sampled_from(["bootstrap", "terminate"]),
    ),
    st.builds(unseen.VTrace, environments=sizes, lag=st.integers(0, 9), reward_clip=st.none() | positive),
    st.builds(unseen.PPO, environments=sizes, learning_rate=positive, anneal_steps=st.none() | sizes, value_clip=st.none() | positive),
)
options = st.dictionaries(names, st.integers(-5, 5) | st.booleans() | names, max_size=3)
experiments = st.builds(
    unseen.Experiment, names, agents, algorithms, env_steps=sizes, seeds=sizes, level=names, environment_options=options
)


# beartype, which checks the constructors here, samples with `random`.
@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisDeprecationWarning")
@settings(max_examples=150, deadline=None)
@given(experiments)
def test_what_is_written_is_read_back(experiment):
    assert from_toml(to_toml(experiment)) == experiment


GOOD = to_toml(small())
BAD = [
    ("env_steps = 600", "env_step = 600", r"unknown setting 'env_step'; did you mean 'env_steps'\?"),
    ("env_steps = 600", 'env_steps = "many"', "env_steps = 'many'; it must be of type int"),
    ("env_steps = 600", "env_steps = true", "env_steps = True; it must be of type int"),
    ("seeds = 1", "seeds = 1.5", r"seeds = 1\.5; it must be of type int"),
    ("environment = ", "environmant = ", "did you mean 'environment'"),
    ('kind = "GRU"', 'kind = "GRUU"', r"unknown agent\.memory\.kind 'GRUU'; did you mean 'GRU'"),
    ('kind = "GRU"', "", "agent.memory must be a table with a kind"),
    ('kind = "A2C"', 'kind = "SAC"', "unknown algorithm.kind 'SAC'"),
    ("size = 8", "sise = 8", r"did you mean 'agent\.memory\.size'"),
    ('activation = "relu"', 'activation = "rellu"', r"unknown value of agent\.activation 'rellu'; did you mean 'relu'"),
    ('estimator = "td"', 'estimator = "tdd"', "did you mean 'td'"),
    ("signals = []", 'signals = "heaven"', "agent.critic.signals = 'heaven'; it must be a list"),
    ("history = true", "history = 1", "agent.critic.history = 1; it must be of type bool"),
    ("discount = 0.99", 'discount = "high"', "algorithm.discount = 'high'; it must be of type float"),
    ("head = [\n    8,\n]", "head = [8.5]", "it must be of type int"),
    ("seeds = 1", "seeds = = 1", "is not valid TOML"),
]


@pytest.mark.parametrize(("old", "new", "message"), BAD)
def test_a_mistake_in_a_file_is_named(old, new, message):
    assert old in GOOD, GOOD
    with pytest.raises(UserError, match=message) as error:
        from_toml(GOOD.replace(old, new, 1))
    assert "\n" not in str(error.value)


def test_what_was_added_later_is_left_out_where_it_changes_nothing():
    assert "previous_reward" not in GOOD
    assert "auxiliary" not in GOOD
    assert "previous_reward = true" in to_toml(small(agent=Agent(previous_reward=True)))


def test_a_missing_environment_is_named():
    with pytest.raises(UserError, match="setting environment is missing"):
        from_toml("env_steps = 5")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"env_steps": 0}, "env_steps = 0; it must be a whole number from 1"),
        ({"env_steps": 2**31}, "env_steps = 2147483648"),
        ({"seeds": 0}, "seeds = 0"),
        ({"seeds": True}, "seeds = True"),
        ({"first_seed": -1}, "first_seed = -1"),
        ({"report_every": -5}, "report_every = -5"),
        ({"reset_pool": 10}, "reset_pool = 10; it must be 0"),
        ({"agent": Agent(embedding=0)}, "agent.embedding = 0"),
        ({"agent": Agent(memory=GRU(0))}, r"agent\.memory\.size = 0"),
    ],
)
def test_a_value_out_of_range_is_named_before_anything_is_compiled(changes, message):
    with pytest.raises(UserError, match=message):
        small(**changes).check()
