"""Recognition of files that are not UTF-8 text, with advice how to convert them."""

import re
from pathlib import Path

from recommender.errors import DataError

SAMPLE_BYTES = 8
_BYTE_ORDER_MARKS = (
    # UTF-32 first: its mark starts with that of UTF-16.
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)
# Positions of NUL bytes at the start of a file, by encoding. A file starts with the name of a column or with a brace.
_NUL_BYTES: dict[tuple[bool, ...], str] = {
    (False, True, False, True): "UTF-16LE",
    (True, False, True, False): "UTF-16BE",
    (False, True, True, True): "UTF-32LE",
    (True, True, True, False): "UTF-32BE",
}
_ARCHIVES = (
    (b"\x1f\x8b", "gzip"),
    (b"PK\x03\x04", "zip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"PAR1", "Parquet"),
)
# Characters that reading with `surrogateescape` produces for bytes that are not UTF-8.
_UNDECODABLE = re.compile("[\udc80-\udcff]")


def refuse_what_is_no_text(path: Path, start: bytes, *, utf8: bool) -> None:
    """Check the first `SAMPLE_BYTES` bytes of a file; with `utf8`, the file should be UTF-8.

    Raises:
        DataError: it is an archive, or text in UTF-16 or UTF-32 where UTF-8 is expected.
    """
    for magic, archive in _ARCHIVES:
        if start.startswith(magic):
            raise DataError(f"{path} is no text but a {archive} file; unpack or convert it first")
    if not utf8:
        return
    for mark, encoding in _BYTE_ORDER_MARKS:
        if start.startswith(mark):
            raise _not_utf8(path, f"it begins like {encoding}", encoding)
    found = _NUL_BYTES.get(tuple(byte == 0 for byte in start[:4]))
    if found is not None:
        raise _not_utf8(path, f"its NUL bytes lie like those of {found}", found)


def undecodable(line: str) -> bool:
    """Whether a line, read with `surrogateescape`, holds bytes that are not valid in its encoding."""
    return _UNDECODABLE.search(line) is not None


def unknown_encoding(path: Path) -> DataError:
    """The error for a file that is not UTF-8, UTF-16 or UTF-32."""
    return _not_utf8(path, "perhaps Latin-1 or Windows-1252", "WINDOWS-1252")


def _not_utf8(path: Path, why: str, encoding: str) -> DataError:
    return DataError(
        f"{path} is not UTF-8, {why}; convert it first: iconv -f {encoding} -t UTF-8 {path.name} > CONVERTED"
    )
