"""A file with one user id per line."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.subjects import SubjectKey
from worker.first_fit.errors import FirstFitError
from worker.first_fit.importing import read_ids

KEY = SubjectKey(b"a secret of at least thirty-two bytes")


def test_lines_end_as_files_end_them_and_blank_ones_are_nobody(tmp_path: Path) -> None:
    (tmp_path / "ids").write_bytes("\ufeffa|b\r\n\n \t\n42.0\nlast".encode())
    assert read_ids(tmp_path / "ids", KEY) == {KEY.subject(user) for user in ("a|b", "42", "last")}


@pytest.mark.parametrize("between", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"])
def test_what_is_no_line_end_does_not_make_two_people_of_one(tmp_path: Path, between: str) -> None:
    (tmp_path / "ids").write_bytes(f"first\na{between}b\n".encode())
    with pytest.raises(FirstFitError, match="line 2: the user id holds a control character"):
        read_ids(tmp_path / "ids", KEY)


def test_another_encoding_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "ids").write_bytes("Jos\xe9\n".encode("latin-1"))
    with pytest.raises(FirstFitError, match="it is not UTF-8"):
        read_ids(tmp_path / "ids", KEY)
    with pytest.raises(FirstFitError, match="No such file"):
        read_ids(tmp_path / "none", KEY)
