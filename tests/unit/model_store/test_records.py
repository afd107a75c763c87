"""Small numbered objects: read back equal, refused where they break the schema, and named where they were damaged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from model_store import InvalidCheckpoint, InvalidFloor, InvalidRecord, LocalStore
from model_store.checkpoints import MAX_SEQUENCE
from model_store.records import MAX_RECORD_BYTES, Record
from tests.unit.model_store.examples import checkpoint, entry, floor, timeline

# Each kind: one of them, the object it is stored as, how it is stored, and how it is read.
KINDS: dict[str, tuple[Record, str, Callable[[LocalStore], Any], Callable[[LocalStore], Any]]] = {
    "journal": (
        entry(3),
        "journal/000000000003.json",
        lambda store: store.append_journal(entry(3)),
        lambda store: list(store.journal()),
    ),
    "timeline": (
        timeline(3),
        "timelines/000000003.json",
        lambda store: store.start_timeline(timeline(3)),
        lambda store: store.newest_timeline(),
    ),
    "checkpoint": (
        checkpoint(3, 7),
        "checkpoints/000000003000000000007.json",
        lambda store: store.put_checkpoint(checkpoint(3, 7)),
        lambda store: store.newest_checkpoints(),
    ),
    "floor": (
        floor(3),
        "floors/000000000003.json",
        lambda store: store.raise_floor(floor(3)),
        lambda store: store.erasure_floor(),
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_written_is_read(kind: str) -> None:
    record = KINDS[kind][0]
    assert type(record).from_bytes(record.to_bytes()) == record


@pytest.mark.parametrize(
    "changes",
    [
        {"timeline": 0},
        {"timeline": "1"},
        {"sequence": 0},
        {"sequence": MAX_SEQUENCE + 1},
        {"sequence": True},
        {"head": "0E" * 32},
        {"seal": ""},
        {"seal": None},
        {"schema": 2},
    ],
)
def test_a_checkpoint_that_breaks_the_schema_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidCheckpoint):
        replace(checkpoint(), **changes)


@pytest.mark.parametrize(
    "changes", [{"epoch": 0}, {"epoch": 1.0}, {"raised_at": "noon"}, {"raised_at": "2026-03-01T12:00:00"}]
)
def test_a_floor_that_breaks_the_schema_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidFloor):
        replace(floor(), **changes)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _oversize(path: Path) -> None:
    path.write_bytes(b" " * (MAX_RECORD_BYTES + 1))


def _binary(path: Path) -> None:
    path.write_bytes(b"\xff\x00")


def _link(path: Path) -> None:
    path.unlink()
    path.symlink_to("elsewhere")


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", [_cut, _oversize, _binary, _link, _folder])
@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_one_is_named_and_it_is_said_what_to_do(
    local: LocalStore, root: Path, kind: str, damage: Callable[[Path], None]
) -> None:
    record, key, write, read = KINDS[kind]
    write(local)
    (root / key).chmod(0o600)
    damage(root / key)
    with pytest.raises(InvalidRecord) as raised:
        read(local)
    assert isinstance(raised.value, record.REFUSED)
    said = str(raised.value)
    assert said.startswith(f"{key} is damaged (")
    assert "put this file back from a copy of the store" in said
    assert entry().subject_hmac not in said


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_vanishes_while_it_is_read_is_named(
    local: LocalStore, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    _, _, write, read = KINDS[kind]
    write(local)
    monkeypatch.setattr(local._objects, "read", lambda *_: None)
    with pytest.raises(InvalidRecord, match=r"is damaged \(it is gone\)"):
        read(local)
