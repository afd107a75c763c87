"""Tells which errors of a driver mean that the database cannot be used now, and which are our own defects."""

from __future__ import annotations

from typing import Any

from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

# SQLSTATE codes, by class or in full. Invalid values (22), violated constraints (23) and wrong SQL (most of 42) are
# defects.
_STATES = (
    "08",  # connection
    "0A000",  # not supported: the server is too old
    "25006",  # read-only
    "28",  # role or password
    "3D",  # no such database
    "3F",  # no such schema
    "42501",  # insufficient privilege
    "42P01",  # no such table
    "42703",  # no such column: another release's table
    "53",  # disk, memory, connections
    "55",  # locked
    "57",  # shut down, cancelled
    "58",  # system error of the server, such as I/O
    "XX",  # damaged
)
_SQLITE_CODES = ("SQLITE_NOTADB", "SQLITE_CORRUPT")
_HINTS = {"42P01": "lethe migrate", "42703": "lethe migrate", "no such": "lethe migrate"}


def reason_of(error: DBAPIError | PoolTimeout) -> str | None:
    """The driver's message in one line; None for a defect, which neither a retry nor another setting would cure."""
    if isinstance(error, PoolTimeout):
        return "every connection is in use"
    original = error.orig
    state = str(getattr(original, "sqlstate", None) or "")
    lines = [line.strip() for line in str(original).splitlines() if line.strip()]
    said = "; ".join(lines) or type(original).__name__
    if not (
        isinstance(error, OperationalError)
        or error.connection_invalidated
        or _is_surroundings(original, state)
    ):
        return None
    return said + next(
        (f" (run: {hint})" for sign, hint in _HINTS.items() if sign == state or sign in said), ""
    )


def _is_surroundings(original: Any, state: str) -> bool:
    if state:
        return state.startswith(_STATES)
    if getattr(original, "sqlite_errorname", "") in _SQLITE_CODES:
        return True
    # psycopg refuses an invalid option of the address before it connects, so there is no SQLSTATE.
    return "invalid connection option" in str(original)
