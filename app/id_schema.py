"""The rules of `inputs` for ids, times and instants as JSON Schema: a client can check values before it sends them."""

from __future__ import annotations

from typing import Any

from inputs import ID_RULE, MAX_ID_CHARACTERS, TIME_RULE

# Beyond this, JSON numbers lose digits.
_LARGEST_INTEGER = 2**53 - 1
_LARGEST_TIME = 10**20

_NO_TEXT = {"pattern": r"[\x00-\x1f\x7f-\x9f\u2028\u2029]"}
_MISSING = {"pattern": r"^\s*([nN][aA][nN]|[nN][uU][lL][lL]|[nN][oO][nN][eE]|<[nN][aA]>)?\s*$"}
# A pattern can express a power of ten only. The text of the rule covers the numbers from 2**53 up to that.
_LOSSY = {"pattern": r"^\s*-?0*[1-9][0-9]{16,}\.0+\s*$"}
_STEP = {"pattern": r"^\s*\.{1,2}\s*$"}


def _text(*refused: dict[str, str]) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": MAX_ID_CHARACTERS, "not": {"anyOf": list(refused)}}


_ID_TEXT = _text(_NO_TEXT, _MISSING, _LOSSY)
_ID_NUMBERS = [
    {"type": "integer"},
    {"type": "number", "minimum": -_LARGEST_INTEGER, "maximum": _LARGEST_INTEGER},
]

ID_TEXT = _ID_TEXT | {"description": ID_RULE}
ID_IN_PATH = _text(_NO_TEXT, _MISSING, _LOSSY, _STEP) | {"description": ID_RULE}
# In a JSON body an id may be a number, as in a JSON file.
ID_IN_BODY: dict[str, Any] = {"anyOf": [_ID_TEXT, *_ID_NUMBERS], "description": ID_RULE}
TIME = {
    "anyOf": [
        {"type": "number", "minimum": 0, "exclusiveMaximum": _LARGEST_TIME},
        {"type": "string", "pattern": r"^\s*\+?([0-9]{1,19}(\.[0-9]*)?|\.[0-9]+)\s*$"},
    ],
    "description": f"{TIME_RULE}; kept in whole seconds. Text may also be in scientific notation",
}
# The calendar ends with the years 1 and 9999: of every other year it also has the day before and the day after.
INSTANT: dict[str, Any] = {
    "type": "string",
    "format": "date-time",
    "pattern": r"^(?!0000|0001|9999)[0-9]{4}-[0-9]{2}-[0-9]{2}T",
}
