"""Every setting of the service: `app.settings.Settings`."""

from __future__ import annotations

import re
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from app.settings import Settings
from docs.generate.markdown import paragraph, table

_HEAD = """# Settings

Written by `make docs` from `app/settings.py` and `app/access_settings.py`. A setting is an environment variable, or a
line of the file `.env` in the folder where the process starts. Settings are read once, when a process starts; a setting
that is wrong ends the process with one line that names it.

`lethe up` has a default of its own for each address and interval that depends on the folder of `--state`; a variable
that you set goes before it.
"""


def settings_page() -> str:
    """A table of all settings, in the order of the class."""
    rows = [_row(name, field) for name, field in Settings.model_fields.items()]
    return "\n".join([_HEAD, *table(["variable", "default", "values", "meaning"], rows)]) + "\n"


def _row(name: str, field: FieldInfo) -> list[str]:
    schema: dict[str, Any] = Settings.model_json_schema()["properties"][name]
    return [f"`LETHE_{name.upper()}`", _default(field), _values(schema), paragraph(field.description or "")]


def _default(field: FieldInfo) -> str:
    value = field.default
    if isinstance(value, SecretStr):
        return "none in production"
    return "" if value in (None, "") else f"`{value}`"


def _values(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    kinds = [one.get("format", one.get("type", "")) for one in schema.get("anyOf", [schema])]
    kind = next(kind for kind in kinds if kind and kind != "null")
    low, high = schema.get("minimum"), schema.get("maximum")
    if "exclusiveMinimum" in schema:
        return f"{kind} above {schema['exclusiveMinimum']:g}" + (f", at most {_number(high)}" if high else "")
    if low is None and high is None:
        return re.sub("password|string", "text", kind)
    return f"{kind} from {_number(low)} to {_number(high)}"


def _number(value: float) -> str:
    return f"{value:,.0f}"
