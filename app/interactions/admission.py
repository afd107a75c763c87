"""Which events of people may be stored, or recommended from: none that somebody has had forgotten."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.selections.criteria import Criteria
from app.selections.queries import criteria_of
from app.suppressions.queries import readmissions_among, suppressed_among


@dataclass(frozen=True)
class Admission:
    """What some people have asked, as one transaction found it.

    ``suppressed`` are those who are suppressed. ``readmitted`` came back after having been forgotten, in that second of
    Unix time: only later events of theirs count. ``selected`` are the events that each has asked to be forgotten.
    """

    suppressed: frozenset[str]
    readmitted: Mapping[str, int]
    selected: Mapping[str, Sequence[Criteria]]

    @classmethod
    def of(cls, session: Session, subjects: Collection[str]) -> Admission:
        suppressed = suppressed_among(session, subjects)
        others = set(subjects) - suppressed
        return cls(frozenset(suppressed), readmissions_among(session, others), criteria_of(session, others))

    def knows(self, subject_hmac: str, timestamp: int) -> bool:
        """Whether an event of this subject and time, in Unix seconds, may be stored as far as no selection forbids."""
        return subject_hmac not in self.suppressed and timestamp > self.readmitted.get(subject_hmac, -1)

    def has_selected(self, subject_hmac: str, item_id: str, timestamp: int) -> bool:
        """Whether the subject has asked that this event be forgotten."""
        return any(
            one.selects(subject_hmac, item_id, timestamp) for one in self.selected.get(subject_hmac, ())
        )

    def admits(self, subject_hmac: str, item_id: str, timestamp: int | None) -> bool:
        """Whether this event may be recommended from. One without a time may be any event: of somebody who has had
        anything forgotten it is not admitted.
        """
        if timestamp is None:
            return not (
                subject_hmac in self.suppressed
                or subject_hmac in self.readmitted
                or subject_hmac in self.selected
            )
        return self.knows(subject_hmac, timestamp) and not self.has_selected(subject_hmac, item_id, timestamp)
