from __future__ import annotations

import hashlib

import pytest

from app.readers.readership import Anybody, Readership
from model_store import HostileArtefact
from tests.unit.model_store.examples import file_of, safetensors

SUBJECTS = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(1000)]


@pytest.mark.parametrize("count", [0, 1, 2, 999])
def test_who_was_read_is_found_and_nobody_else(count: int) -> None:
    record = Readership.of([*SUBJECTS[:count], *SUBJECTS[:count]])
    assert len(record) == count
    assert all(subject in record for subject in SUBJECTS[:count])
    assert not any(subject in record for subject in SUBJECTS[count:])
    assert list(record) == sorted(SUBJECTS[:count])


def test_what_is_no_subject_was_not_read() -> None:
    assert 7 not in Readership.of(SUBJECTS)


def test_without_a_record_anybody_may_have_been_read() -> None:
    assert SUBJECTS[0] in Anybody()


@pytest.mark.parametrize("data", [safetensors(), file_of({})])
def test_another_artefact_is_no_record_of_nobody(data: bytes) -> None:
    with pytest.raises(HostileArtefact):
        Readership.from_bytes(data)
