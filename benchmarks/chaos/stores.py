"""The store of an installation under attack: on a file system of its own if this machine allows mounting one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

_MEGABYTES = 48


class AttackedStore:
    """The store's folder. If `mounted`, it can be filled and made read-only."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / ".ballast"
        folder.mkdir(parents=True, exist_ok=True)
        self.mounted = _succeeds(
            *("mount", "-t", "tmpfs", "-o", f"size={_MEGABYTES}m,mode=0700", "tmpfs", str(folder))
        )

    def fill(self) -> None:
        block = bytes(64 * 1024)
        with self._ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    if file.write(block) < len(block):
                        return
            except OSError:
                return

    def empty(self) -> None:
        self._ballast.unlink(missing_ok=True)

    def make_read_only(self) -> None:
        _succeeds("mount", "-o", "remount,ro", str(self.folder))

    def make_writable(self) -> None:
        _succeeds("mount", "-o", "remount,rw", str(self.folder))

    def close(self) -> None:
        if self.mounted:
            _succeeds("umount", "--lazy", str(self.folder))
        shutil.rmtree(self.folder, ignore_errors=True)


def _succeeds(program: str, *arguments: str) -> bool:
    found = shutil.which(program)
    return (
        found is not None
        and subprocess.run([found, *arguments], check=False, capture_output=True).returncode == 0
    )
