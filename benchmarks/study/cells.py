"""Finished cells on disk: what a killed study does not have to do again."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unlearning.records import canonical_json, sha256_hex

# Part of every key: raise it when what a cell measures changes, so that old and new cells never share a table.
SCHEMA = 1


class Cells:
    """Cells by the content that determines them; a cell is written whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    @staticmethod
    def key(content: Mapping[str, Any]) -> str:
        """The name of a cell: a digest of everything its figures depend on."""
        return sha256_hex(canonical_json({"schema": SCHEMA, **content}))[:32]

    def get(self, key: str) -> dict[str, Any] | None:
        """A finished cell, or None."""
        path = self._folder / f"{key}.json"
        return dict(json.loads(path.read_text())) if path.is_file() else None

    def put(self, key: str, cell: Mapping[str, Any]) -> None:
        """Keep a cell."""
        descriptor, temporary = tempfile.mkstemp(dir=self._folder, suffix=".partial")
        with os.fdopen(descriptor, "w") as file:
            json.dump(cell, file, allow_nan=False)
        Path(temporary).replace(self._folder / f"{key}.json")

    def finished(self, keys: frozenset[str]) -> int:
        """How many of these are there."""
        return sum((self._folder / f"{key}.json").is_file() for key in keys)
