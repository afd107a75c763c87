"""SHA-256 digests, which name blobs and versions."""

import hashlib
import re
from collections.abc import Iterable, Iterator

from model_store.errors import DigestMismatch, InvalidDigest

_DIGEST = re.compile(r"[0-9a-f]{64}")


def sha256_hex(data: bytes) -> str:
    """The lower-case hexadecimal SHA-256 of ``data``."""
    return hashlib.sha256(data).hexdigest()


def sha256_of_pieces(pieces: Iterable[bytes]) -> str:
    """The lower-case hexadecimal SHA-256 of the pieces joined together."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def is_digest(text: object) -> bool:
    """Whether ``text`` is 64 lower-case hexadecimal characters. Nothing else ever becomes a file name."""
    return isinstance(text, str) and _DIGEST.fullmatch(text) is not None


def check_digest(text: str) -> str:
    """Return ``text`` unchanged, or raise :class:`InvalidDigest`."""
    if not is_digest(text):
        raise InvalidDigest(
            f"{str(text)[:80]!r} is not a digest: expected 64 lower-case hexadecimal characters"
        )
    return text


def require_digest(actual: str, digest: str, what: str) -> None:
    """Raise :class:`DigestMismatch` if stored bytes do not hash to their name."""
    if actual != digest:
        raise DigestMismatch(
            f"{what} {digest} holds bytes that hash to {actual}: it was damaged or changed in place. "
            "Remove the file and restore it from a copy; it will not be read as it is."
        )


def checked(pieces: Iterable[bytes], digest: str, what: str) -> Iterator[bytes]:
    """The pieces unchanged. Raises :class:`DigestMismatch` after the last one if they do not hash to ``digest``."""
    actual = hashlib.sha256()
    for piece in pieces:
        actual.update(piece)
        yield piece
    if actual.hexdigest() != digest:
        raise DigestMismatch(f"{what} hashes to {actual.hexdigest()}; the manifest states {digest}")
