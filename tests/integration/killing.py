"""A worker that is killed at one step of its work."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the product catches it."""


@contextmanager
def killed_at(step: str, *, after: bool = False) -> Iterator[None]:
    """The block ends where it comes to this function, named with its module: before the function, or after it."""
    real = pkgutil.resolve_name(step)

    def die(*arguments: Any, **named: Any) -> None:
        if after:
            real(*arguments, **named)
        raise Killed

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(step, die)
        with pytest.raises(Killed):
            yield
