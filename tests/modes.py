"""Whom the files that were made let in."""

from __future__ import annotations

from pathlib import Path


def open_to_others(folder: Path) -> list[Path]:
    """This folder and everything under it that somebody else than its owner may read, write or enter."""
    return [path for path in (folder, *folder.rglob("*")) if path.lstat().st_mode & 0o077]
