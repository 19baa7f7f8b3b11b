"""What a memory recalled: which step wrote what was read, what recordings keep of it, and whether it told about the return."""

from __future__ import annotations

from dataclasses import replace

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import outside  # noqa: F401 (registers its environments)
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small import small

import unseen
from unseen.agents.actor import Seen
from unseen.agents.build import build
from unseen.agents.memory.contract import READ, Recalling
from unseen.agents.memory.episodic import Episodic, readout
from unseen.agents.memory.gru import GRU
from unseen.data import Episodes
from unseen.errors import UserError
from unseen.experiments import recording
from unseen.experiments.policy import Policy
from unseen.experiments.recalled import AGE, LIVE, OBSERVATION, reads, with_recalled, written_at
from unseen.learning import ppo
from unseen.learning.learner import make_learner
from unseen.signals import Residual, rank

AGENT = unseen.Agent(memory=unseen.MEM(unseen.GRU(8), capacity=5, neighbours=3, key_size=4, every=2), embedding=8, head=(8,))


def agent_of(environment, settings=AGENT):
    params = environment.levels["train"][0][1]
    spaces = environment.observation_space(params), environment.action_space(params), dict(environment.signal_spaces(params))
    return build(settings, *spaces, jax.random.key(7))


# ---- the formula ------------------------------------------------------------------------------------------------------------


@given(st.integers(1, 7), st.integers(1, 5), st.integers(0, 60))
def test_the_step_that_wrote_a_slot_is_the_one_a_ring_of_lists_holds(capacity, every, time):
    ring: list[int | None] = [None] * capacity
    writes = 0
    for t in range(time):  # a step reads before it writes, so step `time` has not written yet
        if t % every == 0:
            ring[writes % capacity] = t
            writes += 1
    live = np.array([step is not None for step in ring])
    found = written_at(np.arange(capacity), live, np.asarray(time), capacity=capacity, every=every)
    assert found.tolist() == [-1 if step is None else step for step in ring]


def test_by_hand():
    """A ring of three slots, every second step written: at step 9 the writes of steps 0, 2, 4, 6, 8 have gone to slots 0, 1, 2, 0, 1."""
    slots, live = np.array([[0, 1, 2]] * 3), np.array([[False] * 3, [True, False, False], [True] * 3])
    found = written_at(slots, live, np.array([0, 1, 9]), capacity=3, every=2)
    assert found.tolist() == [[-1, -1, -1], [0, -1, -1], [6, 8, 4]]


@pytest.mark.parametrize(("capacity", "every"), [(20, 1), (4, 1), (4, 3), (1, 1)])
def test_the_memory_itself_holds_what_that_step_showed(capacity, every):
    """Inputs that say their own step and lane, through the real ring, wrapped round and begun anew in one lane."""
    working = GRU(2 + readout("state", 2, 3), 3, key=jax.random.key(0))
    memory = Episodic(2, working, capacity=capacity, neighbours=capacity, key_size=2, every=every, key=jax.random.key(1))
    assert isinstance(memory, Recalling)
    carry, time, step = memory.initial(2), np.zeros(2, int), jax.jit(lambda *given: memory.step(*given))
    for t in range(14):
        start = np.array([t == 0, t in (0, 6)])
        time = np.where(start, 0, time)
        x = jnp.asarray(np.stack([time, [10.0, 20.0]], axis=1), jnp.float32)
        before = carry.slots.content[..., : memory.inputs]
        carry, _, records = step(carry, x, jnp.asarray(start))
        read = {name: np.asarray(records[name]) for name in READ}
        columns = reads(memory, read, time)
        for lane in range(2):
            for k in range(capacity):
                written = columns["step"][lane, k]
                assert (written >= 0) == read["live"][lane, k]
                if written >= 0:
                    assert before[lane, read["slot"][lane, k]].tolist() == [written, 10.0 * (lane + 1)]
        assert (columns["step"] >= 0).sum(axis=1).tolist() == [min(capacity, -(-s // every)) for s in time]
        time = time + 1


def test_a_memory_that_recalls_nothing_has_no_reads():
    assert reads(GRU(2, 3, key=jax.random.key(0)), {}, np.zeros(1, int)) == {}
    assert not isinstance(GRU(2, 3, key=jax.random.key(0)), Recalling)


# ---- recordings -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recorded():
    environment = unseen.make("repeat-first-easy")
    agent = agent_of(environment)
    return environment, agent, recording.episodes(environment, agent, 3, level="train", key=jax.random.key(2), greedy=False)


def test_a_recording_says_what_was_recalled(recorded):
    """Played again from what was recorded: the slots that are read hold what the agent saw at the steps that the recording names."""
    _, agent, episodes = recorded
    assert episodes.lengths.min() > 2 * 5 + 1  # the ring has wrapped round
    memory = agent.actor.trunk.memory
    step = jax.jit(lambda *given: memory.step(*given))
    for episode in episodes:
        previous = np.concatenate([[0], episode.actions[:-1]]).astype(np.int32)
        seen = Seen(jnp.asarray(episode.observation[:-1]), jnp.asarray(previous), jnp.arange(len(episode)) == 0, None)
        xs = np.asarray(agent.actor.trunk.embed(seen))
        carry = memory.initial(1)
        for t in range(len(episode)):
            stored = np.asarray(carry.slots.content[0, :, : memory.inputs])
            carry, _, records = step(carry, jnp.asarray(xs[t : t + 1]), jnp.asarray([t == 0]))
            live = np.asarray(records["live"][0])
            steps, weights = episode.reads["step"][t], episode.reads["weight"][t]
            assert (steps >= 0).tolist() == live.tolist()
            np.testing.assert_allclose(weights, np.asarray(records["weight"][0]), atol=1e-4)
            np.testing.assert_allclose(stored[np.asarray(records["slot"][0])][live], xs[steps[live]], atol=1e-6)
            assert weights.sum() == pytest.approx(1.0 if t else 0.0, abs=1e-5)


def test_reads_come_back_from_a_file(recorded, tmp_path):
    *_, episodes = recorded
    episodes.write(tmp_path / "episodes.parquet")
    back = Episodes.read(tmp_path / "episodes.parquet")
    assert back.identical(episodes)
    assert back.reads["step"].dtype == np.int32
    assert {"read.step[0]", "read.weight[2]"} <= set(episodes.to_polars().columns)


def test_agents_that_recall_nothing_have_no_reads():
    environment = unseen.make("repeat-first-easy")
    agent = agent_of(environment, unseen.Agent(memory=unseen.GRU(8), embedding=8, head=(8,)))
    assert recording.episodes(environment, agent, 2, level="train", key=jax.random.key(2), greedy=True).reads == {}


def test_external_environments_are_recorded_likewise():
    experiment = replace(small("ppo", agent=AGENT), environment="gym:Masked-v0")
    world = gymnasium.make("Masked-v0").unwrapped
    agent = build(AGENT, world.observation_space, world.action_space, dict(world.signal_spaces), jax.random.key(0))
    episodes = recording.external_episodes(experiment, Policy(agent, 0), 4, greedy=False)
    assert episodes.lengths.tolist() == [7] * 4
    live = (episodes.reads["step"] >= 0).sum(axis=1).reshape(4, 7)
    assert live.tolist() == [[0, 1, 1, 2, 2, 3, 3]] * 4  # writes at steps 0, 2, 4, three neighbours
    assert set(np.unique(episodes.reads["step"]).tolist()) == {-1, 0, 2, 4}
    assert Policy(agent, 0).draw(np.zeros((1, 2), np.float32), Policy(agent, 0).initial(1), np.ones(1, bool))[1].shape == (1,)


def test_rollouts_of_training_carry_no_records(monkeypatch):
    """Nothing is added to what the learner's program holds on to."""
    held = []
    monkeypatch.setattr(ppo, "learn", lambda settings, state, slots, *rest: held.append(slots) or state)
    learner = make_learner(unseen.make("repeat-first-easy"), AGENT, unseen.PPO(environments=4, rollout=4, minibatches=1))
    jax.eval_shape(learner.update, jax.eval_shape(learner.init, jax.random.key(0)))
    (slots,) = held
    assert slots.recalled is None
    assert slots.reward.shape == (4, 4)


# ---- as signals -------------------------------------------------------------------------------------------------------------


def made_up(step, weight, observations=None, signals=None):
    steps = len(step)
    return Episodes.from_list(
        [
            {
                "observations": observations if observations is not None else np.arange(10.0, 11.0 + steps)[:, None],
                "actions": np.zeros(steps, np.int32),
                "rewards": np.zeros(steps),
                "terminated": True,
                "truncated": False,
                "reads": {"step": np.asarray(step, np.int32), "weight": np.asarray(weight, np.float32)},
                "signals": signals or {},
            }
        ]
    )


STEPS, WEIGHTS = [[-1, -1], [0, -1], [0, 1], [2, 0]], [[0, 0], [1, 0], [0.4, 0.6], [0.5, 0.5]]


def test_the_observation_with_the_largest_weight_becomes_a_signal():
    both = with_recalled(Episodes.concatenate([made_up(STEPS, WEIGHTS), made_up(STEPS[:3], WEIGHTS[:3])]))
    first, second = both
    assert first.signals[OBSERVATION][:, 0].tolist() == [0, 10, 11, 12, 0]
    assert first.signals[AGE].tolist() == [0, 1, 1, 1, 0]
    assert first.signals[LIVE].tolist() == [False, True, True, True, False]
    assert second.signals[OBSERVATION][:, 0].tolist() == [0, 10, 11, 0]  # its own episode's rows
    assert both.reads["step"].tolist() == STEPS + STEPS[:3]


def test_observations_with_names_are_signals_of_their_own():
    named = {"eye": np.arange(5, dtype=np.uint8), "word": list("abcde")}
    found = with_recalled(made_up(STEPS, WEIGHTS, named))
    assert set(found.signals) == {f"{OBSERVATION}.eye", f"{OBSERVATION}.word", AGE, LIVE}
    assert found.signals[f"{OBSERVATION}.eye"].tolist() == [0, 0, 1, 2, 0]
    assert found.signals[f"{OBSERVATION}.eye"].dtype == np.uint8
    assert found.signals[f"{OBSERVATION}.word"].tolist() == ["", "a", "b", "c", ""]


def test_what_cannot_be_is_refused():
    with pytest.raises(UserError, match=r"no reads called 'step' and 'weight'; record them with run\.episodes"):
        with_recalled(replace(made_up(STEPS, WEIGHTS), reads={}))
    with pytest.raises(UserError, match=r"episode 0, step 2 is 0, 2; .* allowed are -1 .* and 0 to 1"):
        with_recalled(made_up([*STEPS[:2], [0, 2], STEPS[3]], WEIGHTS))
    with pytest.raises(UserError, match="signal called 'recalled_age' already"):
        with_recalled(made_up(STEPS, WEIGHTS, signals={AGE: np.zeros(5)}))
    with pytest.raises(UserError, match=r"reads\['weight'\] \(4, 1\); both must be"):
        with_recalled(made_up(STEPS, [row[:1] for row in WEIGHTS]))


def told(carries, seed, episodes=150, steps=7):
    """Which of the first two steps decides the return is never shown. From step 4 on that step is recalled; or, in the other case, step
    2 or 3, about which nobody cares: it is independent of the return given any history (the other one of the first two would not be:
    beside a history that knows both, it says which one decides).
    """
    rng = np.random.default_rng(seed)
    listed = []
    for _ in range(episodes):
        observations = rng.normal(size=(steps + 1, 2))
        decides, idle = rng.integers(2, size=2)
        step = np.full((steps, 2), -1, np.int32)
        step[4:, 0], step[4:, 1] = (decides, 2 + idle) if carries else (2 + idle, decides)
        listed.append(
            {
                "observations": observations,
                "actions": rng.integers(0, 2, steps),
                "rewards": np.where(np.arange(steps) == steps - 1, observations[decides].sum() + 0.1 * rng.normal(), 0.0),
                "terminated": True,
                "truncated": False,
                "reads": {"step": step, "weight": np.where(step >= 0, [[0.7, 0.3]] * steps, 0).astype(np.float32)},
            }
        )
    return with_recalled(Episodes.from_list(listed))


@pytest.mark.slow
def test_the_criteria_tell_whether_what_was_recalled_told_about_the_return():
    quick = Residual(regressor="linear", draws=99, landmarks=64)

    def row(carries, seed):
        return rank(told(carries, seed), (OBSERVATION,), settings=replace(quick, seed=seed), most=0, seed=seed).row(OBSERVATION)

    carrying, idle = ([row(carries, seed) for seed in range(4)] for carries in (True, False))
    assert all(found.p == 0.01 and found.verdict == "informative" for found in carrying)
    assert sum(found.verdict == "nothing found" for found in idle) >= 3  # one in twenty is found by chance
    assert min(found.normalised for found in carrying) > 4 * max(abs(found.normalised) for found in idle)
