from __future__ import annotations

import hashlib

import pytest

from app.readers.readership import Readership
from model_store.safetensors_header import inspect_safetensors
from worker.readership_artefact import readership_artefact

SUBJECTS = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(1000)]


@pytest.mark.parametrize(("count", "partly"), [(0, 0), (1, 0), (2, 2), (999, 3)])
def test_what_is_written_is_read_again(count: int, partly: int) -> None:
    record = Readership.of(SUBJECTS[:count], partly=SUBJECTS[:partly])
    stored = readership_artefact(record)
    inspect_safetensors(stored)
    assert Readership.from_bytes(stored) == record


def test_the_order_of_people_does_not_show() -> None:
    assert readership_artefact(Readership.of(SUBJECTS)) == readership_artefact(
        Readership.of(reversed(SUBJECTS))
    )
