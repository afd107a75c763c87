"""The trace that a request belongs to, by W3C Trace Context: the header `traceparent`, level 1."""

from __future__ import annotations

import re

HEADER = "traceparent"
# Of a version that is not known yet only the first four fields count, and more may follow.
_FORM = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
_MOST_CHARACTERS = 256


def trace_id(offered: str) -> str | None:
    """The trace that a header names, as 32 hexadecimal digits; None if it is not valid, as if there were none."""
    if len(offered) > _MOST_CHARACTERS:
        return None
    found = _FORM.fullmatch(offered)
    if found is None or (found[1] == "00" and found[3] is not None):
        return None
    return found[2]
