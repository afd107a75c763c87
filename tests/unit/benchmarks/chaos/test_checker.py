"""The checker finds what it is there for: each broken promise, put into an installation that had kept them all."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.chaos.checker import Seen, violations
from benchmarks.chaos.client import Accepted, Answer, Log
from benchmarks.chaos.databases import SqliteInstalled

LIVE, BLOB, SUBJECT, DUE = "a" * 64, "b" * 64, "c" * 64, "2026-12-29T04:00:00+00:00"
SCHEMA = f"""
CREATE TABLE forget_requests (id, subject_hmac, epoch, status, outcome, detail_code, due_at);
INSERT INTO forget_requests VALUES ('fr_1', '{SUBJECT}', 3, 'completed', 'erased', NULL, '2026-12-29 04:00:00.000000');
CREATE TABLE suppressions (epoch, subject_hmac);
INSERT INTO suppressions VALUES (3, '{SUBJECT}');
CREATE TABLE audit_entries (action, data);
INSERT INTO audit_entries VALUES ('forget.completed', '{{"requests": ["fr_1"]}}');
CREATE TABLE serving_pointer (digest, erasure_floor);
INSERT INTO serving_pointer VALUES ('{LIVE}', 4);
CREATE TABLE replicas (live_digest, last_seen_at);
INSERT INTO replicas VALUES ('{LIVE}', 1);
CREATE TABLE interactions (subject_hmac);
INSERT INTO interactions VALUES ('somebody else');
CREATE TABLE never_seen_levels (subject_hmac);
CREATE TABLE part_readings (subject_hmac);
"""


def sql(statement: str) -> Callable[[Seen], None]:
    def change(seen: Seen) -> None:
        with closing(sqlite3.connect(seen.database.url.removeprefix("sqlite:///"))) as connection:
            connection.executescript(statement)

    return change


def file(name: str, content: bytes = b"?") -> Callable[[Seen], None]:
    def write(seen: Seen) -> None:
        path = seen.store.parent / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    return write


def answered(**changes: object) -> Callable[[Seen], None]:
    given = Answer("user|1", 100.0, 100.1, 200, personalised=False, header=LIVE, body=LIVE)
    return lambda seen: seen.log.answers.append(replace(given, **changes))  # type: ignore[arg-type]


def accepted(**changes: object) -> Callable[[Seen], None]:
    return lambda seen: seen.log.accepted.append(replace(seen.log.accepted[0], **changes))  # type: ignore[arg-type]


@pytest.fixture
def seen(tmp_path: Path) -> Seen:
    store = tmp_path / "store"
    for folder in ("journal", "manifests", f"blobs/{LIVE}"):
        (store / folder).mkdir(parents=True)
    (tmp_path / "tmp").mkdir()
    (store / "journal" / "000000000003.json").write_text(json.dumps({"epoch": 3, "subject_hmac": SUBJECT}))
    (store / "manifests" / f"{LIVE}.json").write_text(
        json.dumps({"forget_epoch": 4, "blobs": {"adapter": {"digest": BLOB, "bytes": 1}}})
    )
    (store / "blobs" / LIVE / BLOB).write_bytes(b"weights")
    log = tmp_path / "gateway-1.log"
    log.write_text("nothing of interest\n")
    made = Seen(
        SqliteInstalled(tmp_path / "database.sqlite3"),
        store,
        tmp_path / "tmp",
        (log,),
        Log([Accepted("user|1", 50.0, "/forget-requests/fr_1", DUE, 3)]),
        ("user|1",),
        1.0,
    )
    sql(SCHEMA)(made)
    answered()(made)
    answered(user="user|2", personalised=True)(made)
    return made


def test_nothing_is_found_where_every_promise_was_kept(seen: Seen) -> None:
    assert violations(seen) == []


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (
            sql("DELETE FROM forget_requests; DELETE FROM suppressions"),
            "I1: a request that had its 202 is lost",
        ),
        (sql("UPDATE forget_requests SET status = 'queued'"), "I1: a request is not completed"),
        (sql("UPDATE forget_requests SET status = 'needs_attention', detail_code = 'x'"), "I14:"),
        (sql("UPDATE forget_requests SET outcome = 'no_data'"), "I13:"),
        (sql("INSERT INTO audit_entries SELECT * FROM audit_entries"), "I1: a request was completed 2 times"),
        (sql("DELETE FROM audit_entries"), "I1: a request was completed 0 times"),
        (sql("UPDATE forget_requests SET due_at = '2026-12-30 04:00:00'"), "I11:"),
        (accepted(location="/forget-requests/fr_2"), "I1: one user was given two requests"),
        (
            sql(f"UPDATE suppressions SET subject_hmac = '{'d' * 64}'"),
            "I10: a suppression is not in the journal",
        ),
        (sql("DELETE FROM suppressions"), "I15:"),
        (sql("DELETE FROM suppressions"), "I2: requests and suppressions differ"),
        (sql("UPDATE serving_pointer SET erasure_floor = 5"), "I3: the live version is below the floor"),
        (sql("UPDATE replicas SET live_digest = 'other'"), "I3: a replica serves another version"),
        (file(f"store/blobs/{LIVE}/{'d' * 64}"), "weights: the store holds 1 more"),
        (file(f"store/blobs/{'d' * 64}/{BLOB}"), "weights: the store holds 1 more"),
        (file(f"store/blobs/{LIVE}/.writing-0"), "(temporary file)"),
        (file("store/.writing-0"), "weights: a temporary file is left in the store"),
        (file("tmp/x", b"base_model.lora_A"), "weights: a temporary file is left on the machine"),
        (sql(f"INSERT INTO interactions VALUES ('{SUBJECT}')"), "I10: events of somebody erased"),
        (sql(f"INSERT INTO never_seen_levels VALUES ('{SUBJECT}')"), "I10: a level"),
        (sql(f"INSERT INTO part_readings VALUES ('{SUBJECT}')"), "I10: a part's reading"),
        (answered(personalised=True), "I2: somebody was personalised after their 202"),
        (answered(header=BLOB), "I4:"),
        (answered(status=500), "answers:"),
        (file("gateway-1.log", b"about user|1 now"), "I8:"),
        (file("tmp/y", b"user%7C1"), "I8:"),
    ],
)
def test_every_broken_promise_is_found(seen: Seen, damage: Callable[[Seen], None], found: str) -> None:
    damage(seen)
    assert any(found in one for one in violations(seen)), violations(seen)


def test_what_was_asked_before_the_lease_had_lapsed_counts_as_in_time(seen: Seen) -> None:
    answered(asked=50.1, answered=50.9, personalised=True)(seen)
    assert violations(seen) == []
