"""Secrets of endpoints and signatures of messages, by the Standard Webhooks specification.

Source: https://www.standardwebhooks.com. Each message has two signatures over its id, time and body: HMAC-SHA256
(``v1``) with the endpoint's secret, and Ed25519 (``v1a``), which a receiver verifies with a public key and can forge
nothing with. Secret and private key are derived from the service's key and the endpoint's id. So none is stored, a copy
of the database signs nothing, and no receiver can pass a message on to another as if it were theirs.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
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

    def public_key(self, endpoint_id: str) -> str:
        """The public key of the endpoint's messages, as its receiver gets it."""
        raw = self._private_key(endpoint_id).public_key().public_bytes_raw()
        return "whpk_" + base64.b64encode(raw).decode()

    def challenge(self, delivery_id: str) -> str:
        """What the receiver of this challenge must answer with."""
        return self._derived("challenge", delivery_id).hex()

    def headers(self, endpoint_id: str, message_id: str, now: datetime, body: str) -> dict[str, str]:
        """The headers of a message."""
        seconds = str(int(now.timestamp()))
        by_secret = Webhook(self.secret(endpoint_id)).sign(message_id, now, body)
        signature = self._private_key(endpoint_id).sign(f"{message_id}.{seconds}.{body}".encode())
        return {
            "webhook-id": message_id,
            "webhook-timestamp": seconds,
            "webhook-signature": f"{by_secret} v1a,{base64.b64encode(signature).decode()}",
        }

    def _private_key(self, endpoint_id: str) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self._derived("private key", endpoint_id))

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
