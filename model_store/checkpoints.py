"""Checkpoints of the audit log: how far it had come, recorded outside the database that holds the log.

Somebody with write access to the database can delete the log or its tail. They cannot delete the checkpoints in the
store, and without the key of the audit log they cannot forge one.
"""

from dataclasses import dataclass
from typing import ClassVar

from model_store.digests import is_digest
from model_store.errors import InvalidCheckpoint, InvalidRecord
from model_store.records import Record
from model_store.timelines import MAX_NUMBER

MAX_SEQUENCE = 10**12 - 1


@dataclass(frozen=True)
class Checkpoint(Record):
    """The last entry of the log at some time. Every process writes the same values for the same entry.

    ``timeline``  number of the timeline that the entry was written in;
    ``sequence``  1 ... 10^12 - 1, of the entry;
    ``head``      the entry's MAC, 64 lower-case hexadecimal characters;
    ``seal``      HMAC-SHA256 of the fields above under the key of the audit log, which the store does not know.

    Raises :class:`InvalidCheckpoint`.
    """

    WHAT: ClassVar[str] = "checkpoint"
    REFUSED: ClassVar[type[InvalidRecord]] = InvalidCheckpoint
    LOST: ClassVar[str] = "how far the audit log had come"
    FOLDER: ClassVar[str] = "checkpoints"
    DIGITS: ClassVar[int] = len(str(MAX_NUMBER)) + len(str(MAX_SEQUENCE))

    timeline: int
    sequence: int
    head: str
    seal: str

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_integer("timeline", 1, MAX_NUMBER)
        self._require_integer("sequence", 1, MAX_SEQUENCE)
        for name in ("head", "seal"):
            if not is_digest(getattr(self, name)):
                raise InvalidCheckpoint(f"{name}: expected 64 lower-case hexadecimal characters")

    @property
    def place(self) -> int:
        """A number that orders by timeline, then by sequence: a restored log counts from an earlier entry again."""
        return self.timeline * (MAX_SEQUENCE + 1) + self.sequence


def timeline_of(place: int) -> int:
    """The timeline of the checkpoint with this ``place``."""
    return place // (MAX_SEQUENCE + 1)
