"""Checks whether an installation kept its promises, from its database, its store and its client's answers alone.

The checker uses no code of the product. Each violation names the invariant (docs/explanation/reliability.md) and no
user.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from benchmarks.chaos.client import Log
from benchmarks.chaos.databases import Installed

# A busy machine may delay the client's own timestamps.
_CLIENT_SLACK_SECONDS = 1.0


@dataclass(frozen=True)
class Seen:
    """What the checker reads when the installation is at rest.

    ``forgotten`` holds the raw ids of everybody who got a 202 in this run or in an earlier one on this installation.
    """

    database: Installed
    store: Path
    temporary: Path
    logs: tuple[Path, ...]
    log: Log
    forgotten: tuple[str, ...]
    feed_lease_seconds: float


def violations(seen: Seen) -> list[str]:
    """Every violated promise, one line each."""
    return [
        *_requests(seen),
        *_epochs(seen),
        *_floor(seen),
        *_destruction(seen),
        *_events(seen),
        *_answers(seen),
        *_raw_ids(seen),
    ]


def _requests(seen: Seen) -> Iterator[str]:
    """Requests that are lost, completed twice, in need of a person, or have other times than the client saw."""
    rows = {row["id"]: row for row in seen.database.rows("SELECT * FROM forget_requests")}
    completions: Counter[str] = Counter()
    for entry in seen.database.rows("SELECT data FROM audit_entries WHERE action = 'forget.completed'"):
        completions.update(_json(entry["data"])["requests"])
    subjects = Counter(row["subject_hmac"] for row in rows.values())
    if any(count > 1 for count in subjects.values()):
        yield "I1: somebody has two requests"
    for accepted in {one.location: one for one in seen.log.accepted}.values():
        row = rows.get(accepted.location.rpartition("/")[2])
        if row is None:
            yield "I1: a request that had its 202 is lost"
            continue
        if row["status"] == "needs_attention":
            yield f"I14: a request needs a person: {row['detail_code']}"
        elif row["status"] != "completed":
            yield f"I1: a request is not completed: {row['status']}"
        elif row["outcome"] != "erased":
            yield f"I13: whom the live version had read ended as {row['outcome']}"
        elif completions[row["id"]] != 1:
            yield f"I1: a request was completed {completions[row['id']]} times"
        if _moment(row["due_at"]) != _moment(accepted.due_at):
            yield "I11: a deadline has moved"
    if len({one.user for one in seen.log.accepted}) != len({one.location for one in seen.log.accepted}):
        yield "I1: one user was given two requests"


def _epochs(seen: Seen) -> Iterator[str]:
    """Suppressions, journal and requests that do not agree about who has which epoch."""
    suppressed = {
        row["epoch"]: row["subject_hmac"] for row in seen.database.rows("SELECT * FROM suppressions")
    }
    journal = {}
    for path in (seen.store / "journal").glob("*.json"):
        entry = json.loads(path.read_text())
        journal[entry["epoch"]] = entry["subject_hmac"]
    for epoch, subject in suppressed.items():
        if journal.get(epoch) != subject:
            yield "I10: a suppression is not in the journal under its epoch"
    if set(journal.values()) - set(suppressed.values()):
        yield "I15: the journal knows somebody whom the database does not"
    requests = {
        row["epoch"]: row["subject_hmac"] for row in seen.database.rows("SELECT * FROM forget_requests")
    }
    if requests != suppressed:
        yield "I2: requests and suppressions differ"


def _floor(seen: Seen) -> Iterator[str]:
    (pointer,) = seen.database.rows("SELECT * FROM serving_pointer")
    if pointer["digest"] is None:
        return
    manifest = json.loads((seen.store / "manifests" / f"{pointer['digest']}.json").read_text())
    if manifest["forget_epoch"] < pointer["erasure_floor"]:
        yield "I3: the live version is below the floor"
    replicas = seen.database.rows("SELECT * FROM replicas ORDER BY last_seen_at DESC")
    if replicas and replicas[0]["live_digest"] not in (pointer["digest"], None):
        yield "I3: a replica serves another version than the pointer names"


def _destruction(seen: Seen) -> Iterator[str]:
    """Weights in the store that do not belong to the live version."""
    (pointer,) = seen.database.rows("SELECT digest FROM serving_pointer")
    kept = set()
    if pointer["digest"] is not None:
        manifest = json.loads((seen.store / "manifests" / f"{pointer['digest']}.json").read_text())
        kept = {(pointer["digest"], blob["digest"]) for blob in manifest["blobs"].values()}
    blobs = [path for path in (seen.store / "blobs").rglob("*") if path.is_file()]
    strangers = [path for path in blobs if (path.parent.name, path.name) not in kept]
    if strangers:
        kinds = {"temporary file" if path.name.startswith(".") else "blob" for path in strangers}
        yield f"weights: the store holds {len(strangers)} more than the live version's ({', '.join(sorted(kinds))})"
    elsewhere = [
        path
        for path in seen.store.rglob("*")
        if path.is_file() and path.name.startswith(".writing-") and path not in blobs
    ]
    if elsewhere:
        yield "weights: a temporary file is left in the store"
    if [path for path in seen.temporary.rglob("*") if path.is_file() and b"lora" in path.read_bytes()]:
        yield "weights: a temporary file is left on the machine"


def _events(seen: Seen) -> Iterator[str]:
    (counted,) = seen.database.rows(
        "SELECT count(*) AS events FROM interactions WHERE subject_hmac IN (SELECT subject_hmac FROM suppressions)"
    )
    if counted["events"]:
        yield "I10: events of somebody erased are stored"
    if seen.log.late_events_stored:
        yield "I10: a late event of somebody suppressed was taken in"
    (levels,) = seen.database.rows(
        "SELECT count(*) AS rows_ FROM never_seen_levels WHERE subject_hmac IN (SELECT subject_hmac FROM suppressions)"
    )
    if levels["rows_"]:
        yield "I10: a level of somebody erased is stored"
    (readings,) = seen.database.rows(
        "SELECT count(*) AS rows_ FROM part_readings WHERE subject_hmac IN (SELECT subject_hmac FROM suppressions)"
    )
    if readings["rows_"]:
        yield "I10: a part's reading of somebody erased is stored"


def _answers(seen: Seen) -> Iterator[str]:
    accepted: dict[str, float] = {}
    for one in seen.log.accepted:
        accepted[one.user] = min(one.at, accepted.get(one.user, one.at))
    limit = seen.feed_lease_seconds + _CLIENT_SLACK_SECONDS
    for answer in seen.log.answers:
        if answer.status == 200 and answer.header != answer.body:
            yield "I4: header and body name two versions"
        at = accepted.get(answer.user)
        if answer.personalised and at is not None and answer.answered > at + limit:
            yield "I2: somebody was personalised after their 202"
    strange = Counter(answer.status for answer in seen.log.answers if answer.status not in (200, 503))
    if strange:
        yield f"answers: recommendations were answered with {dict(strange)}"


def _raw_ids(seen: Seen) -> Iterator[str]:
    """Raw user ids in the logs and files that the installation wrote."""
    files = [*seen.logs, *seen.store.rglob("*"), *seen.temporary.rglob("*")]
    content = b"\n".join(path.read_bytes() for path in files if path.is_file())
    # Search for whole words: one number can be the beginning of another.
    spellings = [
        spelling for user in seen.forgotten for spelling in (user, quote(user), quote(user, safe=""))
    ]
    if any(re.search(re.escape(one).encode() + rb"(?![0-9])", content) for one in spellings):
        yield "I8: a raw user id was written"


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def _moment(value: Any) -> datetime:
    """A time from either database or from the API, to the second. A SQLite value has no zone and is UTC."""
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).replace(microsecond=0)
