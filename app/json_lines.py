"""Bodies with one JSON value on each line, as `application/x-ndjson` has them."""

from __future__ import annotations

from collections.abc import Mapping

MEDIA_TYPE = "application/x-ndjson"
# What JSON takes for space.
_SPACE = b" \t\r\n"


def are_sent(headers: Mapping[str, str]) -> bool:
    """Whether a request's headers say that its body is lines. Parameters of the media type do not count."""
    return headers.get("content-type", "").partition(";")[0].strip().lower() == MEDIA_TYPE


def lines_of(content: bytes) -> list[bytes]:
    """The lines in their order, without blank ones. The last one need not be ended.

    Only a line feed ends a line: JSON allows no other character to stand for one, and text may hold what Unicode
    calls a line separator.
    """
    return [line for line in content.split(b"\n") if line.strip(_SPACE)]
