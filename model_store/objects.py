"""What a place must do with named bytes to hold a store: create if absent, read, list by prefix, delete.

An S3-compatible object store does these four, one by one and without locks: whoever lists or reads after a creation or
deletion sees it. Nothing more is relied on. Keys look like ``blobs/<digest>/<digest>``: two or three parts, made by
:mod:`model_store.content_addressed` from checked digests and numbers, never from outside text.
"""

import io
from collections.abc import Callable, Iterable
from typing import Protocol

from model_store.interface import StoreHealth


class Objects(Protocol):
    """A place for named bytes. Failures are raised as :class:`~model_store.StoreError`."""

    def create(self, key: str, pieces: Iterable[bytes]) -> bool:
        """Make ``pieces``, one after the other, appear under ``key`` whole, durably and at once.

        Returns whether this call created it: what stands there already is never touched. If ``pieces`` raises, that is
        raised and nothing appears.
        """
        ...

    def read(self, key: str, limit: int, write: Callable[[bytes], object]) -> bool:
        """Give the bytes under ``key`` to ``write``, piece by piece; False, and no call, if nothing stands there.

        Raises HostileArtefact before the first piece if there are more than ``limit`` bytes.
        """
        ...

    def exists(self, key: str) -> bool:
        """Whether anything stands under ``key``, readable or not."""
        ...

    def delete(self, key: str) -> None:
        """Remove ``key`` durably; nothing there is fine."""
        ...

    def names(self, prefix: str) -> list[str]:
        """The next part of each key that begins with ``prefix`` and a slash, once each, in any order.

        One listing, by prefix and with the slash as delimiter. Also a part that a folder stands under is told, whether
        anything is in it or not, where the place has folders.
        """
        ...

    def sweep(self) -> None:
        """Remove what writers that died have left unfinished, and nothing that is being written.

        An object store has nothing of the kind that could be read; its lifecycle rules remove broken uploads.
        """
        ...

    def health(self) -> StoreHealth:
        """See :meth:`model_store.Store.check`."""
        ...


def read_whole(objects: Objects, key: str, limit: int) -> bytes | None:
    """The bytes of a small object, or None. Raises HostileArtefact beyond ``limit`` bytes."""
    held = io.BytesIO()
    return held.getvalue() if objects.read(key, limit, held.write) else None
