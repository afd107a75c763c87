from pathlib import Path

import pytest

from recommender import DataError, Event, InteractionData, k_core, load_interactions

EXPECTED = {"ann": (Event(0, 10), Event(1, 20)), "bob": (Event(1, 5),)}


def check(data: InteractionData) -> None:
    assert data.catalogue.item_ids == ("x", "y")
    assert data.catalogue.titles == ("Ex", "Why")
    assert data.histories == EXPECTED
    assert data.rejected == ()


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
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
        ({"a__xlsx": "x"}, "a.xlsx", "is none of u.data"),
        ({"a__inter": "x", "b__inter": "x"}, ".", "holds a.inter, b.inter; name the one to read"),
        ({"interactions__csv": "x", "interactions__tsv": "x"}, ".", "name the one to read"),
        ({"interactions__csv": CSV_ROWS, "items__csv": "x", "items__tsv": "x"}, ".", "name the one to read"),
        (
            {"interactions__csv": "user_id,item_id\n1,2\n"},
            ".",
            "has no column 'timestamp'; it has user_id, item_id",
        ),
        ({"interactions__csv": CSV_ROWS, "items__csv": "item_id\nx\n"}, ".", "has no column 'title'"),
        ({"ml__inter": "user_id:token\titem_id:token\n1\t2\n"}, ".", "has no column 'timestamp'"),
        ({"u__data": "1\t2\t3\t4\n"}, ".", "u.item: No such file"),
    ],
)
def test_what_cannot_be_used_is_one_clear_error(
    tmp_path: Path, files: dict[str, str], name: str, message: str
):
    with pytest.raises(DataError, match=message):
        load_interactions(write(tmp_path, **files) / name)


def test_movielens_100k_itself(ml100k: Path):
    data = load_interactions(ml100k)
    assert (len(data.histories), len(data.catalogue), data.events) == (943, 1682, 100_000)
    core = k_core(data, 5)
    assert (len(core.histories), len(core.catalogue), core.events) == (943, 1349, 99_287)
