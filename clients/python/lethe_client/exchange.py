"""What goes out and what comes in, without any waiting: both clients share it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

import httpx
from pydantic import TypeAdapter, ValidationError

from lethe_client.errors import (
    BY_STATUS,
    ConnectionFailed,
    LetheError,
    ProblemError,
    Unavailable,
    UnexpectedAnswer,
)
from lethe_client.models import AcceptedRequest, ForgetRequest

T = TypeVar("T")
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 60.0
_PROBLEM = "application/problem+json"


class Call(NamedTuple):
    """One call of the API. It is safe to repeat if it reads, or has a key by which the service knows a repeat."""

    method: str
    path: str
    parameters: Mapping[str, Any] = {}
    body: Mapping[str, Any] | None = None
    idempotency_key: str | None = None
    # A status that is an answer to this call, and no failure.
    also: int | None = None

    @property
    def is_safe(self) -> bool:
        """Whether the call may be sent again without its first answer."""
        return self.method == "GET" or self.idempotency_key is not None

    def as_request(self) -> dict[str, Any]:
        """Arguments of a request of httpx. What is None is not sent."""
        headers = {} if self.idempotency_key is None else {"Idempotency-Key": self.idempotency_key}
        return {
            "method": self.method,
            "url": self.path,
            "params": _said(self.parameters),
            # A call without a body and one whose fields are all left out are the same to the service.
            "json": _said(self.body or {}) or None,
            "headers": headers,
        }


def address(base: str) -> str:
    """The address of the service, without a slash at its end."""
    return base.rstrip("/")


def segment(text: str) -> str:
    """A value as one segment of a path."""
    return quote(text, safe="")


def id_of(link: str) -> str:
    """The id at the end of a link; an id is left as it is."""
    return link.rpartition("/")[2]


def failure_of(call: Call, response: httpx.Response) -> LetheError | None:
    """The error that an answer stands for; None if it is what was asked for."""
    problem = response.headers.get("Content-Type", "").partition(";")[0] == _PROBLEM
    if not problem and (response.is_success or response.status_code == call.also):
        return None
    kind = BY_STATUS.get(response.status_code, ProblemError)
    try:
        document = response.json() if problem else {}
    except ValueError:
        document = {}
    if not isinstance(document, dict) or (not document and kind is not Unavailable):
        return UnexpectedAnswer(f"{response.status_code}, and not as Lethe answers; is the address right?")
    return kind(response.status_code, document, _seconds(response.headers.get("Retry-After")))


def lost(error: httpx.TransportError) -> ConnectionFailed:
    """The error for an answer that never came. Its text is not httpx's, which can have the address in it."""
    return ConnectionFailed(f"the service did not answer ({type(error).__name__})")


def pause_before_retry(call: Call, failure: LetheError, attempt: int, retries: int) -> float | None:
    """Seconds to wait before the call is sent again; None if the failure is final.

    The service's own ``Retry-After`` counts, if it is not too long; otherwise the pause doubles each time, with jitter.
    """
    in_flight = isinstance(failure, ProblemError) and failure.code == "idempotency-in-flight"
    passing = isinstance(failure, ConnectionFailed | Unavailable) or in_flight
    if not call.is_safe or not passing or attempt >= retries:
        return None
    asked = failure.retry_after if isinstance(failure, ProblemError) else None
    if asked is not None:
        return asked if asked <= _LONGEST_PAUSE_SECONDS else None
    pause = min(_FIRST_PAUSE_SECONDS * 2.0**attempt, _LONGEST_PAUSE_SECONDS)
    return pause * random.uniform(0.5, 1.0)


def read_as(kind: type[T], response: httpx.Response) -> T:
    """The body of an answer.

    Raises:
        UnexpectedAnswer: it has another form.
    """
    try:
        return TypeAdapter(kind).validate_json(response.content)
    except ValidationError as error:
        places = ", ".join(".".join(map(str, one["loc"])) or "the body" for one in error.errors()[:5])
        # Without the error itself, which quotes the answer.
        raise UnexpectedAnswer(f"the answer has another form than this client knows: {places}") from None


def accepted(response: httpx.Response) -> AcceptedRequest:
    """The answer to a forget request. Two of its fields are headers.

    Raises:
        UnexpectedAnswer: it has another form.
    """
    request = read_as(ForgetRequest, response)
    headers = response.headers
    return AcceptedRequest(
        **dict(request),
        existing=headers.get("Forget-Request-Existing") == "true",
        receipt_salt=headers.get("Lethe-Receipt-Salt"),
    )


def _said(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _seconds(retry_after: str | None) -> float | None:
    return float(retry_after) if retry_after is not None and retry_after.isdecimal() else None
