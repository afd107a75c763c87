"""Loads a version from the store into a vLLM server, and refuses it unless all checks hold."""

from __future__ import annotations

import queue
import threading
import time
import weakref
from collections.abc import Sequence

import structlog

from app.failures import SettingError, naming
from app.serving.errors import (
    EngineUnavailable,
    EngineUntrusted,
    FingerprintMismatch,
    IncompatibleAdapter,
    VersionRefused,
)
from app.serving.stored_version import BaseFacts, read_stored_version
from app.serving.vllm_ranker.client import MOST_NAMED_TOKENS, VllmClient
from app.serving.vllm_ranker.errors import AnswerDistrusted, CallRefused, VllmError
from app.serving.vllm_ranker.folders import AdapterFolders
from app.serving.vllm_ranker.hosting import AdapterRefused, Hosting
from app.serving.vllm_ranker.ranker import VllmRanker
from app.settings import Settings
from model_store import Store
from recommender import (
    AskedScorer,
    BaseFiles,
    ConfigError,
    PromptStyle,
    Question,
    RecommenderError,
    canary_fingerprint,
    fingerprint_tolerance,
    fingerprints_match,
    read_base_files,
)

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

# Where more tokens than can be named are asked for, the server sends a probability for every token it knows.
MOST_TOKENS = 32_768
_TICK_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 30.0


class VllmLoader(BaseFacts[BaseFiles]):
    """Loads versions into one server, which belongs to this gateway alone.

    A thread takes off what nobody uses any more, and puts the canary prompts to the server again from time to time.

    Args:
        tolerance: largest absolute difference allowed between a canary value and the manifest's, in nats; None for
            that of the base's precision.
        check_seconds: time between two looks at a version that serves.

    Raises:
        ConfigError: the base's style cannot be served so.
    """

    def __init__(
        self,
        base: BaseFiles,
        store: Store,
        client: VllmClient,
        hosting: Hosting,
        *,
        check_seconds: float,
        tolerance: float | None = None,
    ) -> None:
        AskedScorer(base.style, lambda _: [])
        whole = base.style.candidates is None and base.style.catalogue_size > MOST_NAMED_TOKENS
        if whole and base.style.vocab_size > MOST_TOKENS:
            raise ConfigError(
                f"vLLM would send {base.style.vocab_size} probabilities with every answer, and {MOST_TOKENS} are the "
                "most: serve this catalogue with LETHE_ENGINE=transformers"
            )
        super().__init__(base)
        self._store = store
        self._client = client
        self._hosting = hosting
        self._tolerance = fingerprint_tolerance(base) if tolerance is None else tolerance
        self._check_seconds = check_seconds
        self._rankers: weakref.WeakSet[VllmRanker] = weakref.WeakSet()
        # A finaliser may run at any point of any thread; this queue's `put` is made for that.
        self._dropped: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._loop, name="lethe-vllm", daemon=True)
        self._thread.start()

    def load(self, digest: str, floor: int) -> VllmRanker:
        """Read and verify a version, have the server load it, and verify that; see `RankerLoader.load`.

        Raises:
            EngineUnavailable, EngineUntrusted: the server is not there, or its answers cannot be relied on.
        """
        base = self._base
        stored = read_stored_version(self._store, digest, floor, base)
        if stored.adapter.rows:
            raise IncompatibleAdapter("the adapter has trained rows, which vLLM does not load")
        expected = stored.manifest.canary_fingerprint
        style = stored.base.style
        try:
            self._hosting.put(digest, stored.adapter)
            try:
                if not self._computes(digest, style, expected):
                    raise FingerprintMismatch
            except BaseException:
                self._hosting.give_up(digest)
                raise
        except VllmError as error:
            raise _refusal(error) from error
        ranker = VllmRanker(
            digest,
            stored.manifest.forget_epoch,
            base.catalogue,
            base.style,
            self._client,
            lambda: self._computes(digest, style, expected),
        )
        weakref.finalize(ranker, self._dropped.put, digest).atexit = False
        self._rankers.add(ranker)
        return ranker

    def resident_versions(self) -> tuple[str, ...]:
        """Those that the server has not been proved to have let go of, see `Hosting`."""
        return self._hosting.resident()

    @property
    def outside_engine(self) -> str:
        """The server at its address, with the folder: see `Hosting.identity`."""
        return self._hosting.identity

    def close(self) -> None:
        """End the thread and close the connections. The server keeps what it holds until the next process comes."""
        self._dropped.put(None)
        self._thread.join()
        self._client.close()

    def _computes(self, digest: str, style: PromptStyle, expected: Sequence[Sequence[float]]) -> bool:
        """Whether the server computes this fingerprint under this name. Raises `VllmError` if it does not answer."""

        def ask(questions: Sequence[Question]) -> list[list[float]]:
            return self._client.log_probs(digest, questions)

        return fingerprints_match(expected, canary_fingerprint(AskedScorer(style, ask)), self._tolerance)

    def _loop(self) -> None:
        checked = tried = time.monotonic()
        pause = 0.0
        while True:
            try:
                digest = self._dropped.get(timeout=_TICK_SECONDS)
            except queue.Empty:
                pass
            else:
                if digest is None:
                    return
                self._hosting.give_up(digest)
                continue
            now = time.monotonic()
            if self._hosting.unused() and now - tried >= pause:
                pause = 0.0 if self._tidy() else min(max(1.0, 2 * pause), _LONGEST_PAUSE_SECONDS)
                tried = time.monotonic()
            if now - checked >= self._check_seconds:
                for ranker in list(self._rankers):
                    if not ranker.lost:
                        ranker.check()
                    del ranker
                checked = time.monotonic()

    def _tidy(self) -> bool:
        try:
            self._hosting.tidy()
        except Exception as error:  # noqa: BLE001 - the thread must go on, and try again
            _log.warning("serving.vllm.not_released", error=type(error).__name__, detail=str(error))
            return False
        return True


def open_loader(settings: Settings, store: Store) -> VllmLoader:
    """A loader for the server and the base that the settings name. It does not wait for the server.

    Raises:
        recommender.RecommenderError: the base is missing or unusable, or vLLM cannot serve its style.
        SettingError: the folder for adapters cannot be made.
    """
    # `Settings` refuses the engine without these.
    assert settings.vllm_adapters is not None
    with naming("LETHE_BASE", RecommenderError):
        base = read_base_files(settings.base)
    try:
        folders = AdapterFolders(
            settings.vllm_adapters, settings.vllm_adapters_seen_as or str(settings.vllm_adapters.absolute())
        )
    except OSError as error:
        raise SettingError(f"LETHE_VLLM_ADAPTERS: the folder cannot be made: {error}") from error
    key = settings.vllm_api_key
    client = VllmClient(
        settings.vllm_url,
        timeout_seconds=settings.vllm_timeout_seconds,
        api_key=key.get_secret_value() if key else None,
    )
    hosting = Hosting(client, folders, base_name=settings.vllm_model, places=settings.vllm_places)
    with naming("LETHE_ENGINE", RecommenderError):
        return VllmLoader(
            base,
            store,
            client,
            hosting,
            check_seconds=settings.vllm_check_seconds,
            tolerance=settings.vllm_tolerance,
        )


def _refusal(error: VllmError) -> VersionRefused:
    if isinstance(error, AnswerDistrusted):
        return EngineUntrusted(f"{EngineUntrusted.__doc__} ({error})")
    if isinstance(error, AdapterRefused):
        return IncompatibleAdapter(f"vLLM does not load it: {error}")
    if isinstance(error, CallRefused):
        return EngineUnavailable(f"vLLM does not take a call: {error}")
    return EngineUnavailable(f"{EngineUnavailable.__doc__} ({error})")
