"""The errors that a call can raise. No text of them has an address or a user's id in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from lethe_client.models import ForgetRequestDetail


class LetheError(Exception):
    """The root of all errors of this package."""


class ConnectionFailed(LetheError):
    """No answer arrived. Whether the service did what was asked is unknown."""


class UnexpectedAnswer(LetheError):
    """The answer is not one of Lethe's. Is the address right?"""


class WaitTimeout(LetheError):
    """The request was not done in time. It goes on all the same; ``last`` is its latest state."""

    def __init__(self, last: ForgetRequestDetail) -> None:
        super().__init__(f"{last.id} is {last.status}: it waits for {last.waits_for}")
        self.last = last


class NeedsAttention(LetheError):
    """The request waits for a person, who decides with its attempts (``last``) and calls `retry`."""

    def __init__(self, last: ForgetRequestDetail) -> None:
        super().__init__(f"{last.id} needs attention: {last.detail_code}")
        self.last = last


class FieldError(NamedTuple):
    """One value that is missing or not allowed. ``pointer`` says where, for example ``/body/reason``."""

    pointer: str
    code: str
    message: str


class ProblemError(LetheError):
    """The service answered with a problem document (RFC 9457). ``code`` is the stable name of the problem.

    ``members`` has what the document says beside: for example ``status_now`` of an `illegal-transition`.
    """

    def __init__(self, status: int, document: Mapping[str, Any], retry_after: float | None = None) -> None:
        self.status = status
        self.code = str(document.get("code", ""))
        self.title = str(document.get("title", ""))
        self.detail = str(document.get("detail", ""))
        self.request_id: str | None = document.get("request_id")
        self.errors = [
            FieldError(one["pointer"], one["code"], one["message"]) for one in document.get("errors", [])
        ]
        self.members = dict(document)
        self.retry_after = retry_after
        fields = "; ".join(f"{error.pointer}: {error.message}" for error in self.errors)
        super().__init__(f"{status} {self.code}: {self.detail} {fields}".strip())


class InvalidRequest(ProblemError):
    """400, 413, 422: a value is missing, not allowed or too large; see ``errors``."""


class Unauthenticated(ProblemError):
    """401: there is no key, or it is unknown, expired or revoked."""


class Forbidden(ProblemError):
    """403: the key may not do that; ``members["scope"]`` names the scope that it lacks."""


class NotFound(ProblemError):
    """404: there is no such request or run."""


class Conflict(ProblemError):
    """409: the state does not allow it."""


class Unavailable(ProblemError):
    """429, 500, 502, 503, 504: not now. ``retry_after`` says in how many seconds, if the service knows."""


BY_STATUS: Mapping[int, type[ProblemError]] = {
    400: InvalidRequest,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: InvalidRequest,
    422: InvalidRequest,
    429: Unavailable,
    500: Unavailable,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}
