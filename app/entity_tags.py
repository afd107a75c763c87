"""Entity tags of answers (RFC 9110, section 8.8.3), so that whoever asks again is told that nothing has changed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection

from pydantic import BaseModel

# A tag in `If-None-Match`; whether it is weak makes no difference there.
_TAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e]*")')


def tag_of(view: BaseModel, *, without: Collection[str] = ()) -> str:
    """A weak tag of an answer.

    Args:
        without: fields that change with the time alone.
    """
    content = view.model_dump_json(exclude=set(without))
    return f'W/"{hashlib.sha256(content.encode()).hexdigest()[:32]}"'


def matches(asked: str | None, tag: str) -> bool:
    """Whether the header `If-None-Match` names this tag, compared weakly as it must be."""
    if asked is None:
        return False
    return asked.strip() == "*" or tag.removeprefix("W/") in _TAG.findall(asked)
