"""Examples of bodies and answers of OpenDSR; see `app.api_examples`."""

from __future__ import annotations

from typing import Any

_ID = "a7551968-d5d6-44b2-9831-815ac9017798"
_SAID = {"controller_id": "privacy-tool", "subject_request_id": _ID}

BODIES: dict[str, Any] = {
    "submit_subject_request": {
        "regulation": "gdpr",
        "subject_request_id": _ID,
        "subject_request_type": "erasure",
        "submitted_time": "2026-11-20T15:00:00Z",
        "subject_identities": [
            {"identity_type": "controller_customer_id", "identity_value": "4411", "identity_format": "raw"}
        ],
        "api_version": "2.0",
        "status_callback_urls": ["https://privacy.example.com/opendsr/callbacks"],
    }
}
ANSWERS: dict[str, Any] = {
    "submit_subject_request": _SAID
    | {
        "received_time": "2026-11-21T02:40:11.412000Z",
        "expected_completion_time": "2026-12-20T23:59:59Z",
        "encoded_request": "eyJyZWd1bGF0aW9uIjoiZ2RwciJ9",
    },
    "read_subject_request": _SAID
    | {
        "request_status": "pending",
        "expected_completion_time": "2026-12-20T23:59:59Z",
        "api_version": "2.0",
        "results_url": None,
    },
    "cancel_subject_request": _SAID | {"received_time": "2026-11-21T03:02:00Z", "api_version": "2.0"},
    "discover_processor": {
        "api_version": "2.0",
        "supported_identities": [{"identity_type": "controller_customer_id", "identity_format": "raw"}],
        "supported_subject_request_types": ["erasure"],
        "processor_certificate": "https://lethe.example.com/opendsr/certificate.pem",
    },
    "read_processor_certificate": "-----BEGIN CERTIFICATE-----\nMIIC…\n-----END CERTIFICATE-----\n",
}
