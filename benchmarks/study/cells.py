"""Finished cells on disk, which a killed study does not have to make again."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from unlearning.records import canonical_json, sha256_hex

# Not part of the digest, because a cell's key contains its configuration.
_TUNED = Path(__file__).parent / "tuned.json"
# Everything that a cell's figures can depend on. It is part of every key, so that no table mixes old and new code.
_SOURCES = ("inputs", "recommender", "unlearning", "benchmarks/study", "benchmarks/styles")
_SOURCE_FILES = (
    "benchmarks/basis.py",
    "benchmarks/fits.py",
    "benchmarks/gate/batches.py",
    "benchmarks/gate/trials.py",
    "benchmarks/gate/truth.py",
    "benchmarks/gate/worlds.py",
    "benchmarks/popularity.py",
    "benchmarks/population.py",
    "benchmarks/sequence/measures.py",
    "benchmarks/sequence/walk.py",
)


@cache
def code_digest() -> str:
    """A digest of the code that makes cells: of every Python and JSON file of these folders, by path."""
    root = Path(__file__).parents[2]
    files = [root / name for name in _SOURCE_FILES] + sorted(
        path
        for folder in _SOURCES
        for path in (root / folder).rglob("*")
        if path.suffix in (".py", ".json") and path != _TUNED
    )
    return sha256_hex(
        canonical_json([[str(path.relative_to(root)), sha256_hex(path.read_bytes())] for path in files])
    )


class Cells:
    """Cells, named by the content that determines them. A cell is written completely or not at all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    @staticmethod
    def key(content: Mapping[str, Any]) -> str:
        """The name of a cell: a digest of everything its figures depend on."""
        return sha256_hex(canonical_json({"code": code_digest(), **content}))[:32]

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
        """How many of these cells exist."""
        return sum((self._folder / f"{key}.json").is_file() for key in keys)
