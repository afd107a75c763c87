import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from recommender import DataError, Event, load_interactions

HEADER = "user_id:token\titem_id:token\ttimestamp:float\n"
ITEMS = "item_id:token\tmovie_title:token_seq\ny\tWhy\nx\tEx\n"


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def parts(*names: str) -> dict[str, str]:
    """A file per name; the user of the n-th met `x` at n and `y` at n + 1, "all" met every part's own item."""
    return {
        name: HEADER + f"u{n}\tx\t{n}\nu{n}\ty\t{n + 1}\nall\ti{n}\t{n}\n" for n, name in enumerate(names)
    }


@pytest.mark.parametrize(
    "names",
    [
        ("ml.train.inter", "ml.valid.inter", "ml.test.inter"),
        ("ml.train.inter", "ml.test.inter"),
        ("ml.part1.inter", "ml.part2.inter", "ml.part10.inter"),
        ("ml.train.inter",),
    ],
)
def test_the_parts_of_a_recbole_data_set_are_read_as_one_with_their_titles(
    tmp_path: Path, names: tuple[str, ...]
):
    data = load_interactions(write(tmp_path, parts(*names) | {"ml.item": ITEMS}))
    untitled = tuple(f"i{n}" for n in range(len(names)))
    assert data.catalogue.item_ids == ("y", "x", *untitled)
    assert data.catalogue.titles == ("Why", "Ex", *untitled)
    assert data.histories["u0"] == (Event(1, 0), Event(0, 1))
    assert data.items("all") == tuple(range(2, 2 + len(names)))
    assert data.warnings == ()


def test_a_name_with_a_dot_is_no_part(tmp_path: Path):
    write(tmp_path, parts("ml.v2.inter") | {"ml.v2.item": ITEMS})
    assert load_interactions(tmp_path).catalogue.titles[0] == "Why"


def test_a_part_that_is_named_is_read_alone_and_says_so(tmp_path: Path):
    write(tmp_path, parts("ml.train.inter", "ml.test.inter", "other.test.inter") | {"ml.item": ITEMS})
    data = load_interactions(tmp_path / "ml.train.inter")
    assert sorted(data.histories) == ["all", "u0"]
    assert data.catalogue.titles[0] == "Why"
    assert data.warnings == ("ml.train.inter is read alone, without ml.test.inter",)


@pytest.mark.parametrize(
    "names",
    [
        ("a.inter", "b.inter"),
        ("a.train.inter", "b.train.inter"),
        ("a.inter", "a.train.inter", "a.test.inter"),
        ("a.inter", "interactions.csv"),
        ("a.inter", "u.data"),
        ("interactions.csv", "u.data"),
        ("interactions.csv", "interactions.jsonl"),
    ],
)
def test_a_folder_with_more_than_one_data_set_is_refused(tmp_path: Path, names: tuple[str, ...]):
    write(tmp_path, dict.fromkeys(names, "x"))
    with pytest.raises(DataError, match="name the one to read") as caught:
        load_interactions(tmp_path)
    assert all(name in str(caught.value) for name in names)


@pytest.mark.parametrize("suffix", [".csv.gz", ".zip", ".parquet", ".xlsx", ".CSV.GZ"])
def test_what_is_packed_is_named_with_what_is_read(tmp_path: Path, suffix: str):
    file = tmp_path / f"interactions{suffix}"
    file.write_bytes(b"")
    for path in (file, tmp_path):
        with pytest.raises(DataError, match=r"unpack or convert it first") as caught:
            load_interactions(path)
        assert ".inter" in str(caught.value)
        assert ".csv" in str(caught.value)


@pytest.mark.parametrize(
    ("interactions", "packed"),
    [("interactions.csv", "items.csv.gz"), ("interactions.csv", "items.parquet"), ("ml.inter", "ml.item.gz")],
)
def test_titles_that_are_there_but_packed_are_not_passed_over_in_silence(
    tmp_path: Path, interactions: str, packed: str
):
    text = HEADER if interactions.endswith(".inter") else "user_id,item_id,timestamp\n"
    row = "a\tx\t1\n" if interactions.endswith(".inter") else "a,x,1\n"
    write(tmp_path, {interactions: text + row, packed: ""})
    assert load_interactions(tmp_path).warnings == (
        f"{packed} is not read: unpack or convert it to have titles",
    )


def test_a_part_that_is_packed_is_not_passed_over_in_silence(tmp_path: Path):
    write(tmp_path, parts("ml.train.inter") | {"ml.test.inter.gz": "", "ml.zip": "", "ml.item": ITEMS})
    (warning,) = load_interactions(tmp_path).warnings
    assert warning.startswith("ml.test.inter.gz is not read")


def test_hidden_files_are_no_data(tmp_path: Path):
    write(tmp_path, parts("ml.inter") | {"._ml.inter": "\x00", ".other.inter": ""})
    assert load_interactions(tmp_path).events == 3


def test_a_named_file_may_have_its_suffix_in_capitals(tmp_path: Path):
    write(tmp_path, {"LOG.CSV": "user_id,item_id,timestamp\na,x,1\n"})
    assert load_interactions(tmp_path / "LOG.CSV").events == 1


def test_folders_called_like_files_are_no_data(tmp_path: Path):
    (tmp_path / "a.inter").mkdir()
    with pytest.raises(DataError, match="holds none of"):
        load_interactions(tmp_path)


def test_what_is_neither_file_nor_folder_is_refused_and_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "interactions.csv")
    with pytest.raises(DataError, match="no ordinary file"):
        load_interactions(tmp_path / "interactions.csv")


def test_a_path_that_the_system_refuses_is_one_line(tmp_path: Path):
    with pytest.raises(DataError, match="File name too long"):
        load_interactions(tmp_path / ("x" * 300))


@contextmanager
def _without_privileges() -> Iterator[None]:
    """Run as an unprivileged user, because root may read everything."""
    mine = os.geteuid()
    if mine == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(mine)


@pytest.mark.parametrize("allowed", [0o000, 0o311])
def test_a_folder_that_may_not_be_read_is_one_line(allowed: int):
    # Not below tmp_path: pytest keeps its folders to their owner.
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), {"interactions.csv": "x"})
        path.chmod(allowed)
        try:
            with (
                _without_privileges(),
                pytest.raises(DataError, match=r"cannot read .*Permission denied") as caught,
            ):
                load_interactions(path)
        finally:
            path.chmod(0o700)
    assert "\n" not in str(caught.value)


def test_a_file_that_may_not_be_read_is_one_line():
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), {"interactions.csv": "x"}) / "interactions.csv"
        path.parent.chmod(0o755)
        path.chmod(0)
        with _without_privileges(), pytest.raises(DataError, match=r"cannot read .*Permission denied"):
            load_interactions(path)
