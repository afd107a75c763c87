"""The readership: the record, kept with each version, of whom its fit has read and who may thus be known to it.

An edited adapter keeps the record of the fit that it descends from, because an edit cannot undo a reading.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from model_store import (
    BlobMissing,
    DigestMismatch,
    HostileArtefact,
    Store,
    VersionDestroyed,
    inspect_safetensors,
    read_version,
)

READERSHIP = "readership.safetensors"
# One subject's HMAC.
ROW_BYTES = 32
# The names of the artefact's two tensors.
SUBJECTS, PARTLY = "subjects", "partly"


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
        return cls(joined(subjects), frozenset(partly))

    def __contains__(self, subject: object) -> bool:
        if not isinstance(subject, str):
            return False
        wanted, rows = bytes.fromhex(subject), _Rows(self.rows)
        index = bisect_left(rows, wanted)
        return index < len(rows) and rows[index] == wanted

    def __len__(self) -> int:
        return len(self.rows) // ROW_BYTES

    def __iter__(self) -> Iterator[str]:
        rows = _Rows(self.rows)
        return (rows[index].hex() for index in range(len(rows)))

    @classmethod
    def from_bytes(cls, data: bytes) -> Readership:
        """The record in a stored artefact, which `worker.readership_artefact` has written.

        Raises:
            HostileArtefact: it is no such artefact.
        """
        tensors = inspect_safetensors(data)
        # The tensors end where the file ends: `inspect_safetensors` has checked that.
        start = len(data) - max((info.end for info in tensors.values()), default=0)

        def rows(name: str) -> bytes:
            info = tensors.get(name)
            if info is None or info.dtype != "U8" or info.shape[1:] != (ROW_BYTES,):
                raise HostileArtefact(f"{READERSHIP}: {name} must be rows of {ROW_BYTES} bytes")
            return data[start + info.begin : start + info.end]

        partly = _Rows(rows(PARTLY))
        return cls(rows(SUBJECTS), frozenset(partly[index].hex() for index in range(len(partly))))


def joined(subjects: Iterable[str]) -> bytes:
    """The rows of these subjects, sorted, each once."""
    return b"".join(sorted({bytes.fromhex(subject) for subject in subjects}))


class _Rows:
    """The rows as a sequence, for a binary search without a copy."""

    def __init__(self, rows: bytes) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows) // ROW_BYTES

    def __getitem__(self, index: int) -> bytes:
        return self._rows[index * ROW_BYTES : (index + 1) * ROW_BYTES]


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
