import gzip
import io
import zipfile
from pathlib import Path

import pytest

from recommender import DataError, load_interactions

ROWS = "user_id,item_id,timestamp\n" + "".join(f"Zoë{n},Café,{n}\n" for n in range(5))


def refused(tmp_path: Path, content: bytes, name: str = "interactions.csv") -> str:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        load_interactions(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert "Zo" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("encoding", "looks_like", "source"),
    [
        ("utf-16", "it begins like UTF-16", "UTF-16"),
        ("utf-32", "it begins like UTF-32", "UTF-32"),
        ("utf-16-le", "UTF-16LE", "UTF-16LE"),
        ("utf-16-be", "UTF-16BE", "UTF-16BE"),
        ("utf-32-le", "UTF-32LE", "UTF-32LE"),
        ("utf-32-be", "UTF-32BE", "UTF-32BE"),
        ("latin-1", "perhaps Latin-1 or Windows-1252", "WINDOWS-1252"),
        ("cp1252", "perhaps Latin-1 or Windows-1252", "WINDOWS-1252"),
        ("mac-roman", "perhaps Latin-1 or Windows-1252", "WINDOWS-1252"),
    ],
)
def test_another_encoding_is_named_as_that(tmp_path: Path, encoding: str, looks_like: str, source: str):
    for name, text in {
        "interactions.csv": ROWS,
        "interactions.tsv": ROWS.replace(",", "\t"),
        "data.inter": ROWS.replace(",", "\t"),
        "interactions.jsonl": '{"user_id": "Zoë", "item_id": "é", "timestamp": 1}\n',
    }.items():
        message = refused(tmp_path, text.encode(encoding), name)
        assert f"{name} is not UTF-8, " in message
        assert looks_like in message
        assert f"iconv -f {source} -t UTF-8 {name} > " in message
        assert "rows are bad" not in message


def test_big_endian_utf16_with_its_mark_is_told_too(tmp_path: Path):
    assert "begins like UTF-16" in refused(tmp_path, b"\xfe\xff" + ROWS.encode("utf-16-be"))
    assert "begins like UTF-32" in refused(tmp_path, b"\x00\x00\xfe\xff" + ROWS.encode("utf-32-be"))


def test_a_header_in_latin_1_names_the_encoding_and_not_a_missing_column(tmp_path: Path):
    assert "is not UTF-8" in refused(tmp_path, "usér_id,item_id,timestamp\na,b,1\n".encode("latin-1"))


def test_titles_in_latin_1_are_refused_as_that(tmp_path: Path):
    (tmp_path / "items.csv").write_bytes("item_id,title\n1,Café\n2,Zoë\n".encode("latin-1"))
    (tmp_path / "interactions.csv").write_text("user_id,item_id,timestamp\na,1,1\n")
    with pytest.raises(DataError, match=r"items\.csv is not UTF-8, perhaps Latin-1"):
        load_interactions(tmp_path)


def test_a_few_undecodable_rows_are_bad_rows(tmp_path: Path):
    good = b"".join(b"u%d,x,1\n" % n for n in range(200))
    (tmp_path / "i.csv").write_bytes(b"user_id,item_id,timestamp\n" + good + b"Zo\xeb,x,1\nann,\xeb,2\n")
    data = load_interactions(tmp_path / "i.csv")
    assert [row.line for row in data.rejected] == [202, 203]
    assert all("undecodable bytes" in row.reason for row in data.rejected)
    assert data.skipped_users == {"ann"}


def test_too_many_bad_rows_with_a_few_undecodable_ones_are_not_blamed_on_the_encoding(tmp_path: Path):
    good = b"".join(b"u%d,x,1\n" % n for n in range(200))
    message = refused(tmp_path, b"user_id,item_id,timestamp\n" + good + b"Zo\xeb,x,1\n" + b"u,x,never\n" * 9)
    assert "10 of 210 rows are bad" in message


def test_undecodable_bytes_in_a_column_that_is_not_read_do_no_harm(tmp_path: Path):
    rows = b"user_id,item_id,timestamp,comment\n" + b"a,x,1,d\xe9j\xe0 vu\n" * 3
    (tmp_path / "i.csv").write_bytes(rows)
    assert load_interactions(tmp_path / "i.csv").rejected == ()


def test_an_archive_under_another_name_is_told(tmp_path: Path):
    assert "is no text but a gzip file" in refused(tmp_path, gzip.compress(ROWS.encode()))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writer:
        writer.writestr("interactions.csv", ROWS)
    assert "is no text but a zip file" in refused(tmp_path, archive.getvalue())
    assert "is no text but a Parquet file" in refused(tmp_path, b"PAR1\x15\x04", "data.inter")
