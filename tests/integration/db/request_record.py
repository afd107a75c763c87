"""What a tester who has read docs/how-to/decide.md writes down about requests, without asking the service.

The state machine of `test_request_life` predicts each step with it and compares. It repeats the rules on purpose.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from app.forget_requests.states import REQUESTS
from app.selections.criteria import Criteria

SETTLED = ("completed", "cancelled", "denied")
BEFORE_A_RUN = ("pending_approval", "scheduled", "queued")
STOPPABLE = ("pending_verification", *BEFORE_A_RUN, "on_hold")
_EDGES = {(before, after) for (before, _), after in REQUESTS.table.items()}

Event = tuple[str, str, int]  # subject, item, time


@dataclass
class Known:
    """One request. ``criteria`` is None if it is about the whole person."""

    id: str
    subject: str
    epoch: int
    status: str
    due_at: datetime
    received_at: datetime
    criteria: Criteria | None = None
    verify_until: datetime | None = None
    first_due_at: datetime | None = None
    cancel_until: datetime | None = None
    held_from: str | None = None
    extended: bool = False
    expedited: bool = False
    denied_by: tuple[str, str] | None = None
    readmitted_by: str | None = None
    readmitted_at: datetime | None = None
    lifted_epoch: int | None = None
    run: str | None = None
    since: datetime | None = None  # when it came into its state; None until that was read
    stalled: bool = False

    def move(self, *through: str) -> None:
        """Pass through these states, each of which the table must allow after the one before."""
        self.since, self.stalled = None, False
        for status in through:
            assert (self.status, status) in _EDGES, f"{self.status} -> {status}"
            self.status = status

    @property
    def in_force(self) -> bool:
        """Whether what it suppresses or selects stays away."""
        withdrawn = self.status in ("cancelled", "denied")
        return self.verify_until is None and not withdrawn and self.readmitted_at is None

    def is_late(self, now: datetime) -> bool:
        """Whether nobody has verified it in time."""
        return (
            self.status == "pending_verification"
            and self.verify_until is not None
            and self.verify_until <= now
        )

    def queue(self, now: datetime, window: timedelta | None) -> None:
        """Approve it."""
        self.cancel_until = None if window is None else now + window
        self.move("scheduled", *([] if window else ["queued"]))


@dataclass
class KnownRun:
    """One run that was claimed."""

    kind: str
    fence: int
    lease_until: datetime
    claims: int = 0
    working: bool = True
    published: bool = False


@dataclass
class Record:
    """Everything that the tester knows; a copy of it belongs to each backup."""

    requests: dict[str, Known] = field(default_factory=dict)
    runs: dict[str, KnownRun] = field(default_factory=dict)
    events: set[Event] = field(default_factory=set)

    def newest(self, subject: str) -> Known | None:
        """The subject's newest request about the whole person."""
        of_person = (
            one
            for one in self.requests.values()
            if one.subject == subject and one.criteria is None and one.verify_until is None
        )
        return max(of_person, key=lambda one: one.epoch, default=None)

    def waiting(self, subject: str, criteria: Criteria | None) -> Known | None:
        """The request that waits for its verification and asks for the same."""
        for one in self.requests.values():
            if one.subject == subject and one.status == "pending_verification":
                mine = one.criteria
                same = mine is not None and criteria is not None and mine.asks_the_same(criteria)
                if same or (mine is None and criteria is None):
                    return one
        return None

    def supersede(self, subject: str) -> None:
        """A request about the whole person is completed: what waits is not needed."""
        for one in self.requests.values():
            if one.subject == subject and one.status == "pending_verification":
                one.move("cancelled")

    def suppressed(self, subject: str) -> bool:
        newest = self.newest(subject)
        return newest is not None and newest.in_force

    def selections(self, subject: str) -> Iterator[tuple[Known, Criteria]]:
        """The subject's selections that are in force."""
        for one in self.requests.values():
            if one.subject == subject and one.criteria is not None and one.in_force:
                yield one, one.criteria

    def meeting(self, subject: str, criteria: Criteria) -> list[Event]:
        """The subject's stored events that meet the criteria, whatever their time is to the request's."""
        anytime = replace(criteria, until=2**62)
        return [event for event in self.events if event[0] == subject and anytime.selects(*event)]

    def same_selection(self, subject: str, criteria: Criteria) -> Known | None:
        """An unfinished request that selects the same, unless the subject has done more since."""
        if not all(self.selected(event) for event in self.meeting(subject, criteria)):
            return None
        same = [
            one
            for one, other in self.selections(subject)
            if one.status not in SETTLED and other.asks_the_same(criteria)
        ]
        return min(same, key=lambda one: one.epoch, default=None)

    def selected(self, event: Event) -> bool:
        return any(criteria.selects(*event) for _, criteria in self.selections(event[0]))

    def admits(self, event: Event) -> bool:
        """Whether an import may store it."""
        back = [
            int(one.readmitted_at.timestamp())
            for one in self.requests.values()
            if one.subject == event[0] and one.readmitted_at is not None
        ]
        return not self.suppressed(event[0]) and not self.selected(event) and event[2] > max(back, default=-1)

    def shown(self, subject: str) -> list[str]:
        """The items that may be recommended from."""
        return sorted(event[1] for event in self.events if event[0] == subject and not self.selected(event))

    def working(self) -> str | None:
        return next((run_id for run_id, run in self.runs.items() if run.working), None)

    def of_run(self, run_id: str) -> list[Known]:
        return [one for one in self.requests.values() if one.run == run_id]

    def give_up(self, run_id: str) -> None:
        self.runs[run_id].working = False
        for one in self.of_run(run_id):
            if one.status in ("unlearning", "deploying"):
                one.move("needs_attention")

    def erase(self, run_id: str) -> None:
        """Forget the events of the run's requests."""
        served = self.of_run(run_id)
        for event in tuple(self.events):
            for one in served:
                mine = one.subject == event[0]
                if mine and (one.criteria is None or one.criteria.selects(*event)):
                    self.events.discard(event)

    def restore(self, lost: Record, withdrawn: dict[str, str]) -> list[Known]:
        """What the journal does to this record, which belongs to a backup.

        Args:
            lost: the record of everything that was ever accepted.
            withdrawn: the requests that were cancelled or denied, and which of both.

        Returns:
            The requests that are accepted again.
        """
        last = {
            one.subject: one.lifted_epoch or one.epoch
            for one in sorted(self.requests.values(), key=lambda one: one.epoch)
            if one.criteria is None and one.verify_until is None
        }
        for one in self.requests.values():
            if one.id in withdrawn and one.status in STOPPABLE:
                one.held_from = None
                one.move(withdrawn[one.id])
        again: dict[str, Known] = {}
        for one in sorted(lost.requests.values(), key=lambda one: one.epoch):
            held = self.requests.get(one.id)
            if one.id in withdrawn or (held is not None and held.status != "pending_verification"):
                continue
            if held is not None:
                # The backup is older than the verification.
                one = replace(one, due_at=held.due_at, extended=held.extended, denied_by=held.denied_by)
            if one.criteria is not None:
                again[one.id] = one
            elif not self.suppressed(one.subject) and one.epoch > last.get(one.subject, 0):
                again[one.subject] = one
        return list(again.values())
