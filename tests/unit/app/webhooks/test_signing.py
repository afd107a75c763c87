"""Secrets, signatures and challenges, checked with the receiver's half of the library."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks import Webhook, WebhookVerificationError

from app.webhooks.signing import Signer, answers_challenge

SIGNER = Signer(b"a key of thirty-two bytes for tests")


def test_a_receiver_with_the_secret_verifies_what_was_signed() -> None:
    body = json.dumps({"type": "forget.completed", "name": "Zoë"})
    headers = SIGNER.headers("we_1", "evt_7", datetime.now(UTC), body)
    assert headers["webhook-id"] == "evt_7"
    assert Webhook(SIGNER.secret("we_1")).verify(body, headers) == json.loads(body)
    for wrong in (SIGNER.secret("we_2"), Signer(b"another").secret("we_1")):
        with pytest.raises(WebhookVerificationError):
            Webhook(wrong).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(SIGNER.secret("we_1")).verify(body.replace("Z", "z"), headers)


def verify_publicly(public_key: str, headers: dict[str, str], body: str) -> None:
    """What a receiver does who has the public key only, by the specification."""
    key = Ed25519PublicKey.from_public_bytes(
        base64.b64decode(public_key.removeprefix("whpk_"), validate=True)
    )
    (signature,) = [one[4:] for one in headers["webhook-signature"].split(" ") if one.startswith("v1a,")]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{body}"
    key.verify(base64.b64decode(signature, validate=True), signed.encode())


def test_r42_a_receiver_with_the_public_key_verifies_what_was_signed() -> None:
    body = json.dumps({"type": "forget.completed", "name": "Zoë"}, ensure_ascii=False)
    headers = SIGNER.headers("we_1", "evt_7", datetime.now(UTC), body)
    verify_publicly(SIGNER.public_key("we_1"), headers, body)
    others = (SIGNER.public_key("we_2"), Signer(b"another").public_key("we_1"))
    changed = {**headers, "webhook-timestamp": str(int(headers["webhook-timestamp"]) + 1)}
    for key, told, text in (
        (others[0], headers, body),
        (others[1], headers, body),
        (SIGNER.public_key("we_1"), changed, body),
        (SIGNER.public_key("we_1"), {**headers, "webhook-id": "evt_8"}, body),
        (SIGNER.public_key("we_1"), headers, body + " "),
    ):
        with pytest.raises(InvalidSignature):
            verify_publicly(key, told, text)


def test_an_endpoint_keeps_its_secret_and_no_challenge_is_anothers() -> None:
    assert SIGNER.secret("we_1") == SIGNER.secret("we_1") != SIGNER.secret("we_2")
    assert SIGNER.challenge("wd_1") != SIGNER.challenge("wd_2")
    assert SIGNER.challenge("we_1") not in SIGNER.secret("we_1")


@pytest.mark.parametrize(
    ("body", "answers"),
    [
        (b'{"challenge": "abc"}', True),
        (b'{"challenge": "abc", "more": 1}', True),
        (b'{"challenge": "abd"}', False),
        (b'{"challenge": ["abc"]}', False),
        (b'{"challenge": "\\ud800"}', False),
        (b'{"data": {"challenge": "abc"}}', False),
        (b'["abc"]', False),
        (b'"abc"', False),
        (b"abc", False),
        (b"", False),
        (b"\xff", False),
        (b"[" * 4096, False),
    ],
)
def test_a_challenge_is_answered_by_its_own_value_only(body: bytes, answers: bool) -> None:
    assert answers_challenge(body, "abc") is answers
