"""Turns a user id into a subject, at the edge of the service. Nothing behind the edge sees the raw id.

Pure module: no I/O, no framework.
"""

from __future__ import annotations

import hashlib
import hmac

from inputs import identifier

SUBJECT_PREFIX = "s_"
_CHECK = "subject key check"
_SALT = "\x00receipt salt\x00"
# No id holds a control character.
_THE_ID_OF_THAT_NAME = "\x00" + _CHECK


class SubjectKey:
    """Derives the pseudonym of a user inside the service.

    The pseudonym is ``HMAC-SHA256(key, user id)`` as 64 hexadecimal digits, over the UTF-8 of the id in its canonical
    spelling (`inputs.identifier`). It is pseudonymous personal data, not anonymous: the key's owner can test a guess.
    Source: our own design, R-21.
    """

    def __init__(self, key: bytes) -> None:
        if not key:
            raise ValueError("the subject key is empty")
        self._key = key

    @property
    def check(self) -> str:
        """A check value, which differs for another key and reveals nothing about this one. No subject has this name.

        It is the HMAC of a text that is a possible id, since ids may contain spaces now. The value cannot be changed:
        every database stores it, and a release that changed it there could not be rolled back. Instead, the user with
        this very id gets the HMAC of another text, which is no id. No existing name changes, because earlier releases
        did not accept this id.
        """
        return self._hmac(_CHECK)

    def subject(self, user_id: str) -> str:
        """The subject of a user id. All spellings of an id give the same subject.

        Raises:
            InvalidInput: the id is missing, too long, or contains characters that are not text.
        """
        found = identifier(user_id)
        return self._hmac(_THE_ID_OF_THAT_NAME if found == _CHECK else found)

    def receipt_salt(self, user_id: str) -> str:
        """The salt of this user's commitment, 64 hexadecimal digits. Whoever presents the id may have it.

        It is derived and not drawn, so a caller whose answer was lost gets the same one again, and nothing is stored.

        Raises:
            InvalidInput: as `subject` does.
        """
        return self._hmac(_SALT + identifier(user_id))

    def seal(self, purpose: str, *parts: str) -> str:
        """A keyed MAC of texts that may hold a user id. No id gives the same one: none holds a control character."""
        return self._hmac("\x00".join(("", purpose, *parts)))

    def _hmac(self, text: str) -> str:
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()


def commitment(salt: str, user_id: str) -> str:
    """``SHA-256(salt || user id)`` as 64 hexadecimal digits: what receipts have instead of a user.

    Over the 32 bytes of the salt and the UTF-8 of the id in its canonical spelling. Whoever has salt and id can compute
    it. Without the salt, nobody can test a guess of the id. Source: R-37.

    Raises:
        InvalidInput: the id cannot be one.
        ValueError: the salt is not hexadecimal.
    """
    return hashlib.sha256(bytes.fromhex(salt) + identifier(user_id).encode()).hexdigest()


def subject_reference(subject_hmac: str) -> str:
    """A short name for people to read (``s_`` and 12 digits). It is never used as a key, so collisions do no harm."""
    return f"{SUBJECT_PREFIX}{subject_hmac[:12]}"
