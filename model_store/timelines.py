"""Timelines of the database that a store belongs to.

A database that was restored from a backup, or replaced by a copy that lags behind, hands out numbers that the one
before has handed out already. So each such turn starts a timeline, by one create-only object: the newest names the
only database state that may be worked with, and where its numbers begin.
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

    ``number``       1 ... 10^9 - 1, the greatest is the one in force;
    ``token``        32 lower-case hexadecimal characters, also kept in the database that it stands for;
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
        """Its number."""
        return self.number
