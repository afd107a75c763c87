"""Expected failures as one line and exit code 2; anything else is a defect and keeps its traceback."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class CommandError(Exception):
    """The command cannot run; the message says why and what to do."""


@contextmanager
def report_failures() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        message = _expected(error)
        if message is None:
            raise
        print(f"lethe: {message}", file=sys.stderr)
        sys.exit(2)


def _expected(error: Exception) -> str | None:
    """The line to print, or None for a defect. Looks only at packages that are loaded: no other can have raised it."""
    if isinstance(error, CommandError):
        return str(error)
    for module, root in (
        ("app.db.errors", "DatabaseError"),
        ("model_store", "StoreError"),
        ("recommender", "RecommenderError"),
        ("unlearning", "UnlearningError"),
    ):
        loaded = sys.modules.get(module)
        if loaded is not None and isinstance(error, getattr(loaded, root)):
            return " ".join(str(error).split())
    pydantic = sys.modules.get("pydantic")
    if pydantic is not None and isinstance(error, pydantic.ValidationError):
        return "; ".join(_setting(item) for item in error.errors())
    return None


def _setting(item: dict[str, object]) -> str:
    location = item["loc"]
    assert isinstance(location, tuple)
    message = str(item["msg"]).removeprefix("Value error, ")
    return f"LETHE_{'_'.join(str(part).upper() for part in location)}: {message}" if location else message
