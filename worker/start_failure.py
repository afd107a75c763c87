"""Tells the command that started the worker why the pool's child cannot work. The child has no terminal of its own."""

from __future__ import annotations

import os
import tempfile
from functools import cached_property


class StartFailure:
    """A file without a name. The parent opens it before the fork, so every child has it too."""

    @cached_property
    def _file(self) -> int:
        descriptor, path = tempfile.mkstemp()
        os.unlink(path)  # noqa: PTH108  (a descriptor is wanted, not a path)
        return descriptor

    def open(self) -> None:
        """Open the file; call it in the parent before the fork."""
        assert self._file >= 0

    def write(self, message: str) -> None:
        """Write the message; call it in the child. A later message replaces an earlier one."""
        data = message.encode()
        os.pwrite(self._file, data, 0)
        os.ftruncate(self._file, len(data))

    def read(self) -> str | None:
        """What a child wrote, or None; call it in the parent."""
        return os.pread(self._file, 100_000, 0).decode() or None


start_failure = StartFailure()
