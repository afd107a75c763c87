"""A store in this process's memory: for tests and for trying things out. Nothing survives the process."""

import threading
from collections.abc import Callable, Iterable

from model_store.content import pieces as in_pieces
from model_store.content_addressed import ContentAddressedStore
from model_store.errors import HostileArtefact
from model_store.interface import StoreHealth


class MemoryObjects:
    """:class:`~model_store.objects.Objects` in a dictionary."""

    def __init__(self) -> None:
        self._held: dict[str, bytes] = {}
        self._creating = threading.Lock()

    def create(self, key: str, pieces: Iterable[bytes]) -> bool:
        """See :meth:`model_store.objects.Objects.create`."""
        if key in self._held:
            return False
        data = b"".join(pieces)
        with self._creating:
            if key in self._held:
                return False
            self._held[key] = data
            return True

    def read(self, key: str, limit: int, write: Callable[[bytes], object]) -> bool:
        """See :meth:`model_store.objects.Objects.read`."""
        data = self._held.get(key)
        if data is None:
            return False
        if len(data) > limit:
            raise HostileArtefact(f"{key} has {len(data)} bytes; at most {limit} are read")
        for piece in in_pieces(data):
            write(piece)
        return True

    def exists(self, key: str) -> bool:
        """See :meth:`model_store.objects.Objects.exists`."""
        return key in self._held

    def delete(self, key: str) -> None:
        """See :meth:`model_store.objects.Objects.delete`."""
        self._held.pop(key, None)

    def names(self, prefix: str) -> list[str]:
        """See :meth:`model_store.objects.Objects.names`."""
        below = f"{prefix}/"
        return list(
            {key.removeprefix(below).partition("/")[0] for key in list(self._held) if key.startswith(below)}
        )

    def sweep(self) -> None:
        """Does nothing: no object is ever unfinished here."""

    def health(self) -> StoreHealth:
        """Always writable; there is no figure for free space."""
        return StoreHealth(writable=True, free_bytes=None)


class MemoryStore(ContentAddressedStore):
    """A :class:`~model_store.Store` that lives as long as this object."""

    def __init__(self) -> None:
        super().__init__(MemoryObjects())
