"""Entries of the erasure journal.

One create-only object per suppression epoch. The journal exists so that a database restored from an
old backup learns again whom it had forgotten; it therefore holds what re-creating a suppression needs,
and no raw user id: subjects appear as keyed HMACs only.
"""

from dataclasses import dataclass
from typing import ClassVar

from model_store.digests import is_digest
from model_store.errors import InvalidJournalEntry, InvalidRecord
from model_store.records import Record

MAX_EPOCH = 10**12 - 1


@dataclass(frozen=True)
class JournalEntry(Record):
    """One suppression, by the same values whoever writes it, so that writing it twice is harmless.

    ``epoch``          1 ... 10^12 - 1, unique, assigned by the database;
    ``subject_hmac``   HMAC-SHA256 of the subject, 64 lower-case hexadecimal characters;
    ``suppressed_at``  when the suppression was accepted, ISO 8601 with an offset.

    Raises :class:`InvalidJournalEntry`.
    """

    WHAT: ClassVar[str] = "journal entry"
    REFUSED: ClassVar[type[InvalidRecord]] = InvalidJournalEntry
    LOST: ClassVar[str] = "whom it suppresses"
    FOLDER: ClassVar[str] = "journal"
    DIGITS: ClassVar[int] = len(str(MAX_EPOCH))

    epoch: int
    subject_hmac: str
    suppressed_at: str

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_integer("epoch", 1, MAX_EPOCH)
        if not is_digest(self.subject_hmac):
            # The value is not echoed: it could be the raw id somebody forgot to key.
            raise InvalidJournalEntry("subject_hmac: expected 64 lower-case hexadecimal characters")
        self._require_moment("suppressed_at")

    @property
    def place(self) -> int:
        """Its epoch."""
        return self.epoch
