"""A store in a local directory.

::

    blobs/ab/<sha256>          manifests/<sha256>.json
    journal/<epoch>.json       tombstones/<sha256>.json      epoch: twelve digits
    timelines/<number>.json    checkpoints/<number>.json     floors/<epoch>.json
"""

from pathlib import Path

from model_store.content_addressed import ContentAddressedStore
from model_store.directory import DirectoryObjects


class LocalStore(ContentAddressedStore):
    """A :class:`~model_store.Store` under the folder ``root``, created if it is missing.

    Processes on one host may share it. The file system must have hard links and locks (any local
    Linux file system does). Raises :class:`~model_store.StoreError` if the folder cannot be used.
    """

    def __init__(self, root: str | Path) -> None:
        super().__init__(DirectoryObjects(Path(root)))
