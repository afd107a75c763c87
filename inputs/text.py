"""Ids and titles: what counts as text, and which spellings are the same id."""

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
# From here on a float of 64 bits does not tell neighbouring integers apart: two people may have become one.
_FIRST_LOSSY_FLOAT = 2**53

# What programs write where a value is missing.
_MISSING = frozenset({"", "nan", "null", "none", "<na>"})
_INTEGER_AS_FLOAT = re.compile(r"(-?[0-9]+)\.0+")
# Control characters, surrogates (undecodable bytes), line and paragraph separators. Everything else is text: also what
# is not printable, such as joiners in emoji and in Persian, soft hyphens and no-break spaces.
_NO_TEXT = frozenset({"Cc", "Cs", "Zl", "Zp"})


class InvalidInput(ValueError):
    """A value that cannot be used. The message says why and never quotes the value: values are user ids."""


def number_as_id(value: float | Decimal) -> str:
    """An id that came as a number, as the text that `identifier` reads: JSON's 42.0 and 4.2e1 are the number 42.

    Raises:
        InvalidInput: it is not finite.
    """
    if isinstance(value, int):
        return str(value)
    number = float(value)
    if not math.isfinite(number):
        raise InvalidInput("is a number out of range")
    return f"{int(number)}.0" if number.is_integer() else repr(number)


def identifier(value: str) -> str:
    """The one spelling of a user's or item's id.

    Unicode is composed (NFC), space around it is cut off, and an integer that a spreadsheet or data frame wrote as a
    float is the integer again: `42.0` is `42`. Whoever is called one way in a file is found that way over HTTP.

    Raises:
        InvalidInput: it is missing (also `nan`, `null`, `none`), too long, holds what is no text, or is an integer
            of 2**53 or more that was written as a float.
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
    """A title in composed Unicode (NFC) without space around it; it may be empty.

    Raises:
        InvalidInput: it is too long, or holds what is no text.
    """
    return _text(value, MAX_TITLE_CHARACTERS)


def _text(value: str, longest: int) -> str:
    # Before stripping: str.strip also takes control characters and line breaks away.
    # Whatever is printable is text; the test by character is for the rest.
    if not value.isprintable() and any(unicodedata.category(character) in _NO_TEXT for character in value):
        raise InvalidInput("holds a control character, a line break or undecodable bytes")
    found = unicodedata.normalize("NFC", value).strip()
    if len(found) > longest:
        raise InvalidInput(f"has more than {longest} characters")
    return found
