"""Translates errors of the operating system into the store's errors, with advice."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from model_store.errors import HostileArtefact, StoreError, StoreFull, StoreReadOnly, StoreUnavailable

_FULL = {
    errno.ENOSPC: "the disk is full: free some space or move the store",
    errno.EDQUOT: "the disk quota is used up: raise it or move the store",
    errno.EFBIG: "the process or file system may not write a file that large: raise the limit (ulimit -f)",
}
_REFUSED = {
    errno.EROFS: "the file system is mounted read-only: mount it read-write",
    errno.EACCES: "permission denied: give this process's user read and write access to the folder",
    errno.EPERM: "the operating system does not permit it: choose a folder this process may write to",
}


@contextmanager
def translated(action: str, path: Path, *, absence: bool = False) -> Iterator[None]:
    """Turn an OSError raised in the block into a StoreError that says what to do.

    With ``absence``, FileNotFoundError is not translated: the caller handles it.
    """
    try:
        yield
    except OSError as error:
        if absence and isinstance(error, FileNotFoundError):
            raise
        raise _explained(action, path, error) from error


def _explained(action: str, path: Path, error: OSError) -> StoreError:
    code = error.errno or 0
    attempt = f"cannot {action} {path}"
    if code in _FULL:
        return StoreFull(f"{attempt}: {_FULL[code]}")
    if code in _REFUSED:
        return StoreReadOnly(f"{attempt}: {_REFUSED[code]}")
    if code in (errno.ELOOP, errno.ENOTDIR, errno.EISDIR):
        return HostileArtefact(f"{attempt}: a link or file stands where the store keeps its own; remove it")
    return StoreUnavailable(f"{attempt}: {error.strerror or error}; check the disk and the mount")
