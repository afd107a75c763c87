"""Which adapters the vLLM server has because of this gateway, and the proof that it has them no longer.

The server must be this gateway's alone: another one would remove its adapters.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
import uuid
from collections import Counter

import structlog

from app.serving.vllm_ranker.client import VllmClient
from app.serving.vllm_ranker.errors import AnswerDistrusted, NameUnknown, ServerFailed, VllmError
from app.serving.vllm_ranker.folders import AdapterFolders, is_version
from recommender import Adapter

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class AdapterRefused(VllmError):
    """The server is well and does not load this adapter."""


class Hosting:
    """Puts adapters on the server under their digests, and takes them off again. Safe for any thread.

    Unloading a name does not free what it named: vLLM keeps the weights until as many other adapters have been loaded
    as it has places (`--max-cpu-loras`), and nothing in its API says which it still holds. So an adapter is taken off
    by removing its name, loading blank adapters into every place, hiding its folder, and asking for it once more. Until
    all of that has succeeded the version counts as resident.

    Args:
        base_name: the server's name of the base model.
        places: the server's `--max-cpu-loras`.

    Attributes:
        identity: the same for every process that has this server at this address and this folder, and for no other.
    """

    def __init__(self, client: VllmClient, folders: AdapterFolders, *, base_name: str, places: int) -> None:
        self._client = client
        self._folders = folders
        self._base_name = base_name
        self._places = places
        self._calls = threading.Lock()
        self._state = threading.Lock()
        self._users: Counter[str] = Counter()
        self._resident = folders.versions()
        # Another address may be another server, and another folder has no record of what the server holds.
        self.identity = hashlib.sha256(f"{folders.mark} {client.url}".encode()).hexdigest()

    def resident(self) -> tuple[str, ...]:
        """Digests of all versions that the server may hold in memory, sorted. Returns at once."""
        with self._state:
            return tuple(sorted(self._resident))

    def put(self, digest: str, adapter: Adapter) -> None:
        """Have the server load a version, anew if it is there already. One more user needs it, until `give_up`.

        Raises:
            AdapterRefused: the server is well, but does not take this adapter.
            VllmError: it is not loaded. `AnswerDistrusted` if the server answers to names that it does not have.
        """
        with self._calls:
            with self._state:
                self._users[digest] += 1
                self._resident.add(digest)
            try:
                self._put(digest, adapter)
            except BaseException:
                self.give_up(digest)
                raise

    def give_up(self, digest: str) -> None:
        """One user less. Returns at once; `tidy` does the rest."""
        with self._state:
            self._users[digest] -= 1

    def unused(self) -> bool:
        """Whether `tidy` has anything to do."""
        return bool(self._unused())

    def tidy(self) -> None:
        """Take off every version that nobody uses.

        Raises:
            VllmError: the server did not let go of one; it stays resident.
            OSError: a folder cannot be removed; its version stays resident.
        """
        with self._calls:
            unused = self._unused()
            if not unused:
                return
            for digest in unused:
                self._take_off(digest)
            self._displace(unused[0])
            for digest in unused:
                # Only now: as long as it may be in use, the server may read the folder again.
                self._folders.hide(digest)
                if self._client.knows(digest):
                    raise AnswerDistrusted("the server still answers to a name that it was told to remove")
                self._folders.remove(digest)
                with self._state:
                    self._resident.discard(digest)

    def _unused(self) -> list[str]:
        with self._state:
            return sorted(digest for digest in self._resident if self._users[digest] <= 0)

    def _put(self, digest: str, adapter: Adapter) -> None:
        if self._client.knows(f"nobody-{uuid.uuid4().hex}"):
            raise AnswerDistrusted(
                "the server answers to a name that nobody has: it would answer with the base"
            )
        names = self._client.names()
        if self._base_name not in names:
            raise ServerFailed("the server has no model of the name that LETHE_VLLM_MODEL says")
        with self._state:
            # What an earlier process has left there.
            self._resident |= {name for name in names if is_version(name)}
        self._take_off(digest)
        if self._client.knows(digest):
            raise AnswerDistrusted("the server answers to a name that it does not have")
        path = self._folders.write(digest, adapter)
        try:
            self._client.load(digest, path)
        except NameUnknown as error:
            raise ServerFailed(
                "the server cannot load adapters at run time (VLLM_ALLOW_RUNTIME_LORA_UPDATING=1), or cannot read the "
                f"folder (LETHE_VLLM_ADAPTERS_SEEN_AS) ({error})"
            ) from error
        except ServerFailed as error:
            if self._client.healthy():
                raise AdapterRefused(str(error)) from error
            raise
        if digest not in self._client.names():
            raise AnswerDistrusted("the server does not list what it says it has loaded")

    def _take_off(self, digest: str) -> None:
        """Remove a name, and see that it is gone."""
        with contextlib.suppress(NameUnknown):
            self._client.unload(digest)
        if digest in self._client.names():
            raise AnswerDistrusted("the server still lists a name that it was told to remove")

    def _displace(self, digest: str) -> None:
        """Fill every place of the server's memory for adapters with blank ones."""
        blank = self._folders.write_blank(digest)
        if blank is None:
            raise ServerFailed("no adapter's folder is left whose shape a blank one could have")
        name, path = blank
        loaded = []
        try:
            for place in range(self._places):
                self._client.load(f"{name}-{place}", path)
                loaded.append(f"{name}-{place}")
        finally:
            for one in loaded:
                self._client.unload(one)
        self._folders.remove(name)
        _log.info("serving.vllm.displaced", places=self._places)
