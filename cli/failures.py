"""Turns expected failures into one line and exit code 2. Any other exception is a defect and keeps its traceback."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from app.failures import describe


class CommandError(Exception):
    """The command cannot run. The message says why and what to do."""


@contextmanager
def report_failures() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        message = str(error) if isinstance(error, CommandError) else describe(error)
        if message is None:
            raise
        print(f"lethe: {message}", file=sys.stderr)
        sys.exit(2)
