"""Entries of the erasure journal.

One create-only object per suppression epoch. The journal exists so that a database restored from an
old backup learns again whom it had forgotten; it therefore holds what re-creating a suppression needs,
and no raw user id: subjects appear as keyed HMACs only.
"""

import re
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime

from model_store.canonical_json import NotCanonical, decode_canonical, encode
from model_store.digests import is_digest
from model_store.errors import InvalidJournalEntry

SCHEMA = 2
# Of releases before: without the request.
_WITHOUT_REQUEST = 1
MAX_EPOCH = 10**12 - 1
MAX_ENTRY_BYTES = 4096
_REQUEST = re.compile(r"fr_[0-9a-f]{32}")


@dataclass(frozen=True)
class JournalEntry:
    """One suppression, by the same values whoever writes it, so that writing it twice is harmless.

    ``epoch``          1 ... 10^12 - 1, unique, assigned by the database;
    ``subject_hmac``   HMAC-SHA256 of the subject, 64 lower-case hexadecimal characters;
    ``suppressed_at``  when the suppression was accepted, ISO 8601 with an offset;
    ``request``        the request's id, so that it is found under it again; None in an entry of an earlier release.

    Raises :class:`InvalidJournalEntry`.
    """

    epoch: int
    subject_hmac: str
    suppressed_at: str
    request: str | None = None
    schema: int = field(default=SCHEMA, kw_only=True)

    def __post_init__(self) -> None:
        if type(self.schema) is not int or self.schema not in (_WITHOUT_REQUEST, SCHEMA):
            raise InvalidJournalEntry(
                f"schema {self.schema!r} is unknown: this release reads {_WITHOUT_REQUEST} and {SCHEMA}"
            )
        if self.request is not None and (
            self.schema == _WITHOUT_REQUEST
            or not isinstance(self.request, str)
            or not _REQUEST.fullmatch(self.request)
        ):
            raise InvalidJournalEntry("request: expected fr_ and 32 lower-case hexadecimal characters")
        if type(self.epoch) is not int or not 1 <= self.epoch <= MAX_EPOCH:
            raise InvalidJournalEntry(f"epoch {self.epoch!r}: expected an integer from 1 to {MAX_EPOCH}")
        if not is_digest(self.subject_hmac):
            # The value is not echoed: it could be the raw id somebody forgot to key.
            raise InvalidJournalEntry("subject_hmac: expected 64 lower-case hexadecimal characters")
        try:
            moment = datetime.fromisoformat(self.suppressed_at)
        except (TypeError, ValueError) as error:
            raise InvalidJournalEntry("suppressed_at is not ISO 8601") from error
        if moment.tzinfo is None:
            raise InvalidJournalEntry("suppressed_at has no offset from UTC")

    def to_bytes(self) -> bytes:
        """The canonical bytes."""
        content = asdict(self)
        if self.schema == _WITHOUT_REQUEST:
            del content["request"]
        return encode(content)

    @classmethod
    def from_bytes(cls, data: bytes) -> "JournalEntry":
        """Read what :meth:`to_bytes` wrote, and nothing else. Raises :class:`InvalidJournalEntry`."""
        try:
            content = decode_canonical(data)
        except NotCanonical as error:
            raise InvalidJournalEntry(f"not canonical JSON: {error}") from error
        if not isinstance(content, dict):
            raise InvalidJournalEntry("it is not an object")
        expected = {item.name for item in fields(cls)}
        if content.get("schema") == _WITHOUT_REQUEST:
            expected.remove("request")
        if content.keys() != expected:
            raise InvalidJournalEntry("the fields are not those of a journal entry")
        return cls(**content)
