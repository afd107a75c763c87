"""A typed client of Lethe's API: `Client`, and `AsyncClient` for async code. Needs httpx and pydantic only."""

from lethe_client.aio.client import AsyncClient
from lethe_client.errors import (
    Conflict,
    ConnectionFailed,
    FieldError,
    Forbidden,
    InvalidRequest,
    LetheError,
    NeedsAttention,
    NotFound,
    ProblemError,
    Unauthenticated,
    Unavailable,
    UnexpectedAnswer,
    WaitTimeout,
)
from lethe_client.sync.client import Client

__all__ = [
    "AsyncClient",
    "Client",
    "Conflict",
    "ConnectionFailed",
    "FieldError",
    "Forbidden",
    "InvalidRequest",
    "LetheError",
    "NeedsAttention",
    "NotFound",
    "ProblemError",
    "Unauthenticated",
    "Unavailable",
    "UnexpectedAnswer",
    "WaitTimeout",
]
