"""SHA-256 digests: the only names objects have."""

import hashlib
import re

from model_store.errors import DigestMismatch, InvalidDigest

_DIGEST = re.compile(r"[0-9a-f]{64}")


def sha256_hex(data: bytes) -> str:
    """The lower-case hexadecimal SHA-256 of ``data``."""
    return hashlib.sha256(data).hexdigest()


def is_digest(text: object) -> bool:
    """Whether ``text`` has the one form a digest may take; nothing else ever becomes a file name."""
    return isinstance(text, str) and _DIGEST.fullmatch(text) is not None


def check_digest(text: str) -> str:
    """Return ``text`` unchanged, or raise :class:`InvalidDigest`."""
    if not is_digest(text):
        raise InvalidDigest(
            f"{str(text)[:80]!r} is not a digest: expected 64 lower-case hexadecimal characters"
        )
    return text


def verify(data: bytes, digest: str, what: str) -> bytes:
    """Return ``data`` if it hashes to ``digest``, or raise :class:`DigestMismatch`."""
    actual = sha256_hex(data)
    if actual != digest:
        raise DigestMismatch(
            f"{what} {digest} holds bytes that hash to {actual}: it was damaged or changed in place. "
            "Remove the file and restore it from a copy; it will not be read as it is."
        )
    return data
