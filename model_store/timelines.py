"""Timelines of the database that a store belongs to.

A database that was restored from a backup, or replaced by a copy that lags behind, hands out numbers that the one
before has handed out already. So each such turn starts a timeline, by one create-only object: the newest names the
only database state that may be worked with, and where its numbers begin.
"""

import re
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime

from model_store.canonical_json import NotCanonical, decode_canonical, encode
from model_store.errors import InvalidTimeline
from model_store.journal import MAX_EPOCH

SCHEMA = 1
MAX_NUMBER = 10**9 - 1
MAX_ENTRY_BYTES = 4096
_TOKEN = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Timeline:
    """One timeline.

    ``number``       1 ... 10^9 - 1, the greatest is the one in force;
    ``token``        32 lower-case hexadecimal characters, also kept in the database that it stands for;
    ``after_epoch``  the last epoch that an earlier timeline may have handed out;
    ``started_at``   ISO 8601 with an offset.

    Raises :class:`InvalidTimeline`.
    """

    number: int
    token: str
    after_epoch: int
    started_at: str
    schema: int = field(default=SCHEMA, kw_only=True)

    def __post_init__(self) -> None:
        if type(self.schema) is not int or self.schema != SCHEMA:
            raise InvalidTimeline(
                f"schema {self.schema!r} is unknown: this release reads and writes {SCHEMA}"
            )
        if type(self.number) is not int or not 1 <= self.number <= MAX_NUMBER:
            raise InvalidTimeline(f"number {self.number!r}: expected an integer from 1 to {MAX_NUMBER}")
        if not isinstance(self.token, str) or not _TOKEN.fullmatch(self.token):
            raise InvalidTimeline("token: expected 32 lower-case hexadecimal characters")
        if type(self.after_epoch) is not int or not 0 <= self.after_epoch <= MAX_EPOCH:
            raise InvalidTimeline(
                f"after_epoch {self.after_epoch!r}: expected an integer from 0 to {MAX_EPOCH}"
            )
        try:
            moment = datetime.fromisoformat(self.started_at)
        except (TypeError, ValueError) as error:
            raise InvalidTimeline("started_at is not ISO 8601") from error
        if moment.tzinfo is None:
            raise InvalidTimeline("started_at has no offset from UTC")

    def to_bytes(self) -> bytes:
        """The canonical bytes."""
        return encode(asdict(self))

    @classmethod
    def from_bytes(cls, data: bytes) -> "Timeline":
        """Read what :meth:`to_bytes` wrote, and nothing else. Raises :class:`InvalidTimeline`."""
        try:
            content = decode_canonical(data)
        except NotCanonical as error:
            raise InvalidTimeline(f"not canonical JSON: {error}") from error
        if not isinstance(content, dict) or content.keys() != {item.name for item in fields(cls)}:
            raise InvalidTimeline("the fields are not those of a timeline")
        return cls(**content)
