"""The gateway's signer, as the settings name it. Only gateways sign, so no other process needs the key."""

from __future__ import annotations

import hashlib

from app.failures import SettingError
from app.settings import PLACEHOLDER, Settings
from app.signing.keys import KeySetMalformed, PublicKey, Signer


def signer_of(settings: Settings) -> Signer:
    """The signer under LETHE_SIGNING_KEY.

    Raises:
        SettingError: the key is missing outside development, or a former key cannot be read.
    """
    secret = settings.signing_key.get_secret_value()
    if PLACEHOLDER not in secret:
        seed = bytes.fromhex(secret)
    elif settings.environment == "development":
        seed = hashlib.sha256(secret.encode()).digest()
    else:
        raise SettingError(
            "LETHE_SIGNING_KEY must be 64 hexadecimal digits (try: openssl rand -hex 32); a gateway signs receipts "
            "with it, and the placeholder works only with LETHE_ENVIRONMENT=development"
        )
    try:
        former = [PublicKey.of(text) for text in settings.former_signers.split()]
    except KeySetMalformed as error:
        raise SettingError(f"LETHE_FORMER_SIGNERS: {error}") from error
    return Signer(seed, former, issuer=settings.issuer)
