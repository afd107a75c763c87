"""Names the code that runs: the release, and a digest of the sources that make up the procedure.

Pure module: it imports nothing of ours.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path

# What computes an edit and its measures. A gateway's image may lack some of it.
_ROOMS = ("inputs", "recommender", "unlearning", "worker")


@cache
def release() -> str:
    """For example ``lethe 0.1.0 sources 0f3a…``. Two processes with the same sources give the same text.

    The digest is over the names and digests of all Python and JSON files of these rooms, as they are now: call it once
    when a process starts, before somebody installs another release under it.
    """
    root = Path(__file__).parents[1]
    files = sorted(
        path.relative_to(root).as_posix()
        for room in _ROOMS
        for path in (root / room).rglob("*")
        if path.suffix in (".py", ".json")
    )
    digest = hashlib.sha256()
    for name in files:
        digest.update(f"{hashlib.sha256((root / name).read_bytes()).hexdigest()}  {name}\n".encode())
    return f"lethe {version('lethe')} sources {digest.hexdigest()}"
