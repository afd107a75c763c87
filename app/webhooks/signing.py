"""Secrets of endpoints and signatures of messages, by the Standard Webhooks specification.

Source: https://www.standardwebhooks.com; the signature is HMAC-SHA256 over id, time and body. An endpoint's secret is
derived from the service's key and the endpoint's id, so no secret is stored, and a copy of the database signs nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import datetime

from standardwebhooks import Webhook


class Signer:
    """Derives secrets and signs.

    Args:
        key: the key of the service, `LETHE_WEBHOOK_KEY`.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def secret(self, endpoint_id: str) -> str:
        """The endpoint's secret, as its receiver gets it."""
        return "whsec_" + base64.b64encode(self._derived("secret", endpoint_id)).decode()

    def challenge(self, delivery_id: str) -> str:
        """What the receiver of this challenge must answer with."""
        return self._derived("challenge", delivery_id).hex()

    def headers(self, endpoint_id: str, message_id: str, now: datetime, body: str) -> dict[str, str]:
        """The headers of a message."""
        return {
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Webhook(self.secret(endpoint_id)).sign(message_id, now, body),
        }

    def _derived(self, purpose: str, name: str) -> bytes:
        return hmac.new(self._key, f"webhook {purpose} {name}".encode(), hashlib.sha256).digest()


def answers_challenge(body: bytes, challenge: str) -> bool:
    """Whether the body of an answer is a JSON object whose ``challenge`` is this one."""
    try:
        answered = json.loads(body)
    except (ValueError, RecursionError):
        return False
    told = answered.get("challenge") if isinstance(answered, dict) else None
    return isinstance(told, str) and told.isascii() and hmac.compare_digest(told, challenge)
