"""A store's folder as an outage leaves it: read-only, full or gone. All of it is real, also as root."""

from __future__ import annotations

import ctypes
import os
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_CAPABILITIES_VERSION = 0x20080522
_OVERRIDES_PERMISSIONS = 0b110  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


@contextmanager
def read_only(root: Path) -> Iterator[None]:
    """No folder of the store can be written to by this thread."""
    folders = [root, *(path for path in root.rglob("*") if path.is_dir())]
    modes = {folder: stat.S_IMODE(folder.stat().st_mode) for folder in folders}
    for folder in folders:
        folder.chmod(0o555)
    try:
        with _without_overriding_permissions():
            yield
    finally:
        for folder, mode in modes.items():
            folder.chmod(mode)


@contextmanager
def gone(root: Path) -> Iterator[None]:
    """As a mount that was lost."""
    elsewhere = root.with_name("elsewhere")
    root.rename(elsewhere)
    try:
        yield
    finally:
        elsewhere.rename(root)


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[None]:
    """A file system of its own at `folder`; skips the test where this process may not mount one."""
    folder.mkdir(parents=True, exist_ok=True)
    size = f"size={kilobytes}k"
    mounted = (
        os.geteuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)], check=False, capture_output=True
        ).returncode
    )
    if not mounted:
        pytest.skip("mounting a small file system takes a right that this process does not have")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextmanager
def _without_overriding_permissions() -> Iterator[None]:
    """Root is above permissions; without these capabilities its owner's bits count, for this thread alone."""
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_VERSION, 0)
    # Effective, permitted, inheritable; twice, for the lower and the upper 32.
    held = (ctypes.c_uint32 * 6)()
    assert libc.capget(header, held) == 0
    left = (ctypes.c_uint32 * 6)(*held)
    left[0] &= ~_OVERRIDES_PERMISSIONS
    assert libc.capset(header, left) == 0
    try:
        yield
    finally:
        assert libc.capset(header, held) == 0
