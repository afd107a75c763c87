"""A store in a local directory.

::

    blobs/<version>/<sha256>   manifests/<version>.json
    tombstones/<version>.json  swept/<version>.json          version: the manifest's SHA-256
    journal/<epoch>.json       floors/<epoch>.json           epoch: twelve digits
    timelines/<number>.json    checkpoints/<number>.json
"""

from pathlib import Path

from model_store.content_addressed import ContentAddressedStore
from model_store.directory import DirectoryObjects
from model_store.interface import Destruction
from model_store.shared_blobs import give_each_version_its_blobs


class LocalStore(ContentAddressedStore):
    """A :class:`~model_store.Store` under the folder ``root``, created if it is missing.

    Processes on one host may share it. The file system must have hard links and locks (any local
    Linux file system does). Raises :class:`~model_store.StoreError` if the folder cannot be used.
    """

    def __init__(self, root: str | Path) -> None:
        objects = DirectoryObjects(Path(root))
        super().__init__(objects)
        give_each_version_its_blobs(self, objects, leave_damaged=True)

    def destroy(self, digest: str) -> Destruction:
        """See :meth:`model_store.Store.destroy`."""
        destruction = super().destroy(digest)
        self._clear_shared_blobs()
        return destruction

    def delete_orphans(self) -> tuple[str, ...]:
        """See :meth:`model_store.Store.delete_orphans`."""
        self._clear_shared_blobs()
        return super().delete_orphans()

    def _clear_shared_blobs(self) -> None:
        """Clear shared blobs that are left, or that were put back from a copy of an earlier release's store."""
        give_each_version_its_blobs(self, self._objects, leave_damaged=False)
