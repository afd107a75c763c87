"""Checks the installed packages. Imports none of them, so that it can report a missing one."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, requires, version

from cli.doctor.findings import Finding, failure, ok, warning

_PIN = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^;\s]+)(?:\s*;\s*extra\s*==\s*['\"](\w+)['\"])?$")
_EXTRAS = {"gateway": "a gateway", "worker": "a worker"}
INSTALL = "pip install -c constraints.txt -e '.[gateway,worker]' installs what this release was tested with"


def check_versions() -> Finding:
    """Compare the installed packages with the pins of this release."""
    try:
        pins = [pin for line in requires("lethe") or () if (pin := _PIN.match(line))]
    except PackageNotFoundError:
        return warning(
            "versions", "lethe is not installed, only run from its folder", "pip install -e . tells pip"
        )
    return judge_versions([(pin[1], pin[2], pin[3]) for pin in pins], _installed(pin[1] for pin in pins))


def judge_versions(
    pins: Iterable[tuple[str, str, str | None]], installed: Mapping[str, str | None]
) -> Finding:
    """Compare installed versions with pins.

    Args:
        pins: package, version, and the extra that it belongs to.
        installed: the installed version of each package.
    """
    missing: dict[str | None, list[str]] = {}
    other = []
    counted = 0
    for name, pinned, extra in pins:
        here = installed.get(name)
        if here is None:
            missing.setdefault(extra, []).append(name)
            continue
        counted += 1
        # The part after the plus sign names the build, not the version.
        if here.partition("+")[0] != pinned:
            other.append(f"{name} {here} instead of {pinned}")
    if None in missing:
        return failure("versions", f"not installed: {', '.join(missing[None])}", INSTALL)
    if other:
        return warning("versions", ", ".join(sorted(set(other))), INSTALL)
    told = f"Python {platform.python_version()}, {counted} packages as pinned"
    lacking = [what for extra, what in _EXTRAS.items() if extra in missing]
    return ok("versions", f"{told}; {' and '.join(lacking)} cannot run here" if lacking else told)


def _installed(names: Iterable[str]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found
