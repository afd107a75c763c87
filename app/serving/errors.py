"""Errors while serving. Each leaf has a stable ``code`` for logs, metrics and reports.

ServingError
├── InvalidRequest          k or the history does not fit the catalogue; an error of the caller
├── ServingOverloaded       try again later: has ``retry_after_seconds``
│   ├── QueueFull           too many requests wait already
│   └── DeadlineExceeded    the request was not answered within its time
├── Draining                the engine is shutting down (clients get the fallback instead)
├── InferenceFailed         the batch this request was in raised
├── VersionLost             what computes has lost the version (clients get the fallback instead)
└── VersionRefused          a version may not serve here
    ├── BelowErasureFloor   it does not cover everyone already forgotten
    ├── VersionDestroyed    it has been destroyed for good
    ├── WrongBase           it was made for another base model
    ├── WrongCatalogue      it was made for another catalogue
    ├── CorruptVersion      its bytes are missing, altered or hostile
    ├── IncompatibleAdapter its tensors do not fit the base model
    ├── FingerprintMismatch it loads, but does not compute what its manifest says
    ├── EngineUnavailable   the server that should compute with it is not there
    └── EngineUntrusted     that server gives answers that cannot be relied on
"""

from __future__ import annotations

from typing import ClassVar

from app.codes import ReplicaError


class ServingError(Exception):
    """Root; the default message of a leaf is its docstring."""

    code: ClassVar[str] = "serving_error"

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or type(self).__doc__)


class InvalidRequest(ServingError):
    """k must be between 1 and the size of the catalogue, and every item of a history must be in the catalogue."""

    code = "invalid_request"


class ServingOverloaded(ServingError):
    """The engine cannot answer in time; try again later."""

    code = "overloaded"

    def __init__(self, retry_after_seconds: int = 1) -> None:
        super().__init__()
        self.retry_after_seconds = retry_after_seconds


class QueueFull(ServingOverloaded):
    """Too many requests wait for the model already; try again later."""

    code = "queue_full"


class DeadlineExceeded(ServingOverloaded):
    """The model did not answer within the time allowed for one request; try again later."""

    code = "deadline_exceeded"


class Draining(ServingError):
    """The engine is shutting down and takes no new work."""

    code = "draining"


class InferenceFailed(ServingError):
    """The batch this request was in failed; other batches are not affected."""

    code = "inference_failed"


class VersionLost(ServingError):
    """What computes has lost the version that serves, or does not answer; the version is loaded anew."""

    code = "version_lost"


class VersionRefused(ServingError):
    """The version may not serve on this replica."""

    code = "version_refused"


class BelowErasureFloor(VersionRefused):
    """The version does not cover every forgotten subject and may never serve again."""

    code = ReplicaError.BELOW_ERASURE_FLOOR


class VersionDestroyed(VersionRefused):
    """The version has been destroyed and may never serve again."""

    code = ReplicaError.VERSION_DESTROYED


class WrongBase(VersionRefused):
    """The version was made for another base model than this replica holds."""

    code = ReplicaError.WRONG_BASE


class WrongCatalogue(VersionRefused):
    """The version was made for another catalogue than this replica holds."""

    code = ReplicaError.WRONG_CATALOGUE


class CorruptVersion(VersionRefused):
    """The bytes of the version are missing, altered or not what an adapter consists of."""

    code = ReplicaError.CORRUPT_VERSION


class IncompatibleAdapter(VersionRefused):
    """The adapter's tensors or configuration do not fit the base model."""

    code = ReplicaError.INCOMPATIBLE_ADAPTER


class FingerprintMismatch(VersionRefused):
    """On the canary prompts the version does not compute the numbers its manifest records."""

    code = ReplicaError.FINGERPRINT_MISMATCH


class EngineUnavailable(VersionRefused):
    """The server that should compute with the version does not answer, or cannot load it now."""

    code = ReplicaError.ENGINE_UNAVAILABLE


class EngineUntrusted(VersionRefused):
    """The server that should compute gives answers that cannot be the version's."""

    code = ReplicaError.ENGINE_UNTRUSTED
