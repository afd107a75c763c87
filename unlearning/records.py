"""Frozen dataclasses to JSON and back, by their type hints.

Reports, policies and method configurations pass between processes and releases as JSON. Reading is strict: an unknown
field, a missing field or a value of the wrong type is an error that names its path, so that a policy edited by hand
fails before a run and not during one.
"""

from __future__ import annotations

import hashlib
import math
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import inputs
from unlearning.errors import UnlearningError

T = TypeVar("T")


def to_plain(value: Any) -> Any:
    """The JSON form of `value`: dataclasses become objects, tuples become arrays.

    Raises ValueError for a float that JSON cannot hold (nan, inf): a figure that does not exist is None.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} has no JSON form; use None for a figure that does not exist")
    return value


def canonical_json(value: Any) -> bytes:
    """One byte string per value (`inputs.canonical_json`), of dataclasses, too."""
    return inputs.canonical_json(to_plain(value))


def sha256_hex(data: bytes) -> str:
    """The SHA-256 of `data` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def from_plain(kind: type[T], data: object, error: type[UnlearningError], path: str = "") -> T:
    """Rebuild the dataclass `kind` from its JSON form; `error` is raised for anything that does not fit."""
    return cast(T, _decode(kind, data, error, path or kind.__name__))


def _decode(kind: Any, data: Any, error: type[UnlearningError], path: str) -> Any:
    if kind is Any:
        return data
    if is_dataclass(kind):
        return _decode_record(cast(type, kind), data, error, path)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _decode_union(arguments, data, error, path)
    if origin is Literal:
        if data not in arguments or (isinstance(data, bool) and True not in arguments):
            raise error(f"{path} is {data!r}; choose one of {', '.join(map(str, arguments))}")
        return data
    if origin is tuple:
        if not isinstance(data, list | tuple):
            raise error(f"{path} must be a list, not {type(data).__name__}")
        return tuple(
            _decode(arguments[0], item, error, f"{path}[{index}]") for index, item in enumerate(data)
        )
    if origin is dict:
        if not isinstance(data, Mapping):
            raise error(f"{path} must be an object, not {type(data).__name__}")
        return {str(key): _decode(arguments[1], item, error, f"{path}.{key}") for key, item in data.items()}
    return _decode_scalar(kind, data, error, path)


def _decode_record(kind: type, data: Any, error: type[UnlearningError], path: str) -> Any:
    if not isinstance(data, Mapping):
        raise error(f"{path} must be an object, not {type(data).__name__}")
    hints = get_type_hints(kind)
    known = {field.name: field for field in fields(kind) if field.init}
    unknown = sorted(set(map(str, data)) - set(known))
    if unknown:
        raise error(f"{path} has no field {', '.join(unknown)}; its fields are {', '.join(known) or 'none'}")
    missing = [
        name
        for name, field in known.items()
        if name not in data and field.default is MISSING and field.default_factory is MISSING
    ]
    if missing:
        raise error(f"{path} lacks {', '.join(missing)}")
    values = {
        name: _decode(hints[name], data[name], error, f"{path}.{name}") for name in known if name in data
    }
    return kind(**values)


def _decode_union(choices: tuple[Any, ...], data: Any, error: type[UnlearningError], path: str) -> Any:
    if data is None and type(None) in choices:
        return None
    remaining = [choice for choice in choices if choice is not type(None)]
    if len(remaining) != 1:
        raise TypeError(f"{path}: only optional unions can be read back, not {choices}")
    return _decode(remaining[0], data, error, path)


def _decode_scalar(kind: Any, data: Any, error: type[UnlearningError], path: str) -> Any:
    if kind is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    # In Python bool is an int, but `true` in place of a count is a mistake in a policy.
    if not isinstance(data, kind) or (isinstance(data, bool) and kind is not bool):
        raise error(f"{path} must be {kind.__name__}, not {data!r}")
    if isinstance(data, float) and not math.isfinite(data):
        raise error(f"{path} must be a finite number, not {data}")
    return data
