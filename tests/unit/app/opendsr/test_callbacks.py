"""What a callback says."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from app.links import Links
from app.opendsr.callbacks import Callbacks
from app.opendsr.schemas import StatusCallback
from app.opendsr.service import Told
from app.opendsr.signing import Processor
from app.opendsr.states import Status
from tests.certificates import certificate, elliptic_key

URL = "https://privacy.example.com/callbacks"
REQUEST = "fr_" + "0" * 32
ID = "a7551968-d5d6-44b2-9831-815ac9017798"


@pytest.mark.parametrize("status", Status)
def test_a_callback_has_the_fields_of_the_specification_and_no_others(status: Status) -> None:
    key = elliptic_key()
    processor = Processor(certificate(key, "lethe.example.com"), key)
    due = datetime(2026, 12, 20, 23, 59, 59, tzinfo=UTC)
    headers, body = Callbacks(processor, Links("/privacy")).message(
        Told("tool", ID, REQUEST, status, due), URL
    )
    assert headers["X-OpenDSR-Processor-Domain"] == "lethe.example.com"
    assert headers["X-OpenGDPR-Signature"] == headers["X-OpenDSR-Signature"]
    receipt = f"https://lethe.example.com/privacy/forget-requests/{REQUEST}/receipts/completion"
    assert json.loads(body) == {
        "controller_id": "tool",
        "subject_request_id": ID,
        "request_status": status,
        "expected_completion_time": "2026-12-20T23:59:59Z",
        "api_version": "2.0",
        "results_url": receipt if status is Status.COMPLETED else None,
        "status_callback_url": URL,
    }
    assert StatusCallback.model_validate_json(body).status_callback_url == URL
