"""What a method requires before it can run.

A method declares its requirements in `needs_levels` and `cannot_edit`; a method without them requires nothing. They are
checked when a process reads its policy and before a rung is tried, so that no run fails over them half-way.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from recommender import Adapter, Base
from unlearning.methods.method import Method


@runtime_checkable
class Selective(Protocol):
    """A method that cannot edit every adapter."""

    def cannot_edit(self, base: Base, adapter: Adapter) -> str | None:
        """Why it cannot edit `adapter` on `base`, as a sentence (`the adapter has …`); None if it can.

        Cheap: it attaches no adapter and reads no sequence.
        """


def why_not(method: Method, base: Base, adapter: Adapter) -> str | None:
    """Why this method cannot edit this adapter; None if no reason is known."""
    return method.cannot_edit(base, adapter) if isinstance(method, Selective) else None


def needs_levels(method: Method) -> bool:
    """Whether the method cannot run without `ForgetTask.never_seen_nll`."""
    return bool(getattr(method, "needs_levels", False))
