"""What a method needs before it can run at all, asked of the method itself.

A method that needs something says so in `needs_levels` and `cannot_edit`; one that says nothing needs nothing. Asked
before a rung is tried, and of a policy when a process starts: not found out in the middle of a run.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from recommender import Adapter, Base
from unlearning.methods.method import Method


@runtime_checkable
class Selective(Protocol):
    """A method that cannot edit every adapter."""

    def cannot_edit(self, base: Base, adapter: Adapter) -> str | None:
        """Why it cannot edit this one on this base, in plain words that need no subject (`the adapter has …`).

        None if it can. Cheap: nothing is attached and nothing is read.
        """


def why_not(method: Method, base: Base, adapter: Adapter) -> str | None:
    """Why this method cannot edit this adapter; None if nothing is known against it."""
    return method.cannot_edit(base, adapter) if isinstance(method, Selective) else None


def needs_levels(method: Method) -> bool:
    """Whether it can do nothing without `ForgetTask.never_seen_nll`."""
    return bool(getattr(method, "needs_levels", False))
