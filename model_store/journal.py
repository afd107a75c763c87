"""Entries of the erasure journal.

There is one create-only object per suppression epoch. A database that was restored from an old backup learns
from the journal whom it had forgotten. An entry therefore holds what is needed to create the suppression again,
and no raw user id: subjects appear as keyed HMACs only.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from model_store.digests import is_digest
from model_store.errors import InvalidJournalEntry, InvalidRecord
from model_store.records import Record

MAX_EPOCH = 10**12 - 1
# Why a suppression may be lifted. After a readmission the person's earlier data stay erased.
LIFTED_BECAUSE = ("cancelled", "denied", "readmitted")
_REQUEST = re.compile(r"fr_[0-9a-f]{32}")


@dataclass(frozen=True)
class JournalEntry(Record):
    """One suppression, or the end of one. Every process writes the same values for it, so writing it twice is harmless.

    ``epoch``          1 ... 10^12 - 1, unique, assigned by the database;
    ``subject_hmac``   HMAC-SHA256 of the subject, 64 lower-case hexadecimal characters;
    ``suppressed_at``  when the suppression was accepted or lifted, ISO 8601 with an offset;
    ``request``        the request's id, so that a restored request keeps it; None in an entry of an earlier release;
    ``lifted``         None for a suppression, or why the suppression of this request was lifted. Only these entries
                       have schema 3, so that an earlier release writes suppressions as this one does;
    ``selection``      None for a whole person, or the criteria of the events that the request selects. Only these
                       entries have schema 4.

    Raises :class:`InvalidJournalEntry`.
    """

    WHAT: ClassVar[str] = "journal entry"
    REFUSED: ClassVar[type[InvalidRecord]] = InvalidJournalEntry
    LOST: ClassVar[str] = "whom it suppresses"
    FOLDER: ClassVar[str] = "journal"
    DIGITS: ClassVar[int] = len(str(MAX_EPOCH))
    SCHEMA: ClassVar[int] = 4
    LACKS: ClassVar[Mapping[int, frozenset[str]]] = {
        1: frozenset({"request", "lifted", "selection"}),
        2: frozenset({"lifted", "selection"}),
        3: frozenset({"selection"}),
    }

    epoch: int
    subject_hmac: str
    suppressed_at: str
    request: str | None = None
    lifted: str | None = None
    selection: dict[str, Any] | None = None
    schema: int = field(default=2, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_integer("epoch", 1, MAX_EPOCH)
        if not is_digest(self.subject_hmac):
            # The message does not quote the value: it may be a raw user id that was not keyed by mistake.
            raise InvalidJournalEntry("subject_hmac: expected 64 lower-case hexadecimal characters")
        self._require_moment("suppressed_at")
        if self.request is not None and (
            self.schema == 1 or not isinstance(self.request, str) or not _REQUEST.fullmatch(self.request)
        ):
            raise InvalidJournalEntry("request: expected fr_ and 32 lower-case hexadecimal characters")
        if (self.schema == 3) != (self.lifted is not None):
            raise InvalidJournalEntry(
                "lifted: only an entry of schema 3 lifts a suppression, and each of them does"
            )
        if (self.schema == 4) != (self.selection is not None):
            raise InvalidJournalEntry(
                "selection: only an entry of schema 4 selects events, and each of them does"
            )
        if self.selection is not None:
            self._require_selection(self.selection)
        if self.lifted is not None and (self.lifted not in LIFTED_BECAUSE or self.request is None):
            raise InvalidJournalEntry(f"lifted: expected one of {', '.join(LIFTED_BECAUSE)}, and a request")

    def _require_selection(self, selection: Mapping[str, Any]) -> None:
        items = selection.get("items") if isinstance(selection, dict) else 0
        times = [selection.get(name) for name in ("after", "before", "until")] if items != 0 else [0.5]
        if (
            set(selection) != {"items", "after", "before", "until"}
            or not (items is None or (isinstance(items, list) and all(type(one) is str for one in items)))
            or not all(type(one) is int or one is None for one in times)
            or times[-1] is None
        ):
            raise InvalidJournalEntry("selection: expected items, after, before and until")

    @property
    def place(self) -> int:
        """The entry's epoch."""
        return self.epoch
