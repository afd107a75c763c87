"""The edge at which a user id becomes a subject: nothing behind it ever sees the raw id.

Pure module: no I/O, no framework.
"""

from __future__ import annotations

import hashlib
import hmac
import re

MAX_USER_ID_BYTES = 128
USER_ID_PATTERN = r"^[A-Za-z0-9._~:@-]{1,128}$"

_USER_ID = re.compile(USER_ID_PATTERN.removesuffix("$") + r"\Z")


class InvalidUserId(ValueError):
    """A user id is 1 to 128 characters out of letters, digits and . _ ~ : @ -"""

    def __init__(self) -> None:
        # The offending value stays out of the message: messages reach logs.
        super().__init__(self.__doc__)


class SubjectKey:
    """Derives the pseudonym under which a user is known inside the service.

    ``HMAC-SHA256(key, user id)``, as 64 hexadecimal digits. It is pseudonymous personal data, not anonymous:
    whoever holds the key can test a guess. Source: our own design, R-21.
    """

    def __init__(self, key: bytes) -> None:
        if not key:
            raise ValueError("the subject key is empty")
        self._key = key

    @property
    def check(self) -> str:
        """A value that differs for another key and tells nothing about this one."""
        # No user id contains a space, so this is no subject's name.
        return hmac.new(self._key, b"subject key check", hashlib.sha256).hexdigest()

    def subject(self, user_id: str) -> str:
        """The subject of a user id.

        Raises:
            InvalidUserId: the id is empty, too long or holds a character outside the allowed set.
        """
        if not _USER_ID.match(user_id):
            raise InvalidUserId
        return hmac.new(self._key, user_id.encode("ascii"), hashlib.sha256).hexdigest()


def subject_reference(subject_hmac: str) -> str:
    """A short handle for people (``s_`` and 12 digits); collisions are harmless, it is never used as a key."""
    return f"s_{subject_hmac[:12]}"
