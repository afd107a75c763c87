"""Records of one kind: each is created once and found by its number."""

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from model_store.errors import HostileArtefact, InvalidRecord
from model_store.objects import Objects, read_whole
from model_store.records import MAX_RECORD_BYTES, Record

_READERS, _AT_A_TIME = 16, 1024

Kind = TypeVar("Kind", bound=Record)


class Numbered(Generic[Kind]):
    """All records of one kind.

    A damaged record is never skipped, because it may have recorded that somebody is forgotten. It raises an error that
    names the object.
    """

    def __init__(self, objects: Objects, kind: type[Kind]) -> None:
        self._objects = objects
        self._kind = kind
        self._name = re.compile(rf"(\d{{{kind.DIGITS}}})\.json")

    def numbers(self) -> list[int]:
        """The numbers that are taken, in order. Costs one listing; no record is read."""
        matches = (self._name.fullmatch(name) for name in self._objects.names(self._kind.FOLDER))
        return sorted(int(match[1]) for match in matches if match)

    def create(self, record: Kind) -> bool:
        """Create the record unless its number is taken. Returns whether this call created it."""
        return self._objects.create(self._key(record.place), [record.to_bytes()])

    def read(self, number: int) -> Kind:
        """The record of this number. Raises the kind's ``REFUSED``."""
        key = self._key(number)
        try:
            data = read_whole(self._objects, key, MAX_RECORD_BYTES)
        except HostileArtefact as error:
            raise self._damaged(key, str(error)) from error
        if data is None:
            raise self._damaged(key, "it is gone")
        try:
            record = self._kind.from_bytes(data)
        except self._kind.REFUSED as error:
            raise self._damaged(key, str(error)) from error
        if record.place != number:
            raise self._damaged(key, f"it holds {record.place}")
        return record

    def read_all(self, numbers: Sequence[int]) -> Iterator[Kind]:
        """These records, in this order, several read at a time: the place may answer each only after a while.

        Raises the kind's ``REFUSED`` where the damaged record would be.
        """
        with ThreadPoolExecutor(_READERS) as pool:
            for start in range(0, len(numbers), _AT_A_TIME):
                yield from pool.map(self.read, numbers[start : start + _AT_A_TIME])

    def _key(self, number: int) -> str:
        return f"{self._kind.FOLDER}/{number:0{self._kind.DIGITS}d}.json"

    def _damaged(self, key: str, reason: str) -> InvalidRecord:
        return self._kind.REFUSED(
            f"{key} is damaged ({reason}): put this file back from a copy of the store, without it nobody knows "
            f"{self._kind.LOST}"
        )
