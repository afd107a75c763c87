"""The erasure floor as the store records it. The floor in the database may be higher, never lower."""

from dataclasses import dataclass
from typing import ClassVar

from model_store.errors import InvalidFloor, InvalidRecord
from model_store.journal import MAX_EPOCH
from model_store.records import Record


@dataclass(frozen=True)
class Floor(Record):
    """From now on no version whose forget epoch is below ``epoch`` may be loaded or published.

    ``epoch``      1 ... 10^12 - 1; the greatest recorded one is in force;
    ``raised_at``  ISO 8601 with an offset.

    Raises :class:`InvalidFloor`.
    """

    WHAT: ClassVar[str] = "floor"
    REFUSED: ClassVar[type[InvalidRecord]] = InvalidFloor
    LOST: ClassVar[str] = "which versions may never serve again"
    FOLDER: ClassVar[str] = "floors"
    DIGITS: ClassVar[int] = len(str(MAX_EPOCH))

    epoch: int
    raised_at: str

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_integer("epoch", 1, MAX_EPOCH)
        self._require_moment("raised_at")

    @property
    def place(self) -> int:
        """The floor's epoch."""
        return self.epoch
