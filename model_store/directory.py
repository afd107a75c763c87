"""Named bytes in a local directory: whole, durable, create-only, and never through a symbolic link.

A file is written under a temporary name in its final folder, flushed to the disk, and then hard-linked to its
real name. The link fails if that name is taken, so a reader sees either nothing or the whole file.
The writer holds a lock on the temporary file. If the writer dies, the lock is released; the file stays, no
listing shows it, and the next sweep removes it.
Folders are opened one by one from the root, so a symbolic link below the root is never followed.
"""

import contextlib
import fcntl
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from model_store.content import PIECE_BYTES
from model_store.errors import HostileArtefact, StoreError
from model_store.filesystem_errors import translated
from model_store.interface import StoreHealth

_TEMPORARY = re.compile(r"\.writing-[0-9a-f]{32}")
# For the store's owner only, whatever the umask: weights are personal data. Objects are created read-only, because
# nothing in the store is ever changed.
_FOLDER_MODE, _OBJECT_MODE, _SCRATCH_MODE = 0o700, 0o400, 0o600
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # NONBLOCK: a FIFO must not hang us
_WRITE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class DirectoryObjects:
    """:class:`~model_store.objects.Objects` under ``root``, which is created if it is missing."""

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().absolute()
        with translated("create the folder", self.root):
            self.root.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        # The sweep may fail because the store is read-only or another process sweeps it. Reading works all the same.
        with contextlib.suppress(StoreError):
            self.sweep()

    def create(self, key: str, pieces: Iterable[bytes]) -> bool:
        """See :meth:`model_store.objects.Objects.create`."""
        *folders, name = key.split("/")
        with translated("write", self.root / key), self._folders(folders, make=True) as chain:
            created = self._write(chain[-1], name, pieces)
            # Flush even if another writer was first: that writer may have died before its own flush.
            for folder in reversed(chain):
                os.fsync(folder)
        return created

    def read(self, key: str, limit: int, write: Callable[[bytes], object]) -> bool:
        """See :meth:`model_store.objects.Objects.read`."""
        *folders, name = key.split("/")
        try:
            with translated("read", self.root / key, absence=True), self._folders(folders) as chain:
                handle = os.open(name, _READ_FLAGS, dir_fd=chain[-1])
                try:
                    _check_ordinary(self.root / key, os.fstat(handle), limit)
                    while piece := os.read(handle, PIECE_BYTES):
                        write(piece)
                finally:
                    os.close(handle)
        except FileNotFoundError:
            return False
        return True

    def exists(self, key: str) -> bool:
        """See :meth:`model_store.objects.Objects.exists`."""
        *folders, name = key.split("/")
        try:
            with translated("look at", self.root / key, absence=True), self._folders(folders) as chain:
                os.stat(name, dir_fd=chain[-1], follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def delete(self, key: str) -> None:
        """See :meth:`model_store.objects.Objects.delete`."""
        *folders, name = key.split("/")
        try:
            with translated("delete", self.root / key, absence=True), self._folders(folders) as chain:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=chain[-1])
                os.fsync(chain[-1])
        except FileNotFoundError:
            return

    def names(self, prefix: str) -> list[str]:
        """See :meth:`model_store.objects.Objects.names`."""
        try:
            with (
                translated("list", self.root / prefix, absence=True),
                self._folders(prefix.split("/")) as chain,
            ):
                return [name for name in os.listdir(chain[-1]) if not _TEMPORARY.fullmatch(name)]
        except FileNotFoundError:
            return []

    def sweep(self) -> None:
        """See :meth:`model_store.objects.Objects.sweep`."""
        with translated("sweep", self.root):
            for _, _, names, folder in os.fwalk(self.root.resolve(), onerror=_raise):
                for name in filter(_TEMPORARY.fullmatch, names):
                    with contextlib.suppress(FileNotFoundError):
                        _remove_abandoned(name, folder)

    def health(self) -> StoreHealth:
        """See :meth:`model_store.Store.check`."""
        try:
            with translated("write", self.root), self._folders([]) as chain:
                probe = _temporary_name()
                try:
                    with open(os.open(probe, _WRITE_FLAGS, _SCRATCH_MODE, dir_fd=chain[-1]), "wb") as file:
                        file.write(b"?")
                finally:
                    with contextlib.suppress(OSError):
                        os.unlink(probe, dir_fd=chain[-1])
                space = os.fstatvfs(chain[-1])
        except StoreError as error:
            return StoreHealth(writable=False, free_bytes=self._free_bytes(), detail=str(error))
        return StoreHealth(writable=True, free_bytes=space.f_bavail * space.f_frsize)

    def _write(self, folder: int, name: str, pieces: Iterable[bytes]) -> bool:
        with contextlib.suppress(FileNotFoundError):
            os.stat(name, dir_fd=folder, follow_symlinks=False)
            return False
        temporary, handle = _open_temporary(folder)
        try:
            with os.fdopen(handle, "wb", buffering=0) as file:
                for piece in pieces:
                    remaining = memoryview(piece)
                    while remaining:
                        remaining = remaining[file.write(remaining) :]
                os.fsync(handle)
                os.link(temporary, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        except FileExistsError:
            return False
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=folder)
        return True

    @contextmanager
    def _folders(self, parts: list[str], *, make: bool = False) -> Iterator[list[int]]:
        """Open the root and each folder below it. The root may be a symbolic link, nothing below it may."""
        with translated("open", self.root):
            chain = [os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)]
        try:
            for part in parts:
                if make:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(part, _FOLDER_MODE, dir_fd=chain[-1])
                chain.append(os.open(part, _FOLDER_FLAGS, dir_fd=chain[-1]))
            yield chain
        finally:
            for folder in chain:
                os.close(folder)

    def _free_bytes(self) -> int | None:
        try:
            space = os.statvfs(self.root)
        except OSError:
            return None
        return space.f_bavail * space.f_frsize


def _check_ordinary(path: Path, status: os.stat_result, limit: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise HostileArtefact(f"{path} is not an ordinary file; remove it")
    if status.st_size > limit:
        raise HostileArtefact(f"{path} has {status.st_size} bytes; at most {limit} are read")


def _temporary_name() -> str:
    return f".writing-{secrets.token_hex(16)}"


def _open_temporary(folder: int) -> tuple[str, int]:
    """Create a temporary file and lock it, so that no sweep takes it for an abandoned one."""
    while True:
        name = _temporary_name()
        handle = os.open(name, _WRITE_FLAGS, _OBJECT_MODE, dir_fd=folder)
        fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return name, handle
        # A sweep removed the file between the creation and the lock.
        os.close(handle)


def _remove_abandoned(name: str, folder: int) -> None:
    handle = os.open(name, _READ_FLAGS, dir_fd=folder)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(name, dir_fd=folder)
    except BlockingIOError:
        # A living writer holds the lock.
        return
    finally:
        os.close(handle)


def _raise(error: OSError) -> None:
    raise error
