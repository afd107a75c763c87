"""How the pool's child tells the command that started it why it cannot work: the child has no terminal of its own."""

from __future__ import annotations

import os
import tempfile
from functools import cached_property


class StartFailure:
    """A file without a name, open in the parent before the fork and so in every child."""

    @cached_property
    def _file(self) -> int:
        descriptor, path = tempfile.mkstemp()
        os.unlink(path)  # noqa: PTH108  (a descriptor is wanted, not a path)
        return descriptor

    def open(self) -> None:
        """In the parent, before it forks."""
        assert self._file >= 0

    def write(self, message: str) -> None:
        """In the child; the last word counts."""
        data = message.encode()
        os.pwrite(self._file, data, 0)
        os.ftruncate(self._file, len(data))

    def read(self) -> str | None:
        """In the parent: what a child wrote, None if none did."""
        return os.pread(self._file, 100_000, 0).decode() or None


start_failure = StartFailure()
