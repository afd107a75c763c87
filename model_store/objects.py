"""The three things a place must do with named bytes to hold a store: create if absent, read, delete.

Keys look like ``blobs/ab/<digest>``: one to three parts, made by
:mod:`model_store.content_addressed` from checked digests and epochs, never from outside text.
"""

from contextlib import AbstractContextManager
from typing import Protocol

from model_store.interface import StoreHealth


class Objects(Protocol):
    """A place for named bytes. Failures are raised as :class:`~model_store.StoreError`."""

    def create(self, key: str, data: bytes) -> bool:
        """Make ``data`` appear under ``key`` whole, durably and at once, unless something stands there.

        Returns whether this call created it. What stands there is never touched.
        """
        ...

    def read(self, key: str, limit: int) -> bytes | None:
        """The bytes under ``key``, or None. Raises HostileArtefact beyond ``limit`` bytes."""
        ...

    def exists(self, key: str) -> bool:
        """Whether anything stands under ``key``, readable or not."""
        ...

    def delete(self, key: str) -> None:
        """Remove ``key`` durably; nothing there is fine."""
        ...

    def names(self, folder: str) -> list[str]:
        """The last parts of the keys directly under ``folder``, in any order."""
        ...

    def exclusive(self) -> AbstractContextManager[None]:
        """Hold the lock that keeps publishing and destroying apart, across threads and processes."""
        ...

    def sweep(self) -> None:
        """Remove what writers that died have left unfinished, and nothing that is being written."""
        ...

    def health(self) -> StoreHealth:
        """See :meth:`model_store.Store.check`."""
        ...
