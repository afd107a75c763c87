"""Ids and titles: which characters they may contain, and which spellings are the same id."""

import math
import re
import unicodedata
from decimal import Decimal

MAX_ID_CHARACTERS = 256
MAX_TITLE_CHARACTERS = 2048

ID_RULE = (
    f"an id is 1 to {MAX_ID_CHARACTERS} characters of text without control characters or line breaks; "
    "space around it does not count, 42.0 is 42, and nan, null and none are no ids"
)
# From here on a 64-bit float cannot distinguish neighbouring integers: two ids may look like one.
_FIRST_LOSSY_FLOAT = 2**53

# How programs spell a missing value in the files that they write.
_MISSING = frozenset({"", "nan", "null", "none", "<na>"})
_INTEGER_AS_FLOAT = re.compile(r"(-?[0-9]+)\.0+")
# Control characters, surrogates (undecodable bytes), line and paragraph separators. All other characters are text, even
# those that are not printable: joiners in emoji and in Persian, soft hyphens, no-break spaces.
_NO_TEXT = frozenset({"Cc", "Cs", "Zl", "Zp"})


class InvalidInput(ValueError):
    """A value that cannot be used. The message says why and never quotes the value, which may be a user id."""


def number_as_id(value: float | Decimal) -> str:
    """The text, for `identifier`, of an id given as a number. In JSON, 42.0 and 4.2e1 are the number 42.

    Raises:
        InvalidInput: the number is not finite.
    """
    if isinstance(value, int):
        return str(value)
    number = float(value)
    if not math.isfinite(number):
        raise InvalidInput("is a number out of range")
    return f"{int(number)}.0" if number.is_integer() else repr(number)


def identifier(value: str) -> str:
    """The canonical spelling of a user's or item's id.

    Unicode is composed (NFC), surrounding space is removed, and an integer that a spreadsheet or data frame wrote as a
    float becomes an integer again: `42.0` is `42`. So an id from a file matches the same id over HTTP.

    Raises:
        InvalidInput: the id is missing (also `nan`, `null`, `none`), is too long, contains characters that are not
            text, or is an integer of 2**53 or more that was written as a float.
    """
    found = _text(value, MAX_ID_CHARACTERS)
    if found.casefold() in _MISSING:
        raise InvalidInput("is missing")
    as_float = _INTEGER_AS_FLOAT.fullmatch(found)
    if as_float is None:
        return found
    if abs(int(as_float[1])) >= _FIRST_LOSSY_FLOAT:
        raise InvalidInput("was written as a float of 2**53 or more and may have lost digits")
    return as_float[1]


def title(value: str) -> str:
    """A title in composed Unicode (NFC) without surrounding space; it may be empty.

    Raises:
        InvalidInput: the title is too long, or contains characters that are not text.
    """
    return _text(value, MAX_TITLE_CHARACTERS)


def _text(value: str, longest: int) -> str:
    # Checked before stripping, because str.strip also removes control characters and line breaks.
    # Printable strings are text; only the others are checked character by character.
    if not value.isprintable() and any(unicodedata.category(character) in _NO_TEXT for character in value):
        raise InvalidInput("holds a control character, a line break or undecodable bytes")
    found = unicodedata.normalize("NFC", value).strip()
    if len(found) > longest:
        raise InvalidInput(f"has more than {longest} characters")
    return found
