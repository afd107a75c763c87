"""What people have asked to be forgotten, compared with what an adapter of the operator's may have read."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.db.ledger import lock_ledger
from app.selections import queries as selections
from app.suppressions import queries as suppressions
from app.takedowns import queries as takedowns
from worker.first_fit.errors import FirstFitError
from worker.first_fit.importing import Imported


@dataclass(frozen=True)
class Asked:
    """Everything that was asked up to an epoch.

    ``suppressions`` are the epochs of those in force, by subject. ``selections`` are the subjects of the selections of
    events, by epoch, and ``settled`` the epochs of those whose events are forgotten. ``returns`` are the epochs in
    which subjects came back after they had been forgotten, and ``taken_items`` those in which items were taken down.
    """

    epoch: int
    suppressions: dict[str, int]
    selections: dict[int, str]
    settled: frozenset[int]
    returns: dict[str, int]
    taken_items: dict[str, int]

    @classmethod
    def of(cls, session: Session) -> Asked:
        """Read it under the ledger's lock."""
        return cls(
            lock_ledger(session).epoch,
            suppressions.suppression_epochs(session),
            selections.subjects_by_epoch(session),
            selections.settled_epochs(session),
            suppressions.return_epochs(session),
            {item_id: epoch for epoch, item_id in takedowns.after(session, 0)},
        )

    def selections_read(self, imported: Imported) -> frozenset[int]:
        """The epochs of the selections of which an adapter that was trained on these data may have read events."""
        return frozenset(
            epoch
            for epoch, subject in self.selections.items()
            if subject in imported.selected or (epoch > imported.epoch and subject in imported.mentioned)
        )

    def covered(self, imported: Imported) -> int:
        """The epoch up to which such an adapter covers suppressions, selections and takedowns.

        Their runs may complete until it is installed, without another version and without raising the floor. The
        installation is refused then because their epochs lie above this one.
        """
        asked = [epoch for subject, epoch in self.suppressions.items() if subject in imported.mentioned]
        asked += self.selections_read(imported)
        asked += self._items_read(imported).values()
        return min(asked, default=self.epoch + 1) - 1

    def require_nothing_forgotten(self, imported: Imported) -> None:
        """
        Raises:
            FirstFitError: the adapter may have read something that is forgotten by now.
        """
        read = self.selections_read(imported) & self.settled
        forgotten = self._returns_read(imported).keys() | {self.selections[epoch] for epoch in read}
        if forgotten:
            raise FirstFitError(
                f"this adapter may have read interactions that {len(forgotten)} people have had forgotten: bring one "
                "that was trained without anything of theirs, or have Lethe fit one"
            )

    def require_all_in(self, imported: Imported) -> None:
        """Check that the data mention all that was asked about. A folder made after a request lacks it, but an adapter
        trained before may know it.

        Raises:
            FirstFitError: the data lack somebody, somebody's events or an item.
        """
        read = self.selections_read(imported)
        unread = {subject for epoch, subject in self.selections.items() if epoch not in read}
        unread |= self.returns.keys() - self._returns_read(imported).keys()
        absent = len((self.suppressions.keys() - imported.mentioned) | unread)
        if absent:
            raise FirstFitError(
                f"what {absent} of those who have asked wanted forgotten is not in the data, and an adapter that was "
                "trained before they asked still knows it: fit anew, without --adapter; if it was trained on exactly "
                "these data, add --trained-without-forgotten"
            )
        absent = len(self.taken_items.keys() - self._items_read(imported).keys())
        if absent:
            raise FirstFitError(
                f"{absent} of the items that were taken down are not in the data, and an adapter that was trained "
                "before still knows their interactions: fit anew, without --adapter; if it was trained on exactly "
                "these data, add --trained-without-forgotten"
            )

    def _returns_read(self, imported: Imported) -> dict[str, int]:
        """Those who came back and of whom such an adapter may have read what was forgotten, with their returns."""
        return {
            subject: epoch
            for subject, epoch in self.returns.items()
            if subject in imported.returned or (epoch > imported.epoch and subject in imported.mentioned)
        }

    def _items_read(self, imported: Imported) -> dict[str, int]:
        """The items that were taken down and that it may have read, with the epochs of their takedowns."""
        return {
            item_id: epoch
            for item_id, epoch in self.taken_items.items()
            if item_id in imported.taken_items or epoch > imported.epoch
        }
