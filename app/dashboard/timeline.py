"""What happened to a request, as stages with durations and as single events. Pure: it reads audit entries."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from app.db.models import RequestStatus

# The state of a request after an entry. An entry that is not listed changes no state.
_AFTER = {
    "forget.accepted": RequestStatus.QUEUED,
    "forget.retried": RequestStatus.QUEUED,
    "forget.left_out": RequestStatus.QUEUED,
    "forget.split_out": RequestStatus.QUEUED,
    "run.claimed": RequestStatus.UNLEARNING,
    "version.published": RequestStatus.DEPLOYING,
    "version.withdrawn": RequestStatus.DEPLOYING,
    "forget.completed": RequestStatus.COMPLETED,
    "forget.needs_attention": RequestStatus.NEEDS_ATTENTION,
    "run.needs_attention": RequestStatus.NEEDS_ATTENTION,
    "forget.reopened": RequestStatus.NEEDS_ATTENTION,
    "forget.approved": RequestStatus.SCHEDULED,
    "forget.window_ended": RequestStatus.QUEUED,
    "forget.held": RequestStatus.ON_HOLD,
    "forget.released": RequestStatus.SCHEDULED,
    "forget.cancelled": RequestStatus.CANCELLED,
    "forget.denied": RequestStatus.DENIED,
}
# What an entry says of itself. Others are shown by their name.
_SAID = {
    "forget.accepted": "Accepted and suppressed, under epoch {epoch}",
    "forget.retried": "Queued again by a person",
    "forget.left_out": "Queued again: the live version has not read them",
    "forget.split_out": "Left its run; the next one starts at rung {step}",
    "forget.completed": "Completed",
    "forget.needs_attention": "Needs attention: {code}",
    "forget.reopened": "Reopened: the base had read them",
    "forget.approved": "Approved by a second person",
    "forget.window_ended": "The cancel window is over",
    "forget.held": "Put on hold: {reason}, until {review_at}",
    "forget.released": "The hold was ended",
    "forget.extended": "Extended: {reason}; due {due_at}",
    "forget.expedited": "Put before the others: {reason}",
    "forget.denial_proposed": "Denied by one person: {reason}",
    "forget.denied": "Denied by two people: {reason}",
    "forget.cancelled": "Cancelled: {reason}",
    "suppression.lifted": "The suppression was lifted: {because}",
    "forget.stalled": "Stalled: {status}; the {longest_hours:g} h that it may take from {since} on are over",
    "forget.deadline_nears": "{percent} % of the time have passed",
    "run.claimed": "A worker claimed the run, claim {claim}",
    "run.attempted": "Rung {step}, {method}: {decision}",
    "run.rungs_skipped": "Rungs {first} to {up_to} skipped",
    "run.held_up": "Held up: {code}",
    "run.handed_back": "Handed back by its worker",
    "run.needs_attention": "The run was given up: {code}",
    "version.published": "Published as generation {generation}; floor {erasure_floor}",
    "version.withdrawn": "The live version was withdrawn; floor {erasure_floor}",
    "version.destroyed": "An older version was destroyed",
    "interactions.erased": "{rows} events erased, of all requests of the run",
    "rows.reclaimed": "Bytes of erased rows: {result}",
}


class Entry(Protocol):
    """The part of an entry of the audit log that is read here."""

    @property
    def recorded_at(self) -> datetime: ...
    @property
    def action(self) -> str: ...
    @property
    def actor(self) -> str: ...
    @property
    def data(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class Happening:
    """One event. ``status`` is the state that it led to; empty if it changed none."""

    at: datetime
    said: str
    actor: str
    status: str
    version: str


@dataclass(frozen=True)
class Stage:
    """A time that a request spent in one state. ``ended`` is None for the present one."""

    status: str
    began: datetime
    ended: datetime | None
    share: float

    def seconds(self, now: datetime) -> float:
        return ((self.ended or now) - self.began).total_seconds()


def happenings(entries: Sequence[Entry]) -> list[Happening]:
    return [
        Happening(entry.recorded_at, _said(entry), entry.actor, _AFTER.get(entry.action, ""), _version(entry))
        for entry in entries
    ]


def stages(happened: Sequence[Happening], now: datetime, done: Collection[str]) -> list[Stage]:
    """The states in order, each with its share of the time from the first to the last.

    Args:
        happened: what happened, in order.
        now: until when the present state has lasted.
        done: the states in which nothing is waited for. The last stage ends there, and takes no time.
    """
    changes: list[Happening] = []
    for one in happened:
        if one.status and (not changes or changes[-1].status != one.status):
            changes.append(one)
    if not changes:
        return []
    end = changes[-1].at if changes[-1].status in done else now
    whole = max((end - changes[0].at).total_seconds(), 1e-9)
    found = []
    for place, change in enumerate(changes):
        following = changes[place + 1].at if place + 1 < len(changes) else None
        if following is None and change.status in done:
            following = change.at
        lasted = ((following or now) - change.at).total_seconds()
        found.append(Stage(change.status, change.at, following, max(lasted, 0.0) / whole))
    return found


def _said(entry: Entry) -> str:
    try:
        return _SAID[entry.action].format_map(entry.data)
    except KeyError:
        # An event of another release, or an entry that lacks a field.
        return entry.action.replace("_", " ").replace(".", ": ")


def _version(entry: Entry) -> str:
    return str(entry.data.get("version") or "") if entry.action.startswith("version.") else ""
