"""Findings of the checks, and how they are printed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum


class State(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True)
class Finding:
    """One line of the output: what was `found`, and `advice` on what to do. Neither ever contains a secret."""

    check: str
    state: State
    found: str
    advice: str = ""

    def to_plain(self) -> dict[str, str]:
        return {name: str(value) for name, value in asdict(self).items()}

    def line(self) -> str:
        told = f"{self.state:<8}{self.check:<12}{self.found}"
        return f"{told}; {self.advice}" if self.advice else told


def ok(check: str, found: str) -> Finding:
    return Finding(check, State.OK, found)


def warning(check: str, found: str, advice: str) -> Finding:
    return Finding(check, State.WARNING, found, advice)


def failure(check: str, found: str, advice: str) -> Finding:
    return Finding(check, State.FAILURE, found, advice)


def healthy(findings: Iterable[Finding]) -> bool:
    return all(finding.state is not State.FAILURE for finding in findings)


def size(number: float) -> str:
    """A number of bytes, for people to read."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "bytes" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TiB"
