"""Histories weighed for some steps: for none it is the learner's own estimate, for all importance sampling."""

from __future__ import annotations

import numpy as np
import pytest

from unseen.errors import UserError
from unseen.outcomes import Columns, DRQLearner, ImportanceSampling, Transitions
from unseen.outcomes.functionals import Regions
from unseen.planning.histories import by_history

DISCOUNT = 0.9


def drawn(episodes: int, seed: int, steps: int = 6) -> tuple[dict, np.ndarray]:
    """What was done `back` steps ago pays now, and a state `x` that drifts by chance: (table, π_e(1) at every row)."""
    rng = np.random.default_rng(seed)
    p = rng.uniform(0.3, 0.7, (episodes, steps))
    done = (rng.random((episodes, steps)) < p).astype(int)
    x = rng.normal(size=(episodes, steps + 1)).cumsum(axis=1)
    rewards = x[:, :-1] + 0.5 * done - 1.0 * np.roll(done, 1, axis=1) * (np.arange(steps) > 0) + rng.normal(size=(episodes, steps))
    time = np.tile(np.arange(steps), (episodes, 1))
    columns = {
        "id": np.repeat(np.arange(episodes), steps),
        "t": time.ravel(),
        "x": x[:, :-1].ravel(),
        "left": (steps - time).astype(float).ravel(),
        "next_x": x[:, 1:].ravel(),
        "next_left": (steps - time - 1).astype(float).ravel(),
        "a": done.ravel(),
        "p1": p.ravel(),
        "p0": 1 - p.ravel(),
        "r": rewards.ravel(),
        "end": (time == steps - 1).ravel(),
    }
    return columns, np.where(time.ravel() % 2 == 0, 0.8, 0.1)


def fitted(columns, chance, state=("x", "left"), **how):
    data = Transitions.from_table(
        columns, id="id", time="t", state=list(state), next_state=[f"next_{name}" for name in state], action="a", reward="r",
        terminated="end", propensity={0: "p0", 1: "p1"}, actions=(0, 1),
    )  # fmt: skip
    both = np.stack([1 - chance, chance], axis=1)
    policy = Columns(both, np.append(both[1:], both[:1], axis=0), both[data.time == 0])
    usual = {"final": "linear", "initial_q": "linear", "behaviour": "logged"} | how
    return DRQLearner(DISCOUNT, **usual).fit(data, policy)


def everywhere(rows) -> np.ndarray:
    return np.ones((len(rows), 1), np.bool_)


CONTRAST = Regions(everywhere, np.array([[-1.0], [1.0]]), ("everywhere",), "1 - 0")


def test_without_histories_it_is_the_learners_own_estimate():
    learner = fitted(*drawn(300, 0))
    own, ours = learner.contrast(None, 1, 0), by_history(learner, CONTRAST, 0)
    assert ours.value == pytest.approx(own.value, abs=1e-10)
    assert ours.deviations == pytest.approx(own.deviations, abs=1e-10)


def test_whole_histories_are_the_recursion_written_out():
    learner = fitted(*drawn(40, 1))
    rows = learner.problem_.rows
    delta, q = (learner.by_row([getattr(fold, name) for fold in learner.folds_]) for name in ("delta", "q"))
    assert rows.logged is not None
    scores = []
    for i in range(len(rows)):
        weight, total, j = (1.0 if rows.actions[i] else -1.0) / rows.logged[i], 0.0, i
        while True:
            total += weight * delta[j]
            j += 1
            if j == len(rows) or rows.trajectory[j] != rows.trajectory[i]:
                break
            weight *= DISCOUNT * rows.policy[j, rows.actions[j]] / rows.logged[j]
        scores.append(q[i, 1] - q[i, 0] + total)
    assert by_history(learner, CONTRAST, None).value == pytest.approx([np.mean(scores)])
    assert by_history(learner, CONTRAST, 50).value == pytest.approx([np.mean(scores)])  # longer than any episode


def test_with_no_first_q_it_is_importance_sampling():
    """From first decisions only, Q(s, 1) weighed by π_e and Q(s, 0) likewise add up to the value."""
    columns, chance = drawn(200, 2)
    learner = fitted(columns, chance, initial_q="zero")
    rows = learner.problem_.rows
    begin = np.append(True, rows.trajectory[1:] != rows.trajectory[:-1])

    def value_of(action: int) -> float:
        sign = np.zeros((2, 1))
        sign[action] = 1.0
        at = by_history(
            learner, Regions(lambda some: (some.states[:, 1:] == 6) & np.ones((len(some), 1), bool), sign, ("first",), ""), None
        )
        return float(at.value[0])

    sampled = ImportanceSampling(DISCOUNT, method="per-decision", behaviour="logged")
    sampled.fit(learner.problem_.data, learner.problem_.policy)
    assert len(set(rows.policy[begin, 1])) == 1
    both = 0.2 * value_of(0) + 0.8 * value_of(1)
    assert both == pytest.approx(sampled.value().estimate)


def test_what_the_state_forgets_for_one_step_is_forgiven_from_one_step_on():
    """The state does not hold what was done before, which costs 1 now: 1 - 0 is worth 0.5 - 0.9 on all but the last step."""
    truth = 0.5 - DISCOUNT * 5 / 6
    none, one, whole = ([], [], [])
    for seed in range(5):
        learner = fitted(*drawn(400, 10 + seed))
        for found, steps in ((none, 0), (one, 1), (whole, None)):
            estimate = by_history(learner, CONTRAST, steps)
            found.append((float(estimate.value[0]) - truth, float(estimate.deviations[0])))
    error = np.sqrt(np.mean([e**2 for _, e in one]) / 5)
    assert abs(np.mean([gap for gap, _ in one])) < 3.5 * error
    assert abs(np.mean([gap for gap, _ in whole])) < 3.5 * np.sqrt(np.mean([e**2 for _, e in whole]) / 5)
    assert np.mean([gap for gap, _ in none]) > 0.5  # it sees 0.5 and not what it costs a step later
    assert np.mean([e for _, e in one]) < np.mean([e for _, e in whole])


def test_a_history_below_zero_is_refused():
    from stale_world import Stale, agent

    from unseen.planning.logged_worth import worth_from_logs
    from unseen.planning.play import evaluate

    log = evaluate(agent("random:0.5"), Stale(4, 2), 4)
    with pytest.raises(UserError, match="history = -1"):
        worth_from_logs(log, markov=lambda m: {"t": float(m.step)}, history=-1)
