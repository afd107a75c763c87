"""The operations that a place must offer to hold a store: create if absent, read, list by prefix, delete.

An S3-compatible object store offers these four, each atomic and without locks. A reading or listing that begins after a
creation or deletion sees it. The store relies on nothing more. Keys look like ``blobs/<digest>/<digest>``: two or three
parts, made by :mod:`model_store.content_addressed` from checked digests and numbers, never from outside text.
"""

import io
from collections.abc import Callable, Iterable
from typing import Protocol

from model_store.interface import StoreHealth


class Objects(Protocol):
    """A place for named bytes. Failures are raised as :class:`~model_store.StoreError`."""

    def create(self, key: str, pieces: Iterable[bytes]) -> bool:
        """Create ``key`` from ``pieces``, joined together. The object appears whole, at once and durably.

        Returns whether this call created it: an existing object is never touched. If ``pieces`` raises, the exception
        propagates and nothing is created.
        """
        ...

    def read(self, key: str, limit: int, write: Callable[[bytes], object]) -> bool:
        """Pass the bytes under ``key`` to ``write``, piece by piece. Returns False, without a call, if there are none.

        Raises HostileArtefact before the first piece if there are more than ``limit`` bytes.
        """
        ...

    def exists(self, key: str) -> bool:
        """Whether an object exists under ``key``, readable or not."""
        ...

    def delete(self, key: str) -> None:
        """Remove ``key`` durably. A missing key is no error."""
        ...

    def names(self, prefix: str) -> list[str]:
        """The next part of each key that begins with ``prefix`` and a slash, once each, in any order.

        Costs one listing, by prefix and with the slash as delimiter. If the place has folders, the names of empty
        folders are returned too.
        """
        ...

    def sweep(self) -> None:
        """Remove the unfinished objects of writers that died, and nothing that is being written.

        An object store has nothing to remove: unfinished uploads cannot be read, and lifecycle rules delete them.
        """
        ...

    def health(self) -> StoreHealth:
        """See :meth:`model_store.Store.check`."""
        ...


def read_whole(objects: Objects, key: str, limit: int) -> bytes | None:
    """The bytes of a small object, or None if it does not exist. Raises HostileArtefact beyond ``limit`` bytes."""
    held = io.BytesIO()
    return held.getvalue() if objects.read(key, limit, held.write) else None
