import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings import simple

from unseen.data import Episodes, Transitions
from unseen.errors import UserError

LOG = {
    "patient": ["b", "b", "b", "a", "a", "c"],
    "day": [3, 4, 5, 0, 1, 9],
    "stage": ["II", "I", "II", "I", "III", "II"],
    "tumour": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
    "dose": ["high", "low", "low", "high", "low", "high"],
    "benefit": [0.5, 1.5, -1.0, 2.0, 0.0, 9.0],
    "died": [False, False, True, False, False, False],
    "p": [0.5, 0.25, 1.0, 0.5, 0.5, 0.5],
    "p_low": [0.5, 0.25, 1.0, 0.5, 0.5, 0.5],
    "p_high": [0.5, 0.75, 0.0, 0.5, 0.5, 0.5],
}
NAMES = {"id": "patient", "time": "day", "state": ["stage", "tumour"], "action": "dose", "reward": "benefit", "terminated": "died"}


def read(log=LOG, **changes):
    return Transitions.from_table(log, **{**NAMES, **changes})


def test_rows_become_transitions_and_dropped_ones_are_counted():
    data = read()
    assert data.dropped == 2  # the last rows of a and c neither end nor have a next state
    assert len(data) == 4
    assert data.ids.tolist() == ["b", "a", "c"]
    assert data.rows.tolist() == [0, 1, 2, 3]
    assert data.trajectory.tolist() == [0, 0, 0, 1]
    assert data.time.tolist() == [3, 4, 5, 0]
    assert data.action_labels == ("high", "low")
    assert data.actions.tolist() == [0, 1, 1, 0]
    assert data.rewards.tolist() == [0.5, 1.5, -1.0, 2.0]
    assert data.states.tolist() == [[1, 1], [0, 2], [1, 3], [0, 4]]
    assert data.next_states.tolist() == [[0, 2], [1, 3], [1, 3], [2, 5]]  # after termination: its own state
    assert data.terminated.tolist() == [False, False, True, False]
    assert data.starts.tolist() == [[1, 1], [0, 4], [1, 6]]  # c starts somewhere, though its only row was dropped
    assert [(c.name, c.kind, c.levels) for c in data.state_columns] == [
        ("stage", "categorical", ("I", "II", "III")),
        ("tumour", "numeric", ()),
    ]
    assert "4 of 3 trajectories, 2 dropped" in repr(data)


@given(st.permutations(range(6)))
@settings(deadline=None, max_examples=20)
def test_the_order_of_rows_does_not_matter(order):
    base, moved = read(), read(pl.DataFrame(LOG)[order])
    key = {name: i for i, name in enumerate(moved.ids.tolist())}
    for field in ("states", "actions", "rewards", "next_states", "terminated", "time"):
        for name in ("a", "b"):
            mine = getattr(base, field)[base.trajectory == base.ids.tolist().index(name)]
            np.testing.assert_array_equal(mine, getattr(moved, field)[moved.trajectory == key[name]])
    assert sorted(order[row] for row in moved.rows) == base.rows.tolist()  # row numbers are those of the table as given


def equal(a, b):
    return all(
        np.array_equal(getattr(a, f), getattr(b, f))
        for f in ("states", "actions", "rewards", "next_states", "terminated", "trajectory", "time", "rows", "starts")
    )


def test_every_kind_of_table_gives_the_same(tmp_path):
    frame = pl.DataFrame(LOG)
    frame.write_parquet(tmp_path / "log.parquet")
    frame.write_csv(tmp_path / "log.csv")
    typed = frame.with_columns(
        pl.col("stage").cast(pl.Enum(["I", "II", "III"])), pl.col("dose").cast(pl.Categorical), pl.col("died").cast(pl.Int8)
    )
    sources = [frame, frame.lazy(), typed, pd.DataFrame(LOG), pd.DataFrame(LOG).astype({"stage": object}), pa.table(LOG)]
    for source in [*sources, str(tmp_path / "log.parquet"), tmp_path / "log.csv"]:
        assert equal(read(source), read())


def test_queries_use_the_same_names_and_labels():
    data = read()
    frame = pd.DataFrame({"tumour": [7.5], "stage": ["III"], "extra": [0]})
    assert data.encode_states(frame).tolist() == [[2, 7.5]]
    assert data.encode_states({"stage": ["I", "II"], "tumour": [1, 2]}).tolist() == [[0, 1], [1, 2]]
    assert data.encode_actions(["low", "high"]).tolist() == [1, 0]
    assert data.encode_actions("low").tolist() == [1]
    assert data.encode_actions(np.array(["low"])).tolist() == [1]
    with pytest.raises(UserError, match=r"row 1, column 'stage': unknown level 'IV'; did you mean"):
        data.encode_states({"stage": ["I", "IV"], "tumour": [1, 2]})
    with pytest.raises(UserError, match=r"unknown column .* 'stage'"):
        data.encode_states({"stagge": ["I"], "tumour": [1]})
    with pytest.raises(UserError, match="row 0, column 'tumour': 'x' is not a number"):
        data.encode_states({"stage": ["I"], "tumour": ["x"]})
    with pytest.raises(UserError, match=r"row 1.*unknown action 'lo'; did you mean 'low'"):
        data.encode_actions(["low", "lo"])


@pytest.mark.parametrize(
    ("source", "kind"), [(pl.DataFrame(LOG), pl.DataFrame), (pd.DataFrame(LOG), pd.DataFrame), (pa.table(LOG), pa.Table)]
)
def test_states_decode_into_the_library_they_came_in(source, kind):
    data = read(source)
    decoded = data.decode_states(data.states)
    assert isinstance(decoded, kind)
    assert np.array_equal(data.encode_states(decoded), data.states)


@given(st.lists(st.tuples(st.sampled_from("xyz"), st.booleans(), st.integers(0, 3)), min_size=2, max_size=12))
@settings(deadline=None, max_examples=50)
def test_all_categorical_states_are_numbered(rows):
    log = {
        "id": [0] * len(rows),
        "t": range(len(rows)),
        "a": [0] * len(rows),
        "r": [0.0] * len(rows),
        "end": [False] * (len(rows) - 1) + [True],
        "word": [row[0] for row in rows],
        "flag": [row[1] for row in rows],
        "cell": [row[2] for row in rows],
    }
    kinds = {"word": "categorical", "flag": "categorical", "cell": "categorical"}
    data = Transitions.from_table(log, id="id", time="t", state=kinds, action="a", reward="r", terminated="end")
    levels = [sorted({row[i] for row in rows}) for i in range(3)]
    every = [(w, f, c) for w in levels[0] for f in levels[1] for c in levels[2]]
    assert data.n_states == len(every)
    assert [every[i] for i in data.state_index] == rows
    assert [every[i] for i in data.next_state_index] == [*rows[1:], rows[-1]]
    assert every[data.start_index[0]] == rows[0]
    assert data.decode_states(data.states)["cell"].to_list() == [row[2] for row in rows]


def test_numeric_states_have_no_number_and_the_error_says_how_to_get_one():
    data = read()
    with pytest.raises(UserError, match=r"'tumour' is numeric.*'categorical'"):
        _ = data.state_index
    with pytest.raises(UserError, match="'tumour' is numeric"):
        _ = data.n_states


def test_declared_levels_of_an_enum_are_kept():
    frame = pl.DataFrame(LOG).with_columns(pl.col("stage").cast(pl.Enum(["III", "II", "I", "0"])))
    data = read(frame, state="stage")
    assert data.n_states == 4
    assert data.states[:, 0].tolist() == [1, 2, 1, 2]


def test_next_state_columns_keep_rows_that_would_be_dropped():
    log = {**LOG, "stage_next": ["I", "II", None, "III", None, "I"], "tumour_next": [2.0, 3.0, None, 5.0, None, 7.0]}
    data = read(log, next_state=["stage_next", "tumour_next"])
    assert data.dropped == 1
    assert data.rows.tolist() == [0, 1, 2, 3, 5]
    assert data.next_states[-1].tolist() == [0, 7.0]
    assert data.next_states[2].tolist() == data.states[2].tolist()
    with pytest.raises(UserError, match="row 2, column 'tumour_next': part of the next state"):
        read({**log, "stage_next": ["I", "II", "I", "III", None, "I"]}, next_state=["stage_next", "tumour_next"])
    with pytest.raises(UserError, match="next_state names 1 columns but state 2"):
        read(log, next_state="stage_next")


def test_a_final_row_without_a_decision_is_the_last_state():
    log = pl.DataFrame(
        {
            **LOG,
            "dose": ["high", "low", "low", "high", None, "high"],
            "benefit": [0.5, 1.5, -1.0, 2.0, None, 9.0],
            "died": [0, 0, 1, 0, None, 0],
        }
    )
    data = read(log)
    assert data.dropped == 1  # c only: the final row of a is no decision
    assert data.next_states[3].tolist() == [2, 5]
    with pytest.raises(UserError, match="row 4, column 'benefit': the reward is missing"):
        read(log.with_columns(pl.Series("dose", LOG["dose"])))


def test_propensities_of_the_action_taken_or_of_all():
    assert read(propensity="p").propensities.tolist() == [0.5, 0.25, 1.0, 0.5]
    every = read(propensity={"low": "p_low", "high": "p_high"})
    assert every.action_labels == ("low", "high")
    assert every.propensities.tolist() == [[0.5, 0.5], [0.25, 0.75], [1.0, 0.0], [0.5, 0.5]]
    assert every.actions.tolist() == [1, 0, 0, 1]
    assert read().propensities is None
    more = read({**LOG, "none": [0.0] * 6}, propensity={"low": "p_low", "high": "p_high", "never": "none"})
    assert more.n_actions == 3


def test_truncated_rows_need_a_next_state_like_any_other():
    data = read({**LOG, "cut": [False, False, False, False, True, True]}, truncated="cut")
    assert data.dropped == 2


def test_select_takes_whole_trajectories_and_repeats_count():
    data = read(propensity="p")
    again = data.select([1, 0, 1])
    assert again.trajectory.tolist() == [0, 1, 1, 1, 2]
    assert again.rows.tolist() == [3, 0, 1, 2, 3]
    assert again.ids.tolist() == ["a", "b", "a"]
    assert again.starts.tolist() == [[0, 4], [1, 1], [0, 4]]
    assert again.propensities.tolist() == [0.5, 0.5, 0.25, 1.0, 0.5]
    assert len(data.select([2])) == 0
    assert len(data.select([])) == 0
    with pytest.raises(UserError, match="0 to 2"):
        data.select([3])


def test_episodes_lose_nothing():
    episodes = Episodes.from_list(simple(3, 1, terminated=False))
    data = Transitions.from_episodes(episodes, state="signal.twice")
    assert data.dropped == 0
    assert data.states.tolist() == [[0, 0], [1, 2], [2, 4], [0, 0]]
    assert data.next_states.tolist() == [[1, 2], [2, 4], [3, 6], [1, 2]]
    assert data.trajectory.tolist() == [0, 0, 0, 1]
    assert [c.name for c in data.state_columns] == ["signal.twice[0]", "signal.twice[1]"]
    discrete = Transitions.from_episodes(episodes)
    assert discrete.state_columns[0].levels == (0, 1, 2, 3, 100, 101)
    assert discrete.next_state_index.tolist() == [1, 2, 3, 5]
    numeric = Transitions.from_episodes(episodes, state={"observation": "numeric"}, actions=[0, 1, 2])
    assert numeric.next_states[:, 0].tolist() == [1, 2, 3, 101]
    assert numeric.n_actions == 3


def test_episodes_with_text_and_probabilities():
    recorded = [
        {
            **simple(2)[0],
            "observations": {"word": ["a", "b", "a"]},
            "actions": ["go", "stay"],
            "behaviour_log_probability": np.log([0.5, 0.25]),
        }
    ]
    data = Transitions.from_episodes(Episodes.from_list(recorded), state="observation.word")
    assert data.state_index.tolist() == [0, 1]
    assert data.action_labels == ("go", "stay")
    np.testing.assert_allclose(data.propensities, [0.5, 0.25], rtol=1e-15)


def test_a_file_of_episodes_is_a_log(tmp_path):
    episodes = Episodes.from_list(simple(3, 1, terminated=False))
    episodes.write(tmp_path / "e.parquet")
    names = {"id": "episode", "time": "t", "action": "action", "reward": "reward", "terminated": "terminated", "truncated": "truncated"}
    data = Transitions.from_table(tmp_path / "e.parquet", state=["signal.twice[0]", "signal.twice[1]"], **names)
    direct = Transitions.from_episodes(episodes, state="signal.twice")
    for field in ("states", "actions", "rewards", "next_states", "terminated", "trajectory", "time", "starts", "dropped"):
        np.testing.assert_array_equal(getattr(data, field), getattr(direct, field))


def test_episodes_that_are_no_decisions_are_refused():
    episodes = Episodes.from_list([{**simple(2)[0], "actions": np.zeros((2, 2)), "reads": {}}])
    with pytest.raises(UserError, match="one discrete action"):
        Transitions.from_episodes(episodes)
    image = Episodes.from_list([{**simple(2)[0], "observations": np.zeros((3, 4, 4))}])
    with pytest.raises(UserError, match="scalar or a vector"):
        Transitions.from_episodes(image)
    with pytest.raises(UserError, match=r"did you mean 'signal\.twice'"):
        Transitions.from_episodes(image, state="signal.twise")
