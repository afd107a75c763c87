"""Whom a request of another tool is about."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from app.errors import Problem
from app.opendsr.intake import asked_for
from app.opendsr.schemas import SubjectRequest

BODY: dict[str, Any] = {
    "subject_request_id": "a7551968-d5d6-44b2-9831-815ac9017798",
    "subject_request_type": "erasure",
    "submitted_time": "2026-10-02T15:00:00Z",
    "subject_identities": [],
}


def named(*identities: tuple[str, str, str]) -> SubjectRequest:
    fields = ("identity_type", "identity_value", "identity_format")
    return SubjectRequest.model_validate(
        BODY | {"subject_identities": [dict(zip(fields, one, strict=True)) for one in identities]}
    )


def test_the_identity_of_the_type_that_is_a_users_id_is_taken() -> None:
    body = named(
        ("email", "ann@example.com", "raw"),
        ("controller_customer_id", "4411", "raw"),
        ("controller_customer_id", " 4411 ", "raw"),
        ("controller_customer_id", "0" * 64, "sha256"),
        ("shoe_size", "41", "raw"),
    )
    assert asked_for(body, "controller_customer_id") == "4411"
    assert asked_for(body, "email") == "ann@example.com"


@pytest.mark.parametrize(
    ("identities", "pointer", "code"),
    [
        ([("email", "ann@example.com", "raw")], "/body/subject_identities", "one_identity_needed"),
        ([("controller_customer_id", "0" * 64, "md5")], "/body/subject_identities", "one_identity_needed"),
        (
            [("controller_customer_id", "1", "raw"), ("controller_customer_id", "2", "raw")],
            "/body/subject_identities",
            "one_identity_needed",
        ),
        (
            [("email", "a", "raw"), ("controller_customer_id", "nan", "raw")],
            "/body/subject_identities/1/identity_value",
            "invalid_id",
        ),
    ],
)
def test_a_request_about_nobody_or_several_users_is_refused(
    identities: list[tuple[str, str, str]], pointer: str, code: str
) -> None:
    with pytest.raises(Problem) as refused:
        asked_for(named(*identities), "controller_customer_id")
    assert refused.value.status == 422
    [error] = refused.value.extensions["errors"]
    assert (error["pointer"], error["code"]) == (pointer, code)


@pytest.mark.parametrize(
    "change",
    [
        {"subject_request_type": "access"},
        {"subject_request_id": "A7551968-D5D6-44B2-9831-815AC9017798"},
        {"subject_request_id": "a7551968-d5d6-14b2-9831-815ac9017798"},
        {"regulation": "lgpd"},
        {"submitted_time": "2026-10-02T15:00:00"},
        {"api_version": "3.0"},
    ],
)
def test_what_the_protocol_does_not_know_is_refused(change: dict[str, Any]) -> None:
    identities = [{"identity_type": "email", "identity_value": "a", "identity_format": "raw"}]
    good = BODY | {"subject_identities": identities}
    assert SubjectRequest.model_validate(good | {"unknown": 1, "extensions": {"example.com": {"a": 1}}})
    with pytest.raises(ValidationError):
        SubjectRequest.model_validate(good | change)
