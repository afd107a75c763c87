"""Folders in memory, on Linux, for what the tests write: databases, stores and all their other small files.

For each new file, ext4 may look for an inode that was not freed in the last seconds. Where thousands of files are
written and removed at the same time, as by the tests, that search took up to half of the machine.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

_MEMORY = Path("/dev/shm")
# A container's is smaller, as a rule.
_BYTES = 4 * 2**30


def folder_in_memory(name: str) -> Path | None:
    """A new folder that others may enter; None where there is no memory for it. Whoever makes it removes it.

    Those that killed processes have left are removed.
    """
    try:
        if shutil.disk_usage(_MEMORY).free < _BYTES or not os.access(_MEMORY, os.W_OK):
            return None
    except OSError:
        return None
    for left in _MEMORY.glob(f"{name}-[0-9]*-*"):
        if not Path("/proc", left.name.removeprefix(f"{name}-").partition("-")[0]).exists():
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-{os.getpid()}-", dir=_MEMORY))
    folder.chmod(0o755)
    return folder
