"""The edge at which a user id becomes a subject: nothing behind it ever sees the raw id.

Pure module: no I/O, no framework.
"""

from __future__ import annotations

import hashlib
import hmac

from inputs import identifier

_CHECK = "subject key check"
# No id holds a control character.
_THE_ID_OF_THAT_NAME = "\x00" + _CHECK


class SubjectKey:
    """Derives the pseudonym under which a user is known inside the service.

    ``HMAC-SHA256(key, user id)``, as 64 hexadecimal digits, over the UTF-8 of the id in its one spelling
    (`inputs.identifier`). It is pseudonymous personal data, not anonymous: whoever holds the key can test a guess.
    Source: our own design, R-21.
    """

    def __init__(self, key: bytes) -> None:
        if not key:
            raise ValueError("the subject key is empty")
        self._key = key

    @property
    def check(self) -> str:
        """A value that differs for another key and tells nothing about this one. It is no subject's name.

        It is the HMAC of a text that has become a possible id, because ids may hold spaces now. The value stays what
        it is: every database has it, and a release that changed it there could not be rolled back. Instead the one
        user of that id is named by another text, which is no id. That changes nobody's name, because no release took
        that id before.
        """
        return self._hmac(_CHECK)

    def subject(self, user_id: str) -> str:
        """The subject of a user id; all spellings of an id have the same.

        Raises:
            InvalidInput: the id is missing, too long, or holds what is no text.
        """
        found = identifier(user_id)
        return self._hmac(_THE_ID_OF_THAT_NAME if found == _CHECK else found)

    def _hmac(self, text: str) -> str:
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()


def subject_reference(subject_hmac: str) -> str:
    """A short handle for people (``s_`` and 12 digits); collisions are harmless, it is never used as a key."""
    return f"s_{subject_hmac[:12]}"
