from __future__ import annotations

import hashlib

import pytest
import torch

from model_store.safetensors_header import inspect_safetensors
from worker.readership import Anybody, Readership

SUBJECTS = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(1000)]


@pytest.mark.parametrize("count", [0, 1, 2, 999])
def test_who_was_read_is_found_and_nobody_else(count: int) -> None:
    record = Readership.of([*SUBJECTS[:count], *SUBJECTS[:count]])
    assert len(record) == count
    assert all(subject in record for subject in SUBJECTS[:count])
    assert not any(subject in record for subject in SUBJECTS[count:])
    assert list(record) == sorted(SUBJECTS[:count])
    stored = record.to_bytes()
    inspect_safetensors(stored)
    assert Readership.from_bytes(stored) == record


def test_the_order_of_people_does_not_show() -> None:
    assert Readership.of(SUBJECTS).to_bytes() == Readership.of(reversed(SUBJECTS)).to_bytes()


def test_what_is_no_subject_was_not_read() -> None:
    assert 7 not in Readership.of(SUBJECTS)
    assert torch.zeros(1) not in Readership.of(SUBJECTS)


def test_without_a_record_anybody_may_have_been_read() -> None:
    assert SUBJECTS[0] in Anybody()
