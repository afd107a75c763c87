"""Timelines of the database that a store belongs to.

A database that was restored from a backup, or replaced by a copy that lags behind, would hand out epochs a second time.
So each such change starts a new timeline, recorded as one create-only object. The newest timeline names the only
database state that may be used, and the epoch after which its own epochs begin.
"""

import re
from dataclasses import dataclass
from typing import ClassVar

from model_store.errors import InvalidRecord, InvalidTimeline
from model_store.journal import MAX_EPOCH
from model_store.records import Record

MAX_NUMBER = 10**9 - 1
_TOKEN = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Timeline(Record):
    """One timeline.

    ``number``       1 ... 10^9 - 1, the greatest is in force;
    ``token``        32 lower-case hexadecimal characters, also stored in the database state that it names;
    ``after_epoch``  the last epoch that an earlier timeline may have handed out;
    ``started_at``   ISO 8601 with an offset.

    Raises :class:`InvalidTimeline`.
    """

    WHAT: ClassVar[str] = "timeline"
    REFUSED: ClassVar[type[InvalidRecord]] = InvalidTimeline
    LOST: ClassVar[str] = "which state of the database may be worked with"
    FOLDER: ClassVar[str] = "timelines"
    DIGITS: ClassVar[int] = len(str(MAX_NUMBER))

    number: int
    token: str
    after_epoch: int
    started_at: str

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_integer("number", 1, MAX_NUMBER)
        if not isinstance(self.token, str) or not _TOKEN.fullmatch(self.token):
            raise InvalidTimeline("token: expected 32 lower-case hexadecimal characters")
        self._require_integer("after_epoch", 0, MAX_EPOCH)
        self._require_moment("started_at")

    @property
    def place(self) -> int:
        """The timeline's number."""
        return self.number
