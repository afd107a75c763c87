"""Parses events that callers send, by the rules for ids and times."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import (
    ValidationError,
)

from app.errors import validation_failed
from app.interactions.schemas import IngestBody
from app.interactions.service import NewInteraction
from app.json_bodies import require_names_once
from app.subjects import SubjectKey
from inputs import InvalidInput, identifier, moment, number_as_id

Read = TypeVar("Read")


def read_events(content: bytes, key: SubjectKey) -> list[NewInteraction]:
    """The events of a JSON body, in their order. Each user id is replaced by the subject.

    Raises:
        RequestValidationError: the body is not JSON, or does not have the expected structure.
        Problem: 422, an id or a time is invalid; the problem says in which event.
    """
    require_names_once(content)
    try:
        body = IngestBody.model_validate_json(content)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        raise RequestValidationError([{**item, "loc": ("body", *item["loc"])} for item in found]) from None
    subjects = _Column("user_id", "invalid_id", "the id", lambda value: key.subject(_text(value)))
    items = _Column("item_id", "invalid_id", "the id", lambda value: identifier(_text(value)))
    times = _Column("timestamp", "invalid_time", "the time", lambda value: moment(value).seconds)
    events: list[NewInteraction] = []
    errors: list[dict[str, str]] = []
    for number, event in enumerate(body.interactions):
        subject, item, time = (
            subjects.read(event.user_id, number, errors),
            items.read(event.item_id, number, errors),
            times.read(event.timestamp, number, errors),
        )
        if subject is not None and item is not None and time is not None:
            events.append(NewInteraction(subject, item, time, event.rating))
    if errors:
        raise validation_failed(errors)
    return events


def _text(value: str | float) -> str:
    return value if isinstance(value, str) else number_as_id(value)


class _Column(Generic[Read]):
    """One field of all events. A batch repeats the same ids often, so each distinct value is parsed once."""

    def __init__(self, name: str, code: str, what: str, read: Callable[[str | float], Read]) -> None:
        self._name, self._code, self._what, self._read = name, code, what, read
        self._known: dict[str | float, Read] = {}

    def read(self, value: str | float, number: int, errors: list[dict[str, str]]) -> Read | None:
        if value not in self._known:
            try:
                self._known[value] = self._read(value)
            except InvalidInput as error:
                pointer = f"/body/interactions/{number}/{self._name}"
                errors.append({"pointer": pointer, "code": self._code, "message": f"{self._what} {error}"})
                return None
        return self._known[value]
