"""The control plane as a replica sees it: what it reads, and what it reports."""

from __future__ import annotations

from typing import Protocol

from app.replicas.service import ControlState, ReplicaReport

__all__ = ["ControlPlane", "ControlState", "ReplicaReport"]


class ControlPlane(Protocol):
    """Called from two threads of the replica: one reads, one reports.

    Any exception means that nothing was read or reported.
    """

    def read(self, after_epoch: int) -> ControlState:
        """The serving pointer, and the feed of suppressions and takedowns.

        ``suppressed`` has every suppression above ``after_epoch`` that was committed when the call began. ``epoch``
        promises that no suppression at or below it is missing. Epochs become visible in order. The same holds for
        ``taken_down``, which was read after ``suppressed``.
        """

    def report(self, report: ReplicaReport) -> None:
        """Store the report of this replica, in place of its earlier one."""
