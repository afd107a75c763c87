"""The readership: the record, kept with each version, of whom its fit has read and who may thus be known to it.

An edited adapter keeps the record of the fit that it descends from, because an edit cannot undo a reading.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

import safetensors.torch
import torch
from torch import Tensor

from model_store import BlobMissing, DigestMismatch, Store, VersionDestroyed, read_version

READERSHIP = "readership.safetensors"
_BYTES = 32
_ALL, _PARTLY = "subjects", "partly"


class Anybody:
    """The readership of a version without a record: it may have read anybody."""

    def __contains__(self, subject: object) -> bool:
        return True


@dataclass(frozen=True)
class Readership:
    """Subjects by their HMAC, 32 bytes each and sorted: 32 MB for a million people, looked up without a copy.

    ``partly`` holds the subjects of whom the fit read more events than are stored. The gate can measure the stored
    events only, so its measures of these subjects say too little.
    """

    rows: bytes
    partly: frozenset[str] = frozenset()

    @classmethod
    def of(cls, subjects: Iterable[str], *, partly: Iterable[str] = ()) -> Readership:
        """The record of these subjects, each 64 hexadecimal digits."""
        return cls(_joined(subjects), frozenset(partly))

    def __contains__(self, subject: object) -> bool:
        if not isinstance(subject, str):
            return False
        wanted, rows = bytes.fromhex(subject), _Rows(self.rows)
        index = bisect_left(rows, wanted)
        return index < len(rows) and rows[index] == wanted

    def __len__(self) -> int:
        return len(self.rows) // _BYTES

    def __iter__(self) -> Iterator[str]:
        rows = _Rows(self.rows)
        return (rows[index].hex() for index in range(len(rows)))

    def to_bytes(self) -> bytes:
        """Two uint8 tensors [people, 32] as safetensors. The same people always give the same bytes."""
        return safetensors.torch.save({_ALL: _tensor(self.rows), _PARTLY: _tensor(_joined(self.partly))})

    @classmethod
    def from_bytes(cls, data: bytes) -> Readership:
        """The inverse of `to_bytes`. `read_version` has already checked digest and form."""
        tensors = safetensors.torch.load(data)
        partly = _Rows(tensors[_PARTLY].numpy().tobytes())
        return cls(
            tensors[_ALL].numpy().tobytes(), frozenset(partly[index].hex() for index in range(len(partly)))
        )


def _joined(subjects: Iterable[str]) -> bytes:
    return b"".join(sorted({bytes.fromhex(subject) for subject in subjects}))


def _tensor(rows: bytes) -> Tensor:
    if not rows:
        return torch.zeros(0, _BYTES, dtype=torch.uint8)
    return torch.frombuffer(bytearray(rows), dtype=torch.uint8).reshape(-1, _BYTES)


class _Rows:
    """The rows as a sequence, for a binary search without a copy."""

    def __init__(self, rows: bytes) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows) // _BYTES

    def __getitem__(self, index: int) -> bytes:
        return self._rows[index * _BYTES : (index + 1) * _BYTES]


def read_readership(store: Store, digest: str) -> Readership | None:
    """Whom this version has read. None if its record is missing or lost: then it may have read anybody.

    Raises:
        StoreError: there is no such version, it was destroyed, or its manifest is damaged.
    """
    if READERSHIP not in store.read_manifest(digest).blobs:
        return None
    try:
        _, artefacts = read_version(store, digest, [READERSHIP])
    except (BlobMissing, DigestMismatch):
        return None
    return Readership.from_bytes(artefacts[READERSHIP])


def read_partly(store: Store, digest: str, subjects: Collection[str]) -> frozenset[str]:
    """Those of these subjects of whom this version has read more events than are stored.

    Raises:
        StoreError: as `read_readership`.
    """
    readership = read_readership(store, digest)
    return frozenset() if readership is None else readership.partly.intersection(subjects)


def read_by_version(
    store: Store, subjects: Collection[str], *, but: str | None = None
) -> dict[str, frozenset[str]]:
    """For each version that exists (``but`` this one), those of these subjects whom it has read or may have read.

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
