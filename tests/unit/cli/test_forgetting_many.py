"""R-14: which lines of a file are users, and that lines and not ids are printed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from cli.failures import CommandError
from cli.forgetting_many import Line, Sent, _batches, describe, read_lines, to_plain


def written(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "users.csv"
    path.write_text(text, encoding=encoding)
    return path


def test_r14_a_table_has_its_ids_in_a_column(tmp_path: Path) -> None:
    text = 'name,user_id\nErika,u-1\n"Mustermann, E","u,2"\n\nMax\nMax,nan\n'
    lines = read_lines(written(tmp_path, text, "utf-8-sig"), None)
    assert [(line.number, line.user_id, line.problem is None) for line in lines] == [
        (2, "u-1", True), (3, "u,2", True), (5, "", False), (6, "nan", False),
    ]  # fmt: skip
    assert [line.user_id for line in read_lines(written(tmp_path, text), "name")] == [
        "Erika", "Mustermann, E", "Max", "Max",
    ]  # fmt: skip


def test_r14_a_file_without_that_header_has_an_id_on_each_line(tmp_path: Path) -> None:
    lines = read_lines(written(tmp_path, 'auth0|5,"x"\r\n\r\n 7 \nnull\n'), None)
    assert [(line.number, line.user_id) for line in lines] == [(1, 'auth0|5,"x"'), (3, " 7 "), (4, "null")]
    assert [line.number for line in lines if line.problem] == [4]
    assert read_lines(written(tmp_path, ""), None) == []


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no column email"):
        read_lines(written(tmp_path, "user_id\n1\n"), "email")
    with pytest.raises(CommandError, match="No such file"):
        read_lines(tmp_path / "absent", None)
    with pytest.raises(CommandError, match="UTF-8"):
        read_lines(written(tmp_path, "é", "latin-1"), None)


def test_r14_a_batch_stays_below_both_limits() -> None:
    short = [Line(number, "u", None) for number in range(2500)]
    assert [len(batch) for batch in _batches(short)] == [1000, 1000, 500]
    long = [Line(number, "\N{GRINNING FACE}" * 256, None) for number in range(300)]
    sizes = [len(batch) for batch in _batches(long)]
    assert sum(sizes) == 300
    assert max(sizes) * 256 * 12 <= 400 * 1024


def test_r8_lines_are_printed_and_ids_only_if_asked() -> None:
    malformed = [Line(number, f"erika-{number}", "the id is missing") for number in range(2, 25)]
    sent = Sent(dry_run=False, counts=Counter(accepted=3, repeated=1), malformed=malformed, batches=["fb_1"])
    lines = describe(sent, show_ids=False)
    assert lines[0] == "3 accepted, 0 already asked, 1 repeated in the file, 23 malformed"
    assert lines[1:3] == ["batch fb_1", "line 2: the id is missing"]
    assert lines[-1].startswith("and 3 more")
    assert "erika" not in f"{lines}{to_plain(sent)}"
    assert "line 2: the id is missing ('erika-2')" in describe(sent, show_ids=True)
