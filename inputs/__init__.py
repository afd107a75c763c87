"""Rules for input values: ids, titles and times. The same rules hold for files, the API and the commands.

It also has the canonical JSON form that every room except the store uses.
"""

from inputs.canonical import canonical_json
from inputs.text import (
    ID_RULE,
    MAX_ID_CHARACTERS,
    MAX_TITLE_CHARACTERS,
    InvalidInput,
    identifier,
    number_as_id,
    title,
)
from inputs.times import TIME_RULE, TIME_UNITS, Moment, moment

__all__ = [
    "ID_RULE",
    "MAX_ID_CHARACTERS",
    "MAX_TITLE_CHARACTERS",
    "TIME_RULE",
    "TIME_UNITS",
    "InvalidInput",
    "Moment",
    "canonical_json",
    "identifier",
    "moment",
    "number_as_id",
    "title",
]
