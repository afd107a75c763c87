import json
from typing import Any

import pytest

from model_store import InvalidJournalEntry, JournalEntry
from model_store.canonical_json import encode
from model_store.journal import MAX_EPOCH
from tests.unit.model_store.examples import REQUEST, SUBJECT, entry


def content(**changes: Any) -> dict[str, Any]:
    return {**json.loads(entry().to_bytes()), **changes}


def test_an_entry_reads_back_equal_and_holds_nothing_else() -> None:
    assert JournalEntry.from_bytes(entry().to_bytes()) == entry()
    assert content() == {
        "epoch": 1,
        "request": REQUEST,
        "schema": 2,
        "subject_hmac": SUBJECT,
        "suppressed_at": "2026-03-01T12:00:01+00:00",
    }


def test_an_entry_of_an_earlier_release_is_read_and_stays_what_it_is() -> None:
    before = {**content(schema=1)}
    del before["request"]
    read = JournalEntry.from_bytes(encode(before))
    assert (read.epoch, read.subject_hmac, read.request) == (1, SUBJECT, None)
    assert read.to_bytes() == encode(before)
    with pytest.raises(InvalidJournalEntry):
        JournalEntry.from_bytes(encode(content(schema=1)))


def test_a_raw_user_id_is_refused_and_not_repeated() -> None:
    with pytest.raises(InvalidJournalEntry) as caught:
        JournalEntry(1, "customer-4711", "2026-03-01T12:00:00+00:00")
    assert "4711" not in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"epoch": 0},
        {"epoch": -1},
        {"epoch": MAX_EPOCH + 1},
        {"epoch": True},
        {"epoch": 1.0},
        {"epoch": "1"},
        {"subject_hmac": SUBJECT.upper()},
        {"subject_hmac": None},
        {"suppressed_at": "soon"},
        {"suppressed_at": "2026-03-01T12:00:00"},
        {"suppressed_at": None},
        {"schema": 3},
        {"request": "fr_" + "5C" * 16},
        {"request": 5},
        {"schema": True},
        {"user_id": "4711"},
    ],
)
def test_a_malformed_entry_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidJournalEntry):
        JournalEntry.from_bytes(encode(content(**changes)))


@pytest.mark.parametrize("field", sorted(content()))
def test_every_field_is_required(field: str) -> None:
    with pytest.raises(InvalidJournalEntry):
        JournalEntry.from_bytes(encode({name: value for name, value in content().items() if name != field}))


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", entry().to_bytes() + b"\n", entry().to_bytes()[:-1]])
def test_anything_but_the_canonical_bytes_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidJournalEntry):
        JournalEntry.from_bytes(data)
