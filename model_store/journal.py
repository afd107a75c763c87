"""Entries of the erasure journal.

There is one create-only object per suppression epoch. A database that was restored from an old backup learns
from the journal whom it had forgotten, and which items were taken down. An entry therefore holds what is needed to
create the suppression or the takedown again, and no raw user id: subjects appear as keyed HMACs only. An item's id is
written out, because it names nobody.
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
_TAKEDOWN = re.compile(r"td_[0-9a-f]{32}")
_MOST_CHARACTERS_OF_AN_ITEM = 256


@dataclass(frozen=True)
class JournalEntry(Record):
    """One suppression, the end of one, or one takedown. Every process writes the same values for it, so writing it
    twice is harmless.

    ``epoch``          1 ... 10^12 - 1, unique, assigned by the database;
    ``subject_hmac``   HMAC-SHA256 of the subject, 64 lower-case hexadecimal characters; empty in a takedown's entry;
    ``suppressed_at``  when the suppression was accepted or lifted, or the item taken down, ISO 8601 with an offset;
    ``request``        the id of the request or the takedown, so that a restored one keeps it; None in an entry of an
                       earlier release;
    ``lifted``         None for a suppression, or why the suppression of this request was lifted. Only these entries
                       have schema 3, so that an earlier release writes suppressions as this one does;
    ``selection``      None for a whole person, or the criteria of the events that the request selects. Only these
                       entries have schema 4;
    ``item``           None for a person, or the id of the item that was taken down. Only these entries have schema 5.

    Raises :class:`InvalidJournalEntry`.
    """

    WHAT: ClassVar[str] = "journal entry"
    REFUSED: ClassVar[type[InvalidRecord]] = InvalidJournalEntry
    LOST: ClassVar[str] = "whom it suppresses"
    FOLDER: ClassVar[str] = "journal"
    DIGITS: ClassVar[int] = len(str(MAX_EPOCH))
    SCHEMA: ClassVar[int] = 5
    LACKS: ClassVar[Mapping[int, frozenset[str]]] = {
        1: frozenset({"request", "lifted", "selection", "item"}),
        2: frozenset({"lifted", "selection", "item"}),
        3: frozenset({"selection", "item"}),
        4: frozenset({"item"}),
    }

    epoch: int
    subject_hmac: str
    suppressed_at: str
    request: str | None = None
    lifted: str | None = None
    selection: dict[str, Any] | None = None
    item: str | None = None
    schema: int = field(default=2, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_integer("epoch", 1, MAX_EPOCH)
        self._require_moment("suppressed_at")
        if (self.schema == 5) != (self.item is not None):
            raise InvalidJournalEntry(
                "item: only an entry of schema 5 takes an item down, and each of them does"
            )
        if self.item is not None:
            self._require_takedown(self.item)
            return
        if not is_digest(self.subject_hmac):
            # The message does not quote the value: it may be a raw user id that was not keyed by mistake.
            raise InvalidJournalEntry("subject_hmac: expected 64 lower-case hexadecimal characters")
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

    def _require_takedown(self, item: object) -> None:
        if not isinstance(item, str) or not 0 < len(item) <= _MOST_CHARACTERS_OF_AN_ITEM:
            raise InvalidJournalEntry(f"item: expected 1 to {_MOST_CHARACTERS_OF_AN_ITEM} characters")
        if self.subject_hmac or self.lifted is not None or self.selection is not None:
            raise InvalidJournalEntry("item: an entry about an item is about nobody")
        if not isinstance(self.request, str) or not _TAKEDOWN.fullmatch(self.request):
            raise InvalidJournalEntry("request: expected td_ and 32 lower-case hexadecimal characters")

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
