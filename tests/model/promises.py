"""What must hold in every state; the numbers are the invariants of docs/explanation/reliability.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tests.model.state import OPEN, UNVERIFIED, State

UNFINISHED = "I1: every accepted request can still be completed or cancelled"


def broken(state: State) -> Iterator[str]:
    """The promises that this state breaks."""
    alive = Counter(one.subject for one in state.requests if one.status in OPEN)
    if any(number > 1 for number in alive.values()):
        yield "I1: a person has at most one open request"
    if any(one.status == "completed" and one.lifted for one in state.requests):
        yield "I2: a cancelled request is never completed"
    if state.live[0] < state.published:
        yield "I3: no version serves that lies below one that was published"
    if state.stale:
        yield "I5: only the worker that holds the run's fence publishes"
    begun = [one for one in state.requests if one.status not in (UNVERIFIED, "expired")]
    in_force = {(one.subject, one.epoch) for one in begun if not one.lifted}
    suppressed = {subject for subject, _ in in_force}
    forgotten = {one.subject for one in state.requests if one.status == "completed" and not one.lifted}
    if any(version[1] & forgotten for version in state.versions):
        yield "I13: nothing that exists knows whoever is forgotten"
    for replica in state.replicas:
        if not replica.up or not replica.fresh:
            continue
        knows = {subject for subject, _ in replica.knows}
        if not forgotten <= knows:
            yield "I2: every replica suppresses whoever is forgotten"
        if replica.serves is not None and replica.serves[1] & forgotten:
            yield "I13: no replica serves a version that knows whoever is forgotten"
        if any(epoch <= replica.epoch and subject not in knows for subject, epoch in in_force):
            yield "I2: a replica suppresses everybody up to the epoch that it reports"
        if replica.epoch == state.epoch and knows != suppressed:
            yield "I2: a replica that has read the whole feed suppresses nobody else"


def is_over(state: State) -> bool:
    """Whether no request is open."""
    return all(one.status not in OPEN for one in state.requests)
