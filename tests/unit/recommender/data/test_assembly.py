"""Histories from arrays are those that plain Python builds."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender import Event, k_core, load_interactions
from recommender.data import assembly
from recommender.data.assembly import assemble
from recommender.data.gathered import Gathered
from recommender.data.interactions import Interaction

ROW = st.tuples(
    st.sampled_from("abcde"),
    st.sampled_from("vwxyz"),
    st.one_of(st.integers(0, 3), st.integers(0, 10**20)),
    st.one_of(st.none(), st.integers(0, 5).map(float)),
    st.sampled_from([None, "train", "test"]),
)


@given(
    rows=st.lists(ROW, min_size=1, max_size=40),
    cut=st.integers(0, 40),
    titles=st.lists(st.sampled_from("vwxyz"), unique=True),
    at_a_time=st.sampled_from([1, 4, 1000]),
)
def test_histories_are_what_plain_python_builds(
    rows: list[tuple[str, str, int, float | None, str | None]], cut: int, titles: list[str], at_a_time: int
):
    read = [
        Interaction(user, item, when, line, *rest) for line, (user, item, when, *rest) in enumerate(rows, 2)
    ]
    gathered = Gathered()
    gathered.add_rows("one", read[:cut])
    gathered.add_rows("two", read[cut:])
    names = list(dict.fromkeys([*titles, *(row.item_id for row in read)]))
    earliest: dict[str, dict[str, Interaction]] = {}
    repeats: dict[str, list[int]] = {"one": [], "two": []}
    for number, row in enumerate(read):
        met = earliest.setdefault(row.user_id, {})
        if row.item_id in met:
            repeats["one" if number < cut else "two"].append(row.line)
        if row.item_id not in met or row.nanoseconds < met[row.item_id].nanoseconds:
            met[row.item_id] = row
    expected = {
        user: sorted(met.values(), key=lambda row: (row.nanoseconds, names.index(row.item_id)))
        for user, met in earliest.items()
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assembly, "_ROWS_AT_A_TIME", at_a_time)
        data = assemble(gathered, dict.fromkeys(titles, "T"))
    assert data.catalogue.item_ids == tuple(names)
    assert list(data.histories.items()) == [
        (user, tuple(Event(names.index(row.item_id), row.nanoseconds // 10**9) for row in met))
        for user, met in expected.items()
    ]
    if any(row.rating is not None for row in read):
        assert data.ratings == {user: tuple(row.rating for row in met) for user, met in expected.items()}
    else:
        assert data.ratings == {}
    if any(row.split is not None for row in read):
        assert data.splits == {user: tuple(row.split for row in met) for user, met in expected.items()}
    assert data.warnings == tuple(
        f"{file}: {len(lines)} rows repeat an interaction of the same user and item, first in line {lines[0]}; "
        "the earliest counts"
        for file, lines in repeats.items()
        if lines
    )
    assert data.events == sum(map(len, expected.values()))
    assert data.events_of_items() == [
        sum(row.item_id == name for met in expected.values() for row in met) for name in names
    ]


def test_a_history_is_made_on_access_and_its_repr_names_nobody(tmp_path: Path):
    path = tmp_path / "i.csv"
    path.write_text("user_id,item_id,timestamp\nsecret,x,1\n")
    histories = load_interactions(path).histories
    assert histories["secret"] == (Event(0, 1),)
    assert "secret" in histories
    assert "other" not in histories
    assert histories.get("other") is None
    with pytest.raises(KeyError):
        histories["other"]
    assert "secret" not in repr(histories)


def test_ratings_splits_and_attributes_stay_beside_their_events_through_a_filter(tmp_path: Path):
    rows = "user_id,item_id,timestamp,rating,split\na,rare,1,1,train\na,x,2,2.5,valid\nb,x,3,,\nc,rarer,1,5,test\n"
    (tmp_path / "interactions.csv").write_text(rows)
    (tmp_path / "users.csv").write_text("user_id,age,sex\na,31,\nc,7,f\nnobody,8,m\n")
    data = load_interactions(tmp_path)
    assert data.ratings == {"a": (1.0, 2.5), "b": (None,), "c": (5.0,)}
    assert data.splits == {"a": ("train", "valid"), "b": (None,), "c": ("test",)}
    assert data.attributes == {"a": {"age": "31"}, "c": {"age": "7", "sex": "f"}}
    assert data.warnings == ("users.csv: 1 users have no interaction and are left out",)
    (tmp_path / "interactions.csv").write_text(rows + "b,rare,4,4,test\n")
    core = k_core(load_interactions(tmp_path), 2)
    assert core.histories == {"a": (Event(0, 1), Event(1, 2)), "b": (Event(1, 3), Event(0, 4))}
    assert core.ratings == {"a": (1.0, 2.5), "b": (None, 4.0)}
    assert core.splits == {"a": ("train", "valid"), "b": (None, "test")}
    assert core.attributes == {"a": {"age": "31"}}


def test_a_file_that_says_nothing_of_ratings_or_splits_has_none(tmp_path: Path):
    path = tmp_path / "i.csv"
    path.write_text("user_id,item_id,timestamp\na,x,1\n")
    data = load_interactions(path)
    assert (data.ratings, data.splits, data.attributes) == ({}, {}, {})


def test_odd_ratings_and_splits_count_as_none_and_are_said(tmp_path: Path):
    path = tmp_path / "i.csv"
    path.write_text(
        "user_id,item_id,timestamp,rating,split\na,x,1,good,mine\na,y,2,1e999,Validation\na,z,3,inf,dev\n"
    )
    data = load_interactions(path)
    assert data.ratings == {}
    assert data.splits == {"a": (None, "valid", "valid")}
    assert data.warnings == (
        "i.csv: 3 values of rating are no numbers and count as no rating; first in line 2",
        "i.csv: 1 values of split are none of train, valid, test and count as no split; first in line 2",
    )


def test_the_parts_of_a_recbole_data_set_say_the_split(tmp_path: Path):
    for part, item in (("train", "x"), ("valid", "y"), ("test", "z")):
        (tmp_path / f"a.{part}.inter").write_text(
            f"user_id:token\titem_id:token\ttimestamp:float\nu\t{item}\t1\n"
        )
    assert load_interactions(tmp_path).splits == {"u": ("train", "valid", "test")}


@pytest.mark.parametrize("unit", ["milliseconds", "microseconds", "nanoseconds"])
def test_a_unit_that_was_told_by_its_size_alone_is_said(tmp_path: Path, unit: str):
    factor = {"milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}[unit]
    path = tmp_path / "i.csv"
    path.write_text(f"user_id,item_id,timestamp\na,x,{1_700_000_000 * factor}\n")
    data = load_interactions(path)
    assert data.histories == {"a": (Event(0, 1_700_000_000),)}
    (warning,) = data.warnings
    assert f"all times are so large that they were read as {unit} since 1970" in warning


def test_dates_without_a_zone_are_said(tmp_path: Path):
    path = tmp_path / "i.csv"
    path.write_text("user_id,item_id,timestamp\na,x,2024-01-01T00:00:00Z\na,y,2024-01-01T00:00:01\n")
    data = load_interactions(path)
    assert data.histories == {"a": (Event(0, 1_704_067_200), Event(1, 1_704_067_201))}
    assert data.warnings == ("i.csv: 1 times name no time zone and were read as UTC, first in line 3",)
