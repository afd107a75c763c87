"""The answer where the log, or what is derived from it, is not as it was recorded."""

from __future__ import annotations

from http import HTTPStatus

from app.errors import Problem


def log_contradicted() -> Problem:
    return Problem(
        HTTPStatus.CONFLICT,
        "log-contradicted",
        "The audit log does not hold this as it was recorded; lethe audit verify says what is wrong.",
    )
