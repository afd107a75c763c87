"""What pages call things: durations, tones of states, short names. Pure, and shared by all templates."""

from __future__ import annotations

from datetime import datetime, timedelta

from app.db.models import RequestStatus, RunStatus

MINUTE, HOUR, DAY = 60, 3600, 86_400

# Tones of the states that need a colour; the others are neutral. A tone never stands without the state's name.
_TONES = {
    RequestStatus.UNLEARNING: "busy",
    RequestStatus.DEPLOYING: "busy",
    RequestStatus.COMPLETED: "good",
    RequestStatus.NEEDS_ATTENTION: "bad",
    RequestStatus.PENDING_VERIFICATION: "warn",
    RequestStatus.PENDING_APPROVAL: "warn",
    RequestStatus.ON_HOLD: "warn",
    RunStatus.RUNNING: "busy",
    "pass": "good",
    "fail": "bad",
}


def tone(state: str) -> str:
    """``good``, ``busy``, ``warn``, ``bad`` or ``plain``."""
    return _TONES.get(state, "plain")


def sign(state: str) -> str:
    """A shape that tells the tone without its colour."""
    return {"good": "✓", "busy": "◐", "warn": "△", "bad": "!", "plain": "○"}[tone(state)]


def spoken(name: str) -> str:
    """A code or a state as words: ``needs_attention`` is "needs attention"."""
    return name.replace("_", " ").replace(".", " ")


def awaited(waits_for: str) -> str:
    """What a request waits for, without what follows for callers of the API: pages have buttons for that."""
    first = waits_for.partition(";")[0].partition(": POST")[0]
    return first[:1].upper() + first[1:]


def duration(seconds: float) -> str:
    """A duration in its two largest units. ``static/times.js`` writes the same."""
    left = int(abs(seconds))
    if left < MINUTE:
        return f"{left} s" if abs(seconds) >= 1 or seconds == 0 else f"{abs(seconds) * 1000:.0f} ms"
    if left < HOUR:
        return f"{left // MINUTE} min {left % MINUTE} s"
    if left < 2 * DAY:
        return f"{left // HOUR} h {left % HOUR // MINUTE} min"
    return f"{left // DAY} d {left % DAY // HOUR} h"


def bound(seconds: float | None) -> str:
    """The upper end of a step of a latency's scale."""
    if seconds is None:
        return "–"
    return "over 10 s" if seconds == float("inf") else f"within {duration(seconds)}"


def left(due_at: datetime, now: datetime) -> str:
    """The time that is left, or by how much it is late."""
    seconds = (due_at - now).total_seconds()
    return duration(seconds) if seconds >= 0 else f"late by {duration(seconds)}"


def between(start: datetime, end: datetime) -> str:
    return duration((end - start) / timedelta(seconds=1))


def tail(link: str) -> str:
    """The id at the end of a link of the API."""
    return link.rpartition("/")[2]


def short(identifier: str) -> str:
    """An id or a digest as far as it fits into a table: the prefix of an id and twelve digits."""
    prefix, underscore, digits = identifier.rpartition("_")
    return f"{prefix}{underscore}{digits[:12]}"


def figure(value: float | None) -> str:
    """A measured figure in at most four digits; a dash where there is none."""
    return "–" if value is None else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def settings_of(config: dict[str, object]) -> str:
    """A configuration as ``name=value``, sorted by name."""
    return ", ".join(f"{name}={value}" for name, value in sorted(config.items()))
