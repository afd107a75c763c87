"""A process whose machine's clock is wrong. The database keeps its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, tzinfo
from unittest import mock


@contextmanager
def clock_off_by(error: timedelta) -> Iterator[None]:
    """Within the block, whatever asks this process's clock for the date gets another one."""

    class WrongDatetime(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + error

    with mock.patch("app.db.base.datetime", WrongDatetime):
        yield
