"""Describes expected failures in one line, for the command line and for a worker's child process.

Pure module: it does not import the packages whose errors it describes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class SettingError(Exception):
    """A setting cannot be used. The message names the setting and says why."""


@contextmanager
def naming(setting: str, *kinds: type[Exception]) -> Iterator[None]:
    """Put the setting's name before the message of every exception of these kinds that the block raises."""
    try:
        yield
    except kinds as error:
        raise type(error)(f"{setting}: {error}") from error


def describe(error: Exception) -> str | None:
    """The line to print; None for a defect. Checks loaded packages only: no other can have raised the error."""
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
