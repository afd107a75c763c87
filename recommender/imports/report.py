"""What an import did with each group of tensors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

# kept: as it was, in the adapter. dropped: equal to the base. part: what was trained became `embed_rows` or
# `head_rows`. base: it went into the new base. merged: added to the base's weights. note: what to know or to do.
Verdict = Literal["kept", "dropped", "part", "base", "merged", "note"]


@dataclass(frozen=True)
class Entry:
    """One group of tensors: what it is, what became of it, and a sentence that says so."""

    group: str
    verdict: Verdict
    text: str


@dataclass
class Report:
    """The entries in the order of the work; `base_digest` is that of the base folder that was written."""

    entries: list[Entry] = field(default_factory=list)
    base_digest: str = ""

    def add(self, group: str, verdict: Verdict, text: str) -> None:
        """Note what became of a group."""
        self.entries.append(Entry(group, verdict, text))

    def lines(self) -> list[str]:
        """One line per entry, for people."""
        return [f"{entry.group}: {entry.text}" for entry in self.entries]

    def to_plain(self) -> dict[str, Any]:
        """The JSON form."""
        return {"base_digest": self.base_digest, "entries": [vars(entry) for entry in self.entries]}
