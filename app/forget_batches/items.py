"""Parses a batch: each item is valid, or has errors of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError

from app.errors import Problem, described
from app.forget_batches.schemas import MAX_BYTES, MAX_ITEMS, BatchBody
from app.forget_requests.schemas import ForgetUserBody
from app.json_bodies import NAME_TWICE, has_name_twice, require_names_once
from app.json_lines import lines_of
from app.subjects import SubjectKey

_ERRORS_SHOWN = 5
_ANYTHING = TypeAdapter(Any)
# A line of its own has no other line. Which one of the batch it is, the item's position says.
_PLACE = "at line 1 column"


@dataclass(frozen=True)
class Item:
    """One item. Either ``subject`` and ``body`` are set, or ``errors``."""

    subject: str | None
    body: ForgetUserBody | None
    errors: Sequence[dict[str, str]] = ()


def read_items(content: bytes, key: SubjectKey, *, in_lines: bool = False) -> list[Item]:
    """The items of a body, in their order.

    Args:
        in_lines: the body has one item on each line, and blank lines, which count for nothing. Otherwise it is JSON.

    Raises:
        RequestValidationError: the body is not JSON, or no list of items; or no line is an item.
        Problem: 413, there are too many items or too many bytes.
    """
    if len(content) > MAX_BYTES:
        raise _too_large()
    return _of_lines(content, key) if in_lines else _of_json(content, key)


def _of_lines(content: bytes, key: SubjectKey) -> list[Item]:
    lines = lines_of(content)
    if not lines:
        empty = {
            "type": "too_short",
            "loc": ("body",),
            "msg": "A batch has at least one item, on a line of its own",
        }
        raise RequestValidationError([empty])
    if len(lines) > MAX_ITEMS:
        raise _too_large()
    return [_of_line(line, key) for line in lines]


def _of_line(line: bytes, key: SubjectKey) -> Item:
    try:
        # As the items of a JSON body are read: first as JSON, then as an item.
        sent = _ANYTHING.validate_json(line)
    except ValidationError as error:
        found = described(error.errors()[0])
        return Item(None, None, [found | {"message": found["message"].replace(_PLACE, "at column")}])
    if has_name_twice(line):
        return Item(None, None, [{"pointer": "/", "code": "json_invalid", "message": NAME_TWICE}])
    return _item(sent, key)


def _of_json(content: bytes, key: SubjectKey) -> list[Item]:
    require_names_once(content)
    try:
        body = BatchBody.model_validate_json(content)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        raise RequestValidationError([{**item, "loc": ("body", *item["loc"])} for item in found]) from None
    if len(body.items) > MAX_ITEMS:
        raise _too_large()
    return [_item(sent, key) for sent in body.items]


def _item(sent: object, key: SubjectKey) -> Item:
    try:
        body = ForgetUserBody.model_validate(sent)
    except ValidationError as error:
        return Item(None, None, [described(found) for found in error.errors()[:_ERRORS_SHOWN]])
    return Item(key.subject(body.user_id), body)


def _too_large() -> Problem:
    return Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "batch-too-large",
        f"A batch has at most {MAX_ITEMS} items and {MAX_BYTES} bytes; send it in parts.",
        max_items=MAX_ITEMS,
        max_bytes=MAX_BYTES,
    )
