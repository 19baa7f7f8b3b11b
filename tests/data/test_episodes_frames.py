import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings import recordings, simple

from unseen.data import Episodes
from unseen.errors import UserError


@given(recordings(), st.randoms())
@settings(max_examples=60, deadline=None)
def test_frames_read_back_identically_in_any_row_order(recorded, random):
    episodes = Episodes.from_list(recorded)
    order = list(range(episodes.steps))
    random.shuffle(order)
    assert Episodes.from_polars(episodes.to_polars()[order]).identical(episodes)
    assert Episodes.from_polars(episodes.to_polars().lazy()).identical(episodes)
    frame = episodes.to_pandas().iloc[order]
    assert Episodes.from_pandas(frame).identical(episodes)


def test_every_row_holds_a_step_and_what_came_next():
    table = Episodes.from_list(simple(2, 1)).to_polars()
    assert table["episode"].to_list() == [0, 0, 1]
    assert table["t"].to_list() == [0, 1, 0]
    assert table["observation"].to_list() == [0, 1, 100]
    assert table["next_observation"].to_list() == [1, 2, 101]
    assert table["next_signal.twice[1]"].to_list() == [2, 4, 2]
    assert table["reward"].to_list() == [0.0, 0.1, 1.0]
    assert table["terminated"].to_list() == [False, True, True]
    assert table["info.seed"].to_list() == [0, 0, 7]
    same = Episodes.from_list(simple(2, 1)).to_pandas()
    assert same["next_observation"].tolist() == [1, 2, 101]
    assert same["action"].dtype == np.int64


FRAME = Episodes.from_list(simple(3, 2)).to_polars()
BROKEN = {
    "no episode": (FRAME.drop("episode"), "no column 'episode'"),
    "no reward": (FRAME.drop("reward"), "no column 'reward'"),
    "no observation": (FRAME.drop("observation", "next_observation"), "no column 'observation'"),
    "no final observation": (FRAME.drop("next_observation"), "final observation"),
    "foreign column": (FRAME.with_columns(pl.lit(1).alias("weight")), r"rename it to info\.weight"),
    "component missing": (FRAME.drop("signal.twice[0]"), "numbered from"),
    "step missing": (FRAME.filter(pl.int_range(5) != 1), "step 1 is missing"),
    "step twice": (pl.concat([FRAME, FRAME[4:]]), "step 1 is there twice"),
    "value missing": (FRAME.with_columns(pl.Series("action", [1, None, 1, 1, 1])), "row 1, column 'action'"),
    "number missing": (FRAME.with_columns(pl.Series("reward", [1.0, None, 1.0, 1.0, 1.0])), "rewards is nan at episode 0, step 1"),
    "torn chain": (FRAME.with_columns(pl.Series("next_observation", [1, 9, 3, 101, 102])), "next_observation at episode 0, t=1"),
    "t as text": (FRAME.with_columns(pl.col("t").cast(pl.String)), "'t' has dtype"),
    "next of another type": (FRAME.with_columns(pl.col("next_observation").cast(pl.Float64)), "different dtypes"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_frame_that_is_no_recording_is_refused(name):
    frame, message = BROKEN[name]
    with pytest.raises(UserError, match=message):
        Episodes.from_polars(frame)


def test_what_is_no_table_is_named():
    with pytest.raises(UserError, match="int is no table"):
        Episodes.from_frame(3)


def test_a_zero_row_frame_keeps_its_columns():
    none = Episodes.from_list(simple(2)).select([])
    assert Episodes.from_polars(none.to_polars()).identical(none)
    assert isinstance(none.to_pandas(), pd.DataFrame)
