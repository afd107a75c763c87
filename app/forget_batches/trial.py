"""What accepting the items of a batch would do, one after the other, without storing anything."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from sqlalchemy.orm import Session

from app.forget_requests.service import repeated
from app.selections.criteria import Criteria
from app.suppressions.queries import suppressed_among


class Trial:
    """Remembers what the items so far would have put in force: later items of the same batch find it.

    Args:
        subjects: those of all items.
    """

    def __init__(self, session: Session, subjects: Iterable[str], now: datetime) -> None:
        self._session = session
        self._until = int(now.timestamp())
        self._people = suppressed_among(session, subjects)
        self._selections: dict[str, list[Criteria]] = {}

    def repeats(self, subject_hmac: str, criteria: Criteria | None) -> bool:
        """Whether the item would find a request that asks for the same. If not, it counts as accepted from now on."""
        if subject_hmac in self._people:
            return True
        if criteria is None:
            self._people.add(subject_hmac)
            return False
        criteria = replace(criteria, until=self._until)
        earlier = self._selections.setdefault(subject_hmac, [])
        if any(one.asks_the_same(criteria) for one in earlier):
            return True
        if repeated(self._session, subject_hmac, criteria) is not None:
            return True
        earlier.append(criteria)
        return False
