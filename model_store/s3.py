"""Named bytes in a bucket of S3-compatible storage, through obstore.

Small objects are created by one conditional request (``If-None-Match: *``). Large ones go in parts, because no such
request can be streamed; see :meth:`S3Objects.create`. Nothing is locked. Two properties of the bucket are checked, not
assumed: that it refuses to create what exists, and that it does not keep what is deleted.

Endpoint, region and credentials come from the environment, under the names that AWS's own tools read.
"""

import os
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import chain

import obstore
from obstore.exceptions import AlreadyExistsError
from obstore.store import S3Store as Bucket

from model_store.content import PIECE_BYTES
from model_store.content_addressed import ContentAddressedStore
from model_store.errors import HostileArtefact, StoreError, StoreReadOnly, StoreUnavailable, StoreUnsuitable
from model_store.interface import StoreHealth
from model_store.s3_errors import translated

# An object up to this size is held in memory and created by one request.
WHOLE_BYTES = 8 * 2**20
# Parts of a larger one. So many are held at most; 10,000 of them, S3's limit, are more than the largest blob.
_PART_BYTES, _PARTS_AT_ONCE = 8 * 2**20, 4
_PROBE = "probe/create-only"
_MOST_TRIES = 5
_RIVALS = 4
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")

# Places that were found suitable by this process or by the one that it was forked from.
_suitable: set[str] = set()
# obstore's threads do not survive a fork: a child that went on with them would hang.
_process_with_threads: int | None = None


class S3Objects:
    """:class:`~model_store.objects.Objects` under ``prefix`` (without slashes at its ends) of ``bucket``.

    The constructor sends nothing. The first operation of a process checks the bucket and raises
    :class:`~model_store.StoreUnsuitable` if it cannot hold a store. A bucket that refuses writes is not checked before
    it takes them: it can be read all the same.
    """

    def __init__(self, bucket: str, prefix: str = "") -> None:
        endpoint = next((value for name in _ENDPOINTS if (value := os.environ.get(name))), "")
        self.place = f"s3://{bucket}/{prefix}"
        self._identity = f"{endpoint} {self.place}"
        self._checking = threading.Lock()
        with translated("open", self.place):
            self._bucket = Bucket(
                bucket,
                prefix=prefix or None,
                # Not all storage that is compatible with S3 deletes several objects in one request.
                config={"disable_bulk_delete": True, **({"endpoint": endpoint} if endpoint else {})},
                client_options={
                    "allow_http": endpoint.startswith("http://"),
                    "connect_timeout": timedelta(seconds=5),
                    "read_timeout": timedelta(seconds=20),
                    "timeout": timedelta(minutes=15),
                },
                retry_config={
                    "max_retries": 3,
                    "retry_timeout": timedelta(seconds=20),
                    "backoff": {
                        "init_backoff": timedelta(milliseconds=100),
                        "max_backoff": timedelta(seconds=2),
                    },
                },
            )

    def create(self, key: str, pieces: Iterable[bytes]) -> bool:
        """See :meth:`model_store.objects.Objects.create`.

        An object of more than :data:`WHOLE_BYTES` goes in parts, and appears whole when the last one is there. Two
        writers who create one at the same moment both succeed. Only blobs are that large. A blob is named by the digest
        of its bytes and is refused if they do not hash to it, so both have written the same bytes.
        """
        self._require_suitable()
        held, rest = bytearray(), iter(pieces)
        for piece in rest:
            held += piece
            if len(held) > WHOLE_BYTES:
                return self._create_in_parts(key, chain([bytes(held)], rest))
        return self._create_whole(key, bytes(held))

    def read(self, key: str, limit: int, write: Callable[[bytes], object]) -> bool:
        """See :meth:`model_store.objects.Objects.read`."""
        self._look_over()
        try:
            with translated("read", self._named(key), absence=True):
                answer = obstore.get(self._bucket, key)
                if (size := answer.meta["size"]) > limit:
                    raise HostileArtefact(f"{self._named(key)} has {size} bytes; at most {limit} are read")
                for chunk in answer.stream(min_chunk_size=PIECE_BYTES):
                    view = memoryview(chunk)
                    for start in range(0, len(view), PIECE_BYTES):
                        write(bytes(view[start : start + PIECE_BYTES]))
        except FileNotFoundError:
            return False
        return True

    def exists(self, key: str) -> bool:
        """See :meth:`model_store.objects.Objects.exists`."""
        self._look_over()
        return self._exists(key)

    def delete(self, key: str) -> None:
        """See :meth:`model_store.objects.Objects.delete`.

        Raises StoreUnsuitable, and deletes nothing, if the bucket has begun to keep what is deleted.
        """
        self._require_suitable()
        self._require_no_old_versions()
        with translated("delete", self._named(key), writing=True):
            obstore.delete(self._bucket, key)

    def names(self, prefix: str) -> list[str]:
        """See :meth:`model_store.objects.Objects.names`."""
        self._look_over()
        with translated("list", self._named(prefix)):
            found = obstore.list_with_delimiter(self._bucket, prefix)
        paths = [*found["common_prefixes"], *(meta["path"] for meta in found["objects"])]
        return [path.removeprefix(f"{prefix}/") for path in paths]

    def sweep(self) -> None:
        """Does nothing: see :meth:`model_store.objects.Objects.sweep`."""

    def health(self) -> StoreHealth:
        """Ask to create an object that exists: the answer tells whether this process may write, and writes nothing."""
        try:
            self._require_suitable()
            self._create_whole(_PROBE, b"?")
        except StoreError as error:
            return StoreHealth(writable=False, free_bytes=None, detail=str(error))
        return StoreHealth(writable=True, free_bytes=None)

    def _create_whole(self, key: str, data: bytes) -> bool:
        for _ in range(_MOST_TRIES):
            try:
                with translated("write", self._named(key), writing=True, presence=True):
                    obstore.put(self._bucket, key, data, mode="create")
            except AlreadyExistsError:
                # Also the answer to a request that met another one which then failed: look before believing it.
                if self._exists(key):
                    return False
            else:
                return True
        raise StoreUnavailable(f"cannot write {self._named(key)}: it is said to exist, and does not")

    def _create_in_parts(self, key: str, pieces: Iterator[bytes]) -> bool:
        if self._exists(key):
            return False
        with translated("write", self._named(key), writing=True):
            obstore.put(
                self._bucket,
                key,
                pieces,
                use_multipart=True,
                chunk_size=_PART_BYTES,
                max_concurrency=_PARTS_AT_ONCE,
            )
        return True

    def _exists(self, key: str) -> bool:
        try:
            with translated("look at", self._named(key), absence=True):
                obstore.head(self._bucket, key)
        except FileNotFoundError:
            return False
        return True

    def _look_over(self) -> None:
        try:
            self._require_suitable()
        except StoreReadOnly:
            return

    def _require_suitable(self) -> None:
        _require_own_threads()
        if self._identity in _suitable:
            return
        with self._checking:
            if self._identity in _suitable:
                return
            self._require_one_winner()
            self._require_no_old_versions()
            _suitable.add(self._identity)

    def _require_one_winner(self) -> None:
        """Create one object several times at once. Some storage looks first, writes then, and lets all of them in."""
        scratch = f"probe/{secrets.token_hex(16)}"
        with ThreadPoolExecutor(_RIVALS) as pool:
            won = sum(pool.map(lambda rival: self._create_whole(scratch, bytes([rival])), range(_RIVALS)))
        if won != 1:
            raise StoreUnsuitable(
                f"{self.place} lets {won} of {_RIVALS} writers create one object: it ignores If-None-Match, or does "
                "not look and write in one step. They would replace each other's records; use storage that honours "
                "conditional writes"
            )
        with translated("delete", self._named(scratch), writing=True):
            obstore.delete(self._bucket, scratch)

    def _require_no_old_versions(self) -> None:
        scratch = f"probe/{secrets.token_hex(16)}"
        with translated("write", self._named(scratch), writing=True):
            written = obstore.put(self._bucket, scratch, b"?")
            obstore.delete(self._bucket, scratch)
        # Where a bucket once kept versions and no longer does, new objects have the version "null".
        if written["version"] not in (None, "null"):
            _suitable.discard(self._identity)
            raise StoreUnsuitable(
                f"{self.place} lies in a bucket that keeps old versions: weights that Lethe deletes would stay in it. "
                "Use a bucket without versioning and without object lock"
            )

    def _named(self, key: str) -> str:
        return f"{self.place.removesuffix('/')}/{key}"


class S3Store(ContentAddressedStore):
    """A :class:`~model_store.Store` in a bucket, for processes on any number of hosts."""

    def __init__(self, bucket: str, prefix: str = "") -> None:
        super().__init__(S3Objects(bucket, prefix))


def _require_own_threads() -> None:
    global _process_with_threads  # noqa: PLW0603 - a fact about the process
    if _process_with_threads is None:
        _process_with_threads = os.getpid()
    if _process_with_threads != os.getpid():
        raise StoreUnavailable(
            "this process was forked from one that had used the store: start it anew instead"
        )
