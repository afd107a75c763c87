"""Which of a person's events a request selects. Pure module: no I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from inputs import InvalidInput, identifier

# So many digests fit into an entry of the erasure journal.
MOST_ITEMS = 100
_DIGITS = 24


@dataclass(frozen=True)
class Criteria:
    """An event is selected if it meets every criterion that is given.

    ``items``: digests of the items (`item_digest`), in order; None for any item. ``after`` and ``before``: the earliest
    time, and the first that is too late, in Unix seconds. ``until``: when the request was accepted; later events are
    new ones, and no request reaches them.
    """

    items: tuple[str, ...] | None
    after: int | None
    before: int | None
    until: int

    def selects(self, subject_hmac: str, item_id: str, timestamp: int) -> bool:
        """Whether this event is selected."""
        return (
            timestamp <= self.until
            and (self.after is None or timestamp >= self.after)
            and (self.before is None or timestamp < self.before)
            and (self.items is None or item_digest(subject_hmac, item_id) in self.items)
        )

    def asks_the_same(self, other: Criteria) -> bool:
        """Whether both select the same events, apart from the time at which they were asked for."""
        return (self.items, self.after, self.before) == (other.items, other.after, other.before)

    def to_plain(self) -> dict[str, Any]:
        plain = asdict(self)
        return plain | {"items": None if self.items is None else list(self.items)}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Criteria:
        items = plain["items"]
        return cls(
            None if items is None else tuple(items), plain["after"], plain["before"], int(plain["until"])
        )


def item_digest(subject_hmac: str, item_id: str) -> str:
    """An item as one person's selections name it. Only somebody who knows the person's pseudonym can test a guess."""
    # A catalogue may have another spelling of the same id, or one that an earlier release took.
    with suppress(InvalidInput):
        item_id = identifier(item_id)
    return hashlib.sha256(f"{subject_hmac}\n{item_id}".encode()).hexdigest()[:_DIGITS]


def item_digests(subject_hmac: str, items: Iterable[str]) -> tuple[str, ...]:
    """The digests of these items, each once and in order."""
    return tuple(sorted({item_digest(subject_hmac, item) for item in items}))
