"""The folders through which adapters reach the vLLM server: one for each version, in a place that both machines see.

A folder is also a record. It is written before the server hears of its version and removed after the server has been
seen to have let go of it, so whatever is found here may still be in the server's memory, even after this process was
killed.
"""

from __future__ import annotations

import re
import shutil
import uuid
from pathlib import Path, PurePosixPath

import torch

from recommender import Adapter, ModelLoadError

_DIGEST = re.compile(r"[0-9a-f]{64}")
_MARK = "lethe-place"
_PARTIAL, _BLANK, _LEAVING = "partial-", "blank-", "leaving-"


class AdapterFolders:
    """Ordinary PEFT folders under one place.

    Args:
        place: where this process writes; made if it is missing. It is this gateway's alone.
        seen_as: the same place as the server's machine names it.

    Attributes:
        mark: what tells this place from every other one, also from one that was emptied since. Kept in a file there.
    """

    def __init__(self, place: Path, seen_as: str) -> None:
        self._place = place
        self._seen_as = PurePosixPath(seen_as)
        place.mkdir(parents=True, exist_ok=True, mode=0o755)
        for leftover in [*place.glob(f"{_PARTIAL}*"), *place.glob(f"{_BLANK}*")]:
            shutil.rmtree(leftover, ignore_errors=True)
        self.mark = self._read_mark()

    def versions(self) -> set[str]:
        """Digests of the versions that have a folder, hidden or not."""
        names = {path.name.removeprefix(_LEAVING) for path in self._place.iterdir()}
        return {name for name in names if is_version(name)}

    def write(self, digest: str, adapter: Adapter) -> str:
        """Write a version's folder, in one step and anew if it is there. Returns its path on the server's machine."""
        return self._put(digest, adapter)

    def write_blank(self, digest: str) -> tuple[str, str] | None:
        """An adapter of the same shape that changes nothing: its name, and its path on the server's machine.

        None if there is no folder whose shape it could have; that of another version will do.
        """
        for source in [digest, *sorted(self.versions())]:
            adapter = self._read(source)
            if adapter is None:
                continue
            zeros = {name: torch.zeros_like(tensor) for name, tensor in adapter.tensors.items()}
            name = f"{_BLANK}{uuid.uuid4().hex}"
            return name, self._put(name, adapter.replace(zeros))
        return None

    def hide(self, digest: str) -> None:
        """Move a version's folder to where the server does not find it. It is still a record."""
        folder = self._place / digest
        if folder.exists():
            hidden = self._place / f"{_LEAVING}{digest}"
            if hidden.exists():
                shutil.rmtree(hidden)
            folder.rename(hidden)

    def remove(self, name: str) -> None:
        """Remove a folder, hidden or not.

        Raises:
            OSError: something of it is left.
        """
        for folder in (self._place / name, self._place / f"{_LEAVING}{name}"):
            if folder.exists():
                shutil.rmtree(folder)

    def _read_mark(self) -> str:
        file = self._place / _MARK
        if not file.exists() or not file.read_text():
            partial = self._place / f"{_MARK}.partial"
            partial.write_text(uuid.uuid4().hex)
            partial.rename(file)
        return file.read_text()

    def _read(self, digest: str) -> Adapter | None:
        for folder in (self._place / digest, self._place / f"{_LEAVING}{digest}"):
            try:
                return Adapter.load(folder)
            except (ModelLoadError, OSError):
                continue
        return None

    def _put(self, name: str, adapter: Adapter) -> str:
        partial = self._place / f"{_PARTIAL}{uuid.uuid4().hex}"
        adapter.save(partial)
        self.remove(name)
        partial.rename(self._place / name)
        return str(self._seen_as / name)


def is_version(name: str) -> bool:
    """Whether this is a version's digest."""
    return _DIGEST.fullmatch(name) is not None
