"""Events of the audit log: what an operator did with versions and the store. See `app.audit.events`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.audit.events import Event


@dataclass(frozen=True)
class VersionExported(Event):
    """The weights were written into a folder outside the store, where no forget request reaches them."""

    action = "version.exported"
    version: str
    forget_epoch: int


@dataclass(frozen=True)
class VersionDestructionFinished(Event):
    """A destruction that store or database had lost a part of is whole again: no blob is left, and the row says so."""

    action = "version.destruction_finished"
    version: str
    blobs: int


@dataclass(frozen=True)
class JournalCompleted(Event):
    """Entries that the erasure journal lacked were written again, from the database."""

    action = "journal.completed"
    epochs: list[int]


@dataclass(frozen=True)
class EngineEmptied(Event):
    """An operator said that the engine outside a silent replica is stopped and its folder emptied.

    ``versions`` are those that the replica's last report named as held there.
    """

    action = "replica.engine_emptied"
    replica: str
    versions: Sequence[str]
