"""`python -m docs.generate.changes REVISION`: how the API differs from that of a revision.

A line that starts with `!` is a change that a caller can notice without asking for anything new.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

FILE = "docs/reference/openapi.json"


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """One line for each difference in operations, parameters, answers and fields."""
    found = [*_compared(_operations(before), _operations(after), "operation", added_breaks=False)]
    for name, (old, new) in _both(_operations(before), _operations(after)):
        found += _operation(name, old, new)
    old_schemas, new_schemas = (one["components"]["schemas"] for one in (before, after))
    for name, (old, new) in _both(old_schemas, new_schemas):
        found += _schema(name, old, new)
    return found


def main() -> int:
    """Print the differences."""
    parser = argparse.ArgumentParser(prog="python -m docs.generate.changes", description=__doc__)
    parser.add_argument("revision", nargs="?", default="HEAD", help="a revision of git (%(default)s)")
    revision = parser.parse_args().revision
    shown = subprocess.run(
        ["git", "show", f"{revision}:{FILE}"],  # noqa: S607  (whichever git there is)
        capture_output=True,
        text=True,
        check=False,
    )
    if shown.returncode != 0:
        print(f"{revision} has no {FILE}: {shown.stderr.strip()}", file=sys.stderr)  # noqa: T201
        return 2
    # Imported here and not above: it loads the whole service, which a wrong revision need not wait for.
    from docs.generate.document import openapi_page

    for line in changes(json.loads(shown.stdout), json.loads(openapi_page())):
        print(line)  # noqa: T201
    return 0


def _operations(document: Mapping[str, Any]) -> dict[str, Any]:
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def _operation(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    if old["operationId"] != new["operationId"]:
        yield f"! {name}: operationId is {new['operationId']}, was {old['operationId']}"
    before, after = ({one["name"]: one for one in each.get("parameters", [])} for each in (old, new))
    for parameter, described in after.items():
        if parameter not in before:
            yield f"{'!' if described.get('required') else ' '} {name}: parameter {parameter} added"
    yield from (line for line in _compared(before, after, f"{name}: parameter") if "removed" in line)
    yield from _changed(f"{name}: parameter", before, after, "schema", "required")
    yield from _compared(old["responses"], new["responses"], f"{name}: answer", added_breaks=True)
    before, after = ({"body": _content(each.get("requestBody", {}))} for each in (old, new))
    if before != after:
        yield f"! {name}: body changed"


def _schema(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    before, after = old.get("properties", {}), new.get("properties", {})
    yield from _compared(before, after, f"{name}: field", added_breaks=False)
    for field in sorted(set(new.get("required", [])) - set(old.get("required", []))):
        if field in before:
            yield f"! {name}: field {field} is always there now, or needed"
    yield from _changed(f"{name}: field", before, after, "type", "anyOf", "$ref", "enum", "items")
    values, now = set(old.get("enum", [])), set(new.get("enum", []))
    yield from (f"! {name}: value {value} removed" for value in sorted(values - now))
    yield from (f"! {name}: value {value} added" for value in sorted(now - values))


def _compared(
    old: Mapping[str, Any], new: Mapping[str, Any], what: str, *, added_breaks: bool = False
) -> Iterator[str]:
    yield from (f"! {what} {name} removed" for name in old if name not in new)
    yield from (f"{'!' if added_breaks else ' '} {what} {name} added" for name in new if name not in old)


def _changed(what: str, old: Mapping[str, Any], new: Mapping[str, Any], *keys: str) -> Iterator[str]:
    for name, (before, after) in _both(old, new):
        if any(before.get(key) != after.get(key) for key in keys):
            yield f"! {what} {name} changed"


def _both(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, tuple[Any, Any]]]:
    yield from ((name, (old[name], new[name])) for name in old if name in new)


def _content(described: Mapping[str, Any]) -> Any:
    return {kind: content.get("schema") for kind, content in described.get("content", {}).items()}


if __name__ == "__main__":
    sys.exit(main())
