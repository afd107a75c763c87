"""Parses a batch: each item is valid, or has errors of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from app.errors import Problem, described
from app.forget_batches.schemas import MAX_BYTES, MAX_ITEMS, BatchBody
from app.forget_requests.schemas import ForgetUserBody
from app.subjects import SubjectKey

_ERRORS_SHOWN = 5


@dataclass(frozen=True)
class Item:
    """One item. Either ``subject`` and ``body`` are set, or ``errors``."""

    subject: str | None
    body: ForgetUserBody | None
    errors: Sequence[dict[str, str]] = ()


def read_items(content: bytes, key: SubjectKey) -> list[Item]:
    """The items of a JSON body, in their order.

    Raises:
        RequestValidationError: the body is not JSON, or no list of items.
        Problem: 413, there are too many items or too many bytes.
    """
    if len(content) > MAX_BYTES:
        raise _too_large()
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
