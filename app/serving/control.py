"""The side of the control plane a replica sees: what it reads, and what it says about itself."""

from __future__ import annotations

from typing import Protocol

from app.replicas.service import ControlState, ReplicaReport

__all__ = ["ControlPlane", "ControlState", "ReplicaReport"]


class ControlPlane(Protocol):
    """Called from two threads of the replica, one that reads and one that reports.

    Any exception means that nothing was read, or that nothing was reported.
    """

    def read(self, after_epoch: int) -> ControlState:
        """The serving pointer and the suppression feed.

        ``suppressed`` holds every suppression above ``after_epoch`` that had been committed when the call began;
        ``epoch`` promises that none at or below it was left out. Epochs become visible in order.
        """

    def report(self, report: ReplicaReport) -> None:
        """Keep what this replica says about itself; the last word counts."""
