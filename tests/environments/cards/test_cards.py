"""The memory games step for step beside the popgym package, on the same shuffled packs, and the exact reference scores."""

from __future__ import annotations

import importlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unseen.environments import make, names
from unseen.environments.cards import deck
from unseen.errors import UserError

DIFFICULTIES = ("Easy", "Medium", "Hard")


def theirs(game: str, difficulty: str) -> Any:
    pytest.importorskip("popgym.envs", reason="the popgym package is the oracle here")
    camel = "".join(part.capitalize() for part in game.split("-"))
    module = importlib.import_module(f"popgym.envs.{game.replace('-', '_')}")
    return getattr(module, camel + difficulty)()


def stepper(environment: Any) -> Any:
    return jax.jit(lambda state, action: environment.step(jax.random.key(0), state, action))


def told(environment: Any) -> Any:
    return jax.jit(lambda state: environment.signals(jax.random.key(0), state))


def dealt_order(pack: Any) -> np.ndarray:
    """The cards of popgym's deck in the order in which it deals them: from the end."""
    return np.asarray(pack.idx)[::-1].copy()


@pytest.mark.parametrize("difficulty", DIFFICULTIES)
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("game", ["higher-lower", "repeat-first", "repeat-previous"])
def test_one_pack_games_equal_popgym(game: str, difficulty: str, seed: int) -> None:
    peer, ours = theirs(game, difficulty), make(f"{game}-{difficulty.lower()}")
    observed, _ = peer.reset(seed=seed)
    what = "ranks" if game == "higher-lower" else "suits"
    observation, state = ours.begin(jnp.asarray(deck.printed(ours.decks, what)[dealt_order(peer.deck)]))
    step, signals, draw = stepper(ours), told(ours), np.random.default_rng(seed)
    assert int(observation) == observed
    for t in range(ours.cards - 1):
        known = signals(state)
        share = peer.get_state() if game == "higher-lower" else peer.get_state()[1]
        np.testing.assert_allclose(known["counts" if game == "higher-lower" else "dealt"], share, atol=1e-6)
        if game == "repeat-first":
            assert int(known["first"]) == int(peer.get_state()[0])
        action = int(draw.integers(ours.action_space().n))
        observed, reward, terminated, truncated, _ = peer.step(action)
        after = step(state, jnp.int32(action))
        state = after.state
        assert int(after.observation) == observed
        assert float(after.reward) == pytest.approx(reward, abs=1e-7)
        assert bool(after.terminated) == terminated == (t == ours.cards - 2)
        assert not truncated


@pytest.mark.parametrize("difficulty", DIFFICULTIES)
@pytest.mark.parametrize("seed", [0, 1])
def test_count_recall_equals_popgym(difficulty: str, seed: int) -> None:
    peer, ours = theirs("count-recall", difficulty), make(f"count-recall-{difficulty.lower()}")
    observed, _ = peer.reset(seed=seed)
    printed = deck.printed(ours.decks, ours.kind)
    observation, state = ours.begin(*(jnp.asarray(printed[dealt_order(pack)]) for pack in (peer.value_deck, peer.query_deck)))
    step, signals, draw = stepper(ours), told(ours), np.random.default_rng(seed)
    np.testing.assert_array_equal(observation, observed)
    for t in range(ours.cards - 1):
        known, (counts, asked, last) = signals(state), peer.get_state()
        np.testing.assert_allclose(known["counts"], counts, atol=1e-6)
        np.testing.assert_allclose(known["asked"], asked, atol=1e-6)
        assert float(known["frequency"][0]) == pytest.approx(counts[last[1]])
        # The right answer every second time: random ones are hardly ever right.
        action = int(known["expert"]) if t % 2 else int(draw.integers(ours.action_space().n))
        observed, reward, terminated, _, _ = peer.step(action)
        after = step(state, jnp.int32(action))
        state = after.state
        np.testing.assert_array_equal(after.observation, observed)
        assert float(after.reward) == pytest.approx(reward, abs=1e-7)
        assert t % 2 == 0 or reward > 0
        assert bool(after.terminated) == terminated == (t == ours.cards - 2)


@pytest.mark.parametrize("difficulty", DIFFICULTIES)
@pytest.mark.parametrize("skill", [0.0, 0.3, 0.9])
def test_concentration_equals_popgym(difficulty: str, skill: float) -> None:
    """A player who turns a random card, or with probability `skill` the match of the one that waits, until all are up."""
    peer, ours = theirs("concentration", difficulty), make(f"concentration-{difficulty.lower()}")
    observed, _ = peer.reset(seed=3)
    values = deck.printed(ours.decks, ours.kind)[np.asarray(peer.deck.idx)]
    observation, state = ours.begin(jnp.asarray(values))
    step, signals, draw = stepper(ours), told(ours), np.random.default_rng(7)
    np.testing.assert_array_equal(observation, observed)
    ended = False
    for t in range(ours.horizon()):
        action = int(draw.integers(ours.cards))
        waiting, up = int(state.waiting), np.asarray(state.up)
        matching = [c for c in range(ours.cards) if not up[c] and c != waiting and waiting < ours.cards and values[c] == values[waiting]]
        if matching and draw.random() < skill:
            action = matching[0]
        elif draw.random() < skill and waiting == ours.cards and not up.all():
            action = int(np.argmin(up))
        observed, reward, terminated, truncated, _ = peer.step(action)
        after = step(state, jnp.int32(action))
        state = after.state
        np.testing.assert_array_equal(after.observation, observed)
        assert float(after.reward) == pytest.approx(reward, abs=1e-7)
        assert bool(after.terminated) == terminated
        assert truncated == (t == ours.horizon() - 1)
        known, (their_values, face_up, first, second) = signals(state), peer.get_state()
        np.testing.assert_array_equal(known["values"], their_values)
        np.testing.assert_array_equal(np.asarray(known["state"])[ours.cards : 2 * ours.cards], face_up)
        # popgym writes its face-down code where there is no second card, which is a card's place too; here that is N.
        assert int(known["first"]) == first
        assert int(known["second"]) == (second if len(peer.last_in_play_idx) == 2 else ours.cards)
        ended = ended or terminated
        if terminated:
            break
    assert ended or skill < 0.9  # the good player finishes


@pytest.mark.parametrize("difficulty", DIFFICULTIES)
def test_cartpole_equals_popgym(difficulty: str) -> None:
    peer, ours = _cartpole(difficulty), make(f"position-cartpole-{difficulty.lower()}")
    step = stepper(ours)
    for seed in range(20):
        observed, _ = peer.reset(seed=seed)
        state = jnp.asarray(peer.get_state())
        draw = np.random.default_rng(seed)
        for t in range(ours.horizon()):
            # Mostly against the fall, so that some episodes last.
            x, v, angle, w = (float(value) for value in state)
            upright = angle + 0.3 * w + 0.05 * x + 0.1 * v > 0
            action = int(upright) if draw.random() < 0.9 else int(draw.integers(2))
            observed, reward, terminated, truncated, _ = peer.step(action)
            after = step(state, jnp.int32(action))
            np.testing.assert_allclose(after.observation, observed, atol=1e-5)
            assert float(after.reward) == pytest.approx(reward, rel=1e-6)
            assert bool(after.terminated) == terminated
            assert truncated == (t == ours.horizon() - 1)
            state = jnp.asarray(peer.get_state())  # each step from the peer's state: rounding cannot add up
            if terminated:
                break


def _cartpole(difficulty: str) -> Any:
    module = pytest.importorskip("popgym.envs.position_only_cartpole", reason="the popgym package is the oracle here")
    return getattr(module, f"PositionOnlyCartPole{difficulty}")()


def scores(environment: Any, player: Any, episodes: int = 4_000, discount: float = 1.0) -> tuple[float, float]:
    """Mean return of player(observation, signals, state, key) -> action, and its standard error."""

    def episode(key: Any) -> Any:
        k_reset, k_steps = jax.random.split(key)
        observation, state = environment.reset(k_reset)

        def advance(carry: Any, key: Any) -> Any:
            observation, state, on = carry
            k_act, k_step = jax.random.split(key)
            action = player(observation, environment.signals(k_step, state), state, k_act)
            step = environment.step(k_step, state, action)
            return (step.observation, step.state, on & ~step.terminated), jnp.where(on, step.reward, 0.0)

        keys = jax.random.split(k_steps, environment.horizon())
        rewards = jax.lax.scan(advance, (observation, state, jnp.bool_(True)), keys)[1]
        return jnp.sum(rewards * discount ** jnp.arange(len(keys), dtype=jnp.float32))

    total = np.asarray(jax.jit(lambda keys: jax.lax.map(episode, keys, batch_size=500))(jax.random.split(jax.random.key(1), episodes)))
    return float(total.mean()), float(total.std(ddof=1) / np.sqrt(episodes))


def test_reference_scores_are_those_of_their_players() -> None:
    higher, first = make("higher-lower-easy"), make("repeat-first-easy")
    previous, recall = make("repeat-previous-easy"), make("count-recall-easy")
    hard = make("count-recall-hard")

    def two_answers(same: int, other: int) -> Any:
        return lambda o, i, s, k: jnp.where(o[0] == o[1], same, other).astype(jnp.int32)

    def uniform(observation: Any, signals: Any, state: Any, key: Any) -> Any:
        return jax.random.randint(key, (), 0, actions)

    for environment in (higher, first, previous, recall, hard):
        actions = int(environment.action_space().n)
        mean, error = scores(environment, uniform, 2_000)
        assert abs(mean - environment.references("train").random.mean) < 4 * error

    def check(environment: Any, which: str, player: Any) -> None:
        mean, error = scores(environment, player)
        assert abs(mean - getattr(environment.references("train"), which).mean) < max(4 * error, 1e-6)

    check(higher, "memoryless", lambda o, i, s, k: jnp.where(o <= 6, 0, 1))
    check(higher, "oracle", lambda o, i, s, k: jnp.where(deck.at(s.deck, s.dealt) > o, 0, 1))
    check(higher, "perfect_memory", lambda o, i, s, k: i["expert"])
    check(first, "memoryless", lambda o, i, s, k: o)
    check(first, "oracle", lambda o, i, s, k: i["expert"])
    check(previous, "memoryless", lambda o, i, s, k: (o + 1) % 4)
    check(previous, "oracle", lambda o, i, s, k: jnp.minimum(i["target"], 3))
    check(recall, "oracle", lambda o, i, s, k: i["expert"])
    for environment in (recall, make("count-recall-medium"), hard):
        steps = environment.cards - 1
        same, other, _ = environment.likeliest(np.full(steps, 1.0 / steps))
        check(environment, "memoryless", two_answers(same, other))
        for worse in ((same, other + 1), (same, max(other - 1, 0)), (same + 1, other)):
            assert scores(environment, two_answers(*worse))[0] < environment.references("train").memoryless.mean + 0.002


def test_discounted_reference_scores_are_those_of_their_players() -> None:
    first, previous = make("repeat-first-easy"), make("repeat-previous-easy")
    recall, higher = make("count-recall-easy"), make("higher-lower-easy")
    weights = deck.DISCOUNT ** np.arange(recall.cards - 1)
    same, other, _ = recall.likeliest(weights / weights.sum())
    for environment, which, player in (
        (first, "memoryless", lambda o, i, s, k: o),
        (first, "oracle", lambda o, i, s, k: i["expert"]),
        (previous, "memoryless", lambda o, i, s, k: (o + 1) % 4),
        (previous, "perfect_memory", lambda o, i, s, k: jnp.minimum(i["target"], 3)),
        (recall, "memoryless", lambda o, i, s, k: jnp.where(o[0] == o[1], same, other).astype(jnp.int32)),
        (higher, "memoryless", lambda o, i, s, k: jnp.where(o <= 6, 0, 1)),
        (higher, "oracle", lambda o, i, s, k: jnp.where(deck.at(s.deck, s.dealt) > o, 0, 1)),
        (higher, "perfect_memory", lambda o, i, s, k: i["expert"]),
    ):
        discount, score = environment.references("train").discounted[which]
        mean, error = scores(environment, player, discount=discount)
        assert abs(mean - score.mean) < max(4 * error, 1e-5), (environment.name, which)


@pytest.mark.parametrize("name", [n for n in names() if n.rpartition("-")[2] in ("easy", "medium", "hard")])
def test_every_player_has_a_score_with_and_without_a_discount(name: str) -> None:
    found = make(name).references("train")
    players = {p for p in ("random", "memoryless", "perfect_memory", "oracle") if getattr(found, p)}
    assert {"random", "perfect_memory", "oracle"} <= players == set(found.discounted)
    order = [getattr(found, p).mean for p in ("random", "memoryless", "perfect_memory", "oracle") if p in players]
    assert order == sorted(order)


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("higher-lower-easy", {"decks": 2}, "decks"),
        ("count-recall-easy", {"kindd": "suits"}, "kindd"),
        ("position-cartpole-easy", {"time_limit": 3}, "time_limit"),
    ],
)
def test_a_difficulty_fixes_its_options(name: str, options: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        make(name, **options)


def test_what_cannot_be_played_is_refused() -> None:
    from unseen.environments.cards import Concentration, HigherLower, RepeatPrevious

    for wrong in (
        lambda: HigherLower(0),
        lambda: RepeatPrevious(1, 52),
        lambda: Concentration(1, "suits"),
        lambda: deck.require_print("count-recall", "kind", "colors", list(deck.NAMES)),  # a Literal: checked before, here
    ):
        with pytest.raises(UserError, match="is not allowed"):
            wrong()
    assert HigherLower(5).name == "higher-lower-5"
    assert RepeatPrevious(1, 5).name == "repeat-previous-1-5"
