"""One byte sequence per JSON value, so that a digest names content and nothing else.

The canonical form: keys sorted by code point, no white space, non-ASCII escaped (so the bytes are
ASCII), every number finite. Integers stay integers; a float is written as the shortest decimal that
reads back as the same IEEE-754 double (Python's ``repr``), so ``1.0`` and ``1`` are two different
values. Reading is stricter than the JSON standard: it refuses duplicate keys, NaN, infinity, numbers that
overflow to infinity, and deep nesting.
"""

import json
import math
from typing import Any

MAX_DEPTH = 64


class NotCanonical(ValueError):
    """A value or text outside the canonical form. Callers replace it by an error of their own."""


def plain(value: Any, depth: int = 0) -> Any:
    """A deep copy of ``value`` made of dict, list, str, int, float, bool and None only.

    Tuples become lists and subclasses (enumerations, NumPy doubles) become their plain type, so that
    the value in memory equals the value that a reader of the bytes gets. Raises :class:`NotCanonical`.
    """
    if depth > MAX_DEPTH:
        raise NotCanonical(f"nested deeper than {MAX_DEPTH} levels")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise NotCanonical(f"{value!r} is not a finite number")
        return float(value)
    if isinstance(value, list | tuple):
        return [plain(item, depth + 1) for item in value]
    if isinstance(value, dict):
        copy = {}
        for key, item in value.items():
            if not isinstance(key, str):
                raise NotCanonical(f"key {key!r} is not a string")
            copy[str(key)] = plain(item, depth + 1)
        return copy
    raise NotCanonical(f"a {type(value).__name__} has no JSON form")


def encode(value: Any) -> bytes:
    """The canonical bytes of ``value``. Raises :class:`NotCanonical`."""
    try:
        text = json.dumps(
            plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True
        )
    except NotCanonical:
        raise
    except ValueError as error:  # an integer beyond the interpreter's digit limit
        raise NotCanonical(str(error)) from error
    return text.encode("ascii")


def decode(data: bytes) -> Any:
    """The value in ``data``. Checks the values strictly, and accepts any layout. Raises :class:`NotCanonical`."""
    try:
        return json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_no_key_twice,
            parse_constant=_no_constant,
            parse_float=_finite,
        )
    except NotCanonical:
        raise
    except RecursionError as error:
        raise NotCanonical("nested too deeply") from error
    except ValueError as error:  # malformed JSON, malformed UTF-8, oversized integers
        raise NotCanonical(str(error)) from error


def decode_canonical(data: bytes) -> Any:
    """The value in ``data``, which must be the bytes that :func:`encode` writes. Raises :class:`NotCanonical`."""
    value = decode(data)
    if encode(value) != data:
        raise NotCanonical("the bytes are not in canonical form")
    return value


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise NotCanonical(f"key {key[:80]!r} appears twice")
        found[key] = value
    return found


def _no_constant(name: str) -> Any:
    raise NotCanonical(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise NotCanonical(f"{text[:80]} overflows a double")
    return number
