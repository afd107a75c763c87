"""Whom an adapter, or what is stored with it, has read: a record with each version of who may be known to it.

An edited adapter keeps the record of the fit that it descends from: an edit takes nobody out of what was read.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

import safetensors.torch
import torch

from model_store import BlobMissing, Store, VersionDestroyed, read_version

READERSHIP = "readership.safetensors"
_BYTES = 32
_TENSOR = "subjects"


class Anybody:
    """The readers of a version that has no record of them: it may have read anybody."""

    def __contains__(self, subject: object) -> bool:
        return True


@dataclass(frozen=True)
class Readership:
    """Subjects by their HMAC, 32 bytes each, sorted: 32 MB for a million people, looked up without a copy."""

    rows: bytes

    @classmethod
    def of(cls, subjects: Iterable[str]) -> Readership:
        """The record of these subjects, each 64 hexadecimal digits."""
        return cls(b"".join(sorted({bytes.fromhex(subject) for subject in subjects})))

    def __contains__(self, subject: object) -> bool:
        if not isinstance(subject, str):
            return False
        wanted, rows = bytes.fromhex(subject), _Rows(self.rows)
        place = bisect_left(rows, wanted)
        return place < len(rows) and rows[place] == wanted

    def __len__(self) -> int:
        return len(self.rows) // _BYTES

    def __iter__(self) -> Iterator[str]:
        rows = _Rows(self.rows)
        return (rows[place].hex() for place in range(len(rows)))

    def to_bytes(self) -> bytes:
        """One uint8 tensor [people, 32] as safetensors; the same people give the same bytes."""
        tensor = torch.frombuffer(bytearray(self.rows), dtype=torch.uint8) if self.rows else torch.empty(0)
        return safetensors.torch.save({_TENSOR: tensor.to(torch.uint8).reshape(-1, _BYTES)})

    @classmethod
    def from_bytes(cls, data: bytes) -> Readership:
        """The reverse of `to_bytes`; `read_version` has checked digest and form."""
        return cls(safetensors.torch.load(data)[_TENSOR].numpy().tobytes())


class _Rows:
    """What a binary search needs."""

    def __init__(self, rows: bytes) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows) // _BYTES

    def __getitem__(self, place: int) -> bytes:
        return self._rows[place * _BYTES : (place + 1) * _BYTES]


def read_readership(store: Store, digest: str) -> Readership | None:
    """Whom this version has read; None where it has no record or has lost it, and so may have read anybody.

    Raises:
        StoreError: there is no such version, it was destroyed, or it is damaged.
    """
    if READERSHIP not in store.read_manifest(digest).blobs:
        return None
    try:
        _, artefacts = read_version(store, digest, [READERSHIP])
    except BlobMissing:
        return None
    return Readership.from_bytes(artefacts[READERSHIP])


def read_by_version(
    store: Store, subjects: Collection[str], *, but: str | None = None
) -> dict[str, frozenset[str]]:
    """Per version that exists (``but`` this one), those of these subjects whom it has read or may have read.

    Raises:
        StoreError: the store does not answer, or a version is damaged.
    """
    found = {}
    for digest in store.versions():
        if digest == but or store.is_destroyed(digest):
            continue
        try:
            readership = read_readership(store, digest)
        except VersionDestroyed:
            continue
        readers = Anybody() if readership is None else readership
        found[digest] = frozenset(subject for subject in subjects if subject in readers)
    return found
