"""Expected failures in one line, for the command line and for a worker's child that has no terminal of its own.

Pure module: it imports nothing of what it describes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class SettingError(Exception):
    """A setting cannot be used; the message names it and says what is the matter."""


@contextmanager
def naming(setting: str, *kinds: type[Exception]) -> Iterator[None]:
    """Whatever of these kinds is raised inside is about this setting, and its message begins with the name."""
    try:
        yield
    except kinds as error:
        raise type(error)(f"{setting}: {error}") from error


def describe(error: Exception) -> str | None:
    """The line to print, or None for a defect. Looks only at packages that are loaded: no other can have raised it."""
    if isinstance(error, SettingError):
        return _one_line(error)
    for module, root, about in (
        ("app.db.errors", "DatabaseError", ""),
        ("model_store", "StoreError", "LETHE_STORE_URL: "),
        ("recommender", "RecommenderError", ""),
        ("unlearning", "UnlearningError", ""),
        ("worker.first_fit.errors", "FirstFitError", ""),
    ):
        loaded = sys.modules.get(module)
        if loaded is not None and isinstance(error, getattr(loaded, root)):
            return about + _one_line(error)
    pydantic = sys.modules.get("pydantic")
    if pydantic is not None and isinstance(error, pydantic.ValidationError):
        return "; ".join(_setting(item) for item in error.errors())
    return None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _setting(item: dict[str, object]) -> str:
    location = item["loc"]
    assert isinstance(location, tuple)
    message = str(item["msg"]).removeprefix("Value error, ")
    return f"LETHE_{'_'.join(str(part).upper() for part in location)}: {message}" if location else message
