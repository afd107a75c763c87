import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inputs import identifier
from recommender import DataError, Event, InteractionData, k_core, load_interactions

EXPECTED = {"ann": (Event(0, 10), Event(1, 20)), "bob": (Event(1, 5),)}


def check(data: InteractionData) -> None:
    assert data.catalogue.item_ids == ("x", "y")
    assert data.catalogue.titles == ("Ex", "Why")
    assert data.histories == EXPECTED
    assert data.rejected == ()


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text, encoding="utf-8")
    return folder


CSV_ROWS = "user_id,item_id,timestamp,rating\nann,y,20,5\nann,x,10,1\nbob,y,5,3\n"
CSV_ITEMS = "item_id,title,year\nx,Ex,1999\ny,Why,2000\n"


def test_csv(tmp_path: Path):
    check(load_interactions(write(tmp_path, interactions__csv=CSV_ROWS, items__csv=CSV_ITEMS)))
    check(load_interactions(tmp_path / "interactions.csv"))


def test_tsv_with_items_in_another_format(tmp_path: Path):
    items = '{"item_id": "x", "title": "Ex"}\n{"item_id": "y", "title": "Why"}\n'
    check(
        load_interactions(write(tmp_path, interactions__tsv=CSV_ROWS.replace(",", "\t"), items__jsonl=items))
    )


def test_jsonl_with_numbers_for_ids(tmp_path: Path):
    rows = (
        '{"user_id": 7, "item_id": 1, "timestamp": 10}\n{"user_id": 7, "item_id": "z", "timestamp": "9.5"}\n'
    )
    data = load_interactions(write(tmp_path, log__jsonl=rows) / "log.jsonl")
    assert data.catalogue.item_ids == data.catalogue.titles == ("1", "z")
    assert data.histories == {"7": (Event(1, 9), Event(0, 10))}


def test_recbole(tmp_path: Path):
    header = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    rows = header + "ann\ty\t5\t20\nann\tx\t1\t1e1\nbob\ty\t3\t5.0\n"
    items = "item_id:token\tmovie_title:token_seq\tclass:token_seq\nx\tEx\tDrama\ny\tWhy\tWar\n"
    write(tmp_path, ml__inter=rows, ml__item=items)
    check(load_interactions(tmp_path))
    check(load_interactions(tmp_path / "ml.inter"))


def test_recbole_without_items_calls_them_by_id(tmp_path: Path):
    rows = "user_id:token\titem_id:token\ttimestamp:float\nann\ty\t20\n"
    assert load_interactions(write(tmp_path, ml__inter=rows)).catalogue.titles == ("y",)


def test_movielens_layout(tmp_path: Path):
    genres = "|0" * 19
    items = f"x|Caf\xe9 (1995)|01-Jan-1995||http://x{genres}\ny|Why|||{genres}\n"
    (tmp_path / "u.item").write_bytes(items.encode("latin-1"))
    (tmp_path / "u.data").write_text("ann\ty\t5\t20\nann\tx\t1\t10\n")
    for path in (tmp_path, tmp_path / "u.data"):
        data = load_interactions(path)
        assert data.catalogue.titles == ("Café (1995)", "Why")
        assert data.histories == {"ann": (Event(0, 10), Event(1, 20))}


def test_repeated_interactions_keep_the_earliest(tmp_path: Path):
    rows = "user_id,item_id,timestamp\na,x,30\na,x,10\na,y,20\na,x,40\n"
    data = load_interactions(write(tmp_path, i__csv=rows) / "i.csv")
    assert data.histories == {"a": (Event(0, 10), Event(1, 20))}
    assert data.events == 2


def test_equal_times_go_by_catalogue_order_whatever_the_order_of_rows(tmp_path: Path):
    rows = ["a,x,1", "a,y,1", "a,z,1"]
    items = "item_id,title\nz,Z\ny,Y\nx,X\n"
    for order in (rows, rows[::-1]):
        text = "\n".join(["user_id,item_id,timestamp", *order])
        data = load_interactions(write(tmp_path, interactions__csv=text, items__csv=items))
        assert data.items("a") == (0, 1, 2)
        assert data.catalogue.item_ids == ("z", "y", "x")


def test_bad_rows_of_both_files_are_on_record(tmp_path: Path):
    rows = "user_id,item_id,timestamp\n" + "".join(f"u{n},x,{n}\n" for n in range(100)) + ",x,1\n"
    items = "item_id,title\n" + "".join(f"i{n},T\n" for n in range(100)) + ",T\n"
    data = load_interactions(write(tmp_path, interactions__csv=rows, items__csv=items))
    assert [(row.file, row.line) for row in data.rejected] == [("items.csv", 102), ("interactions.csv", 102)]


@pytest.mark.parametrize(
    ("files", "name", "message"),
    [
        ({}, ".", "holds none of u.data"),
        ({}, "nothing", "does not exist"),
        ({"a__txt": "x"}, "a.txt", "is none of u.data"),
        ({"interactions__csv": CSV_ROWS, "items__csv": "x", "items__tsv": "x"}, ".", "name the one to read"),
        (
            {"interactions__csv": "user_id,item_id\n1,2\n"},
            ".",
            "has no column 'timestamp'; it has user_id, item_id",
        ),
        ({"interactions__csv": CSV_ROWS, "items__csv": "item_id\nx\n"}, ".", "has no column 'title'"),
        ({"ml__inter": "user_id:token\titem_id:token\n1\t2\n"}, ".", "has no column 'timestamp'"),
        ({"u__data": "1\t2\t3\t4\n"}, ".", "u.item: No such file"),
        ({"interactions__csv": "uid,sid,timestamp\n1,2,3\n"}, ".", "'user_id'; it has uid, sid, timestamp"),
        ({"interactions__jsonl": '{"uid": 1}\n{"item_id": 2}\n'}, ".", "'user_id'; it has uid, item_id"),
    ],
)
def test_what_cannot_be_used_is_one_clear_error(
    tmp_path: Path, files: dict[str, str], name: str, message: str
):
    with pytest.raises(DataError, match=message):
        load_interactions(write(tmp_path, **files) / name)


def test_headers_may_differ_in_case_and_space(tmp_path: Path):
    rows = CSV_ROWS.replace("user_id,item_id,timestamp", "\ufeff User_ID, ITEM_ID ,Timestamp")
    items = CSV_ITEMS.replace("item_id,title", '"Item_Id", "Title"')
    check(load_interactions(write(tmp_path, interactions__csv=rows, items__csv=items)))


def test_one_person_in_several_spellings_is_one_user(tmp_path: Path):
    rows = [
        '{"user_id": 42, "item_id": "Ame\\u0301lie", "timestamp": 1}',
        '{"user_id": 42.0, "item_id": "y", "timestamp": 2}',
        '{"user_id": " 42.0", "item_id": "z", "timestamp": 3}',
        '{"user_id": "42", "item_id": "Am\\u00e9lie", "timestamp": 4}',
    ]
    data = load_interactions(write(tmp_path, i__jsonl="\n".join(rows)) / "i.jsonl")
    assert data.histories == {"42": (Event(0, 1), Event(1, 2), Event(2, 3))}
    assert data.catalogue.item_ids == ("Amélie", "y", "z")
    floats, decomposed, folded = data.warnings
    assert "2 values of user_id are written as floats" in floats
    assert "1 values of item_id are written in decomposed Unicode" in decomposed
    assert folded == (
        "i.jsonl: 1 rows repeat an interaction of the same user and item, first in line 4; the earliest counts"
    )


@pytest.mark.parametrize("cell", ["NaN", "null", "true", "[1]", '{"id": 1}', '""', '"nan"', '"None"'])
def test_a_missing_user_in_json_is_a_bad_row(tmp_path: Path, cell: str):
    row = '{"user_id": %s, "item_id": 1, "timestamp": 1}\n'
    data = load_interactions(write(tmp_path, i__jsonl=row % '"ann"' * 200 + row % cell) / "i.jsonl")
    assert list(data.histories) == ["ann"]
    assert data.rejected_by_reason() == {"user_id is missing": 1}


def test_a_float_that_may_have_lost_digits_is_a_bad_row_in_every_format(tmp_path: Path):
    row = '{"user_id": %s, "item_id": 1, "timestamp": 1}\n'
    write(tmp_path, i__jsonl=row % '"ann"' * 200 + row % "9007199254740992.0")
    write(tmp_path, i__csv="user_id,item_id,timestamp\n" + "ann,1,1\n" * 200 + "9007199254740992.0,1,1\n")
    for name in ("i.jsonl", "i.csv"):
        data = load_interactions(tmp_path / name)
        assert list(data.histories) == ["ann"]
        assert all("lost digits" in reason for reason in data.rejected_by_reason())


def test_mixed_units_are_one_scale_and_warned_about(tmp_path: Path):
    times = ["1700000003", "1700000001000", "1700000002000000", "1700000000000000000", "1700000004000"]
    rows = "".join(f"a,i{n},{time}\n" for n, time in enumerate(times))
    data = load_interactions(write(tmp_path, i__csv="user_id,item_id,timestamp\n" + rows) / "i.csv")
    assert [event.timestamp - 1_700_000_000 for event in data.histories["a"]] == [0, 1, 2, 3, 4]
    assert data.items("a") == (3, 1, 2, 0, 4)
    (warning,) = data.warnings
    assert "2 times are in milliseconds, first in line 3" in warning
    assert "1 times are in seconds, first in line 2" in warning


@pytest.mark.parametrize(
    ("late", "early"),
    [
        ("1700000000002", "1700000000001"),
        ("1700000000.9", "1700000000.1"),
        ("1700000000000000002", "1700000000000000001"),
    ],
)
def test_the_order_within_a_second_is_kept(tmp_path: Path, late: str, early: str):
    rows = f"user_id,item_id,timestamp\na,x,{late}\na,y,{early}\na,z,{late}\n"
    data = load_interactions(write(tmp_path, i__csv=rows) / "i.csv")
    assert data.histories["a"] == (Event(1, 17 * 10**8), Event(0, 17 * 10**8), Event(2, 17 * 10**8))


def test_titles_are_text_and_title_wins(tmp_path: Path):
    items = "item_id,subtitle,title\nx,no,Ex\N{NO-BREAK SPACE}\N{SOFT HYPHEN}\N{ROCKET}\ny,no,Why\n"
    data = load_interactions(write(tmp_path, interactions__csv=CSV_ROWS, items__csv=items))
    assert data.catalogue.titles == ("Ex\N{NO-BREAK SPACE}\N{SOFT HYPHEN}\N{ROCKET}", "Why")


def test_an_item_listed_twice_is_warned_about(tmp_path: Path):
    data = load_interactions(write(tmp_path, interactions__csv=CSV_ROWS, items__csv=CSV_ITEMS + "x,Ecks,1\n"))
    assert data.catalogue.titles == ("Ecks", "Why")
    assert data.warnings == (
        "items.csv: 1 rows list an item once more, first in line 4; the last title counts",
    )


def test_whoever_has_a_skipped_row_is_on_record(tmp_path: Path):
    bad = ["lost.time,x,never", "lost.item,,3", "7.0,x,never", "u1,x,never", "short,x", ",x,3", 'quote,"x,3']
    good = "".join(f"u{n},x,{n}\n" for n in range(1000))
    text = "user_id,item_id,timestamp\n" + good + "\n".join(bad)
    data = load_interactions(write(tmp_path, i__csv=text) / "i.csv")
    assert data.skipped_users == {"lost.time", "lost.item", "7", "u1", "short", "quote"}
    assert data.rejected_by_reason() == {
        "timestamp must be a number": 3,
        "item_id is missing": 1,
        "2 cells, expected 3": 1,
        "user_id is missing": 1,
        "a quoted cell does not end in its line": 1,
    }
    assert not any(user in str((data.rejected, data.warnings)) for user in ("lost", "short", "quote,"))


def test_a_filter_keeps_what_is_known_about_the_files(tmp_path: Path):
    rows = (
        "user_id,item_id,timestamp\n" + "".join(f"u{n},x,{n}\nu{n},x,{n}\n" for n in range(100)) + "v,x,?\n"
    )
    data = load_interactions(write(tmp_path, i__csv=rows) / "i.csv")
    core = k_core(data, 1)
    assert (core.rejected, core.warnings, core.skipped_users) == (
        data.rejected,
        data.warnings,
        data.skipped_users,
    )
    assert data.skipped_users == {"v"}
    assert len(data.warnings) == len(data.rejected) == 1


ID = st.text(max_size=5)
TIME = st.one_of(st.integers(0, 10**20), st.floats(), st.text(max_size=4))
LINES = st.lists(st.tuples(ID, ID, TIME), max_size=12)


def _csv(rows: list[tuple[object, ...]], delimiter: str) -> str:
    return "\n".join(delimiter.join(map(str, row)) for row in (("user_id", "item_id", "timestamp"), *rows))


def _jsonl(rows: list[tuple[object, ...]]) -> str:
    return "\n".join(
        json.dumps(dict(zip(("user_id", "item_id", "timestamp"), row, strict=True))) for row in rows
    )


CONTENTS = st.one_of(
    st.binary(max_size=200),
    st.binary(max_size=60).map(lambda tail: b"user_id,item_id,timestamp\na,x,1\n" + tail),
    st.binary(max_size=60).map(lambda tail: b"user_id\titem_id\ttimestamp\na\tx\t1\n" + tail),
    LINES.map(lambda rows: _csv(rows, ",").encode(errors="surrogatepass")),
    LINES.map(lambda rows: _csv(rows, "\t").encode(errors="surrogatepass")),
    LINES.map(lambda rows: _jsonl(rows).encode()),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    content=CONTENTS,
    items=CONTENTS,
    name=st.sampled_from(["interactions.csv", "interactions.jsonl", "a.inter"]),
)
def test_any_bytes_load_or_raise_a_data_error(tmp_path: Path, content: bytes, items: bytes, name: str):
    folder = tmp_path / name.rsplit(".", maxsplit=1)[1]
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    titles = folder / name.replace("interactions", "items").replace(".inter", ".item")
    refusals: list[str] = []
    for with_titles in (False, True):
        titles.unlink(missing_ok=True)
        if with_titles:
            titles.write_bytes(items)
        try:
            data = load_interactions(folder)
        except DataError as error:
            refusals.append(str(error))
            continue
        for accepted in (*data.histories, *data.catalogue.item_ids, *data.skipped_users):
            assert identifier(accepted) == accepted
        assert sum(data.rejected_by_reason().values()) == len(data.rejected)
    assert not any("\n" in refusal for refusal in refusals)


def test_movielens_100k_itself(ml100k: Path):
    data = load_interactions(ml100k)
    assert (len(data.histories), len(data.catalogue), data.events) == (943, 1682, 100_000)
    assert (data.warnings, data.rejected, data.skipped_users) == ((), (), frozenset())
    core = k_core(data, 5)
    assert (len(core.histories), len(core.catalogue), core.events) == (943, 1349, 99_287)
