"""The list of guards, and how each is taken away: data in `removals.toml`, one entry for each place."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LIST = Path(__file__).with_name("removals.toml")
# Those that no list may leave out.
REQUIRED = ("fence", "floor", "timeline", "lease", "suppression read", "digest check", "journal replay")


class GuardMissing(Exception):
    """The text that an entry takes away does not stand in its file exactly once."""


@dataclass(frozen=True)
class Removal:
    """One place at which one guard is taken away.

    ``what`` says what is gone without it, ``find`` is what stands in ``file`` exactly once, ``replace`` what stands
    there without the guard. Each of ``tests`` passes with the guard and fails without it.
    """

    guard: str
    what: str
    file: str
    find: str
    replace: str
    tests: tuple[str, ...]

    def apply(self, text: str) -> str:
        """The text without the guard.

        Raises:
            GuardMissing: it is not there, or in more than one place.
        """
        found = text.count(self.find)
        if found != 1:
            raise GuardMissing(f"{self.file}: {found} places, and not one, hold: {self.find.strip()}")
        return text.replace(self.find, self.replace)


def read_list(path: Path = LIST) -> tuple[Removal, ...]:
    entries = tomllib.loads(path.read_text(encoding="utf-8"))["removal"]
    return tuple(Removal(**{**entry, "tests": tuple(entry["tests"])}) for entry in entries)


def of_guard(removals: Sequence[Removal], name: str) -> tuple[Removal, ...]:
    """The entries of one guard.

    Raises:
        GuardMissing: nothing is called so.
    """
    chosen = tuple(removal for removal in removals if removal.guard == name)
    if not chosen:
        names = ", ".join(dict.fromkeys(removal.guard for removal in removals))
        raise GuardMissing(f"no guard is called {name!r}; there are: {names}")
    return chosen
