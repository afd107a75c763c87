"""Translates what obstore raises into the store's errors, with advice and without a byte of what was signed."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError, UnauthenticatedError

from model_store.errors import StoreError, StoreFull, StoreReadOnly, StoreUnavailable

# A storage's own word for "no room": MinIO, Ceph, and the status that others answer with.
_FULL = re.compile(r"XMinioStorageFull|QuotaExceeded|InsufficientCapacity|status code: 507\b")
_STATUS = re.compile(r"status code: (\d{3} [A-Za-z -]+)")
_CODE = re.compile(r"<Code>([A-Za-z]+)</Code>")


@contextmanager
def translated(
    action: str, name: str, *, writing: bool = False, absence: bool = False, presence: bool = False
) -> Iterator[None]:
    """Turn an error of obstore raised in the block into a StoreError that says what to do.

    With ``absence``, the error for a missing object is not translated; with ``presence``, the one for an object that
    exists. The caller handles them. A missing bucket is always an error.
    """
    try:
        yield
    except StoreError:
        raise
    except (BaseError, OSError, ValueError) as error:
        if presence and isinstance(error, AlreadyExistsError):
            raise
        if absence and isinstance(error, FileNotFoundError) and "NoSuchBucket" not in str(error):
            raise
        raise _explained(f"cannot {action} {name}", error, writing=writing) from None


def _explained(attempt: str, error: Exception, *, writing: bool) -> StoreError:
    text = str(error)
    reason = _reason(text)
    if _FULL.search(text):
        return StoreFull(f"{attempt}: there is no room ({reason})")
    if isinstance(error, PermissionDeniedError | UnauthenticatedError):
        advice = f"{attempt}: it is refused ({reason}); check AWS_ACCESS_KEY_ID and what that key may do"
        return StoreReadOnly(advice) if writing else StoreUnavailable(advice)
    return StoreUnavailable(
        f"{attempt}: {reason}; check AWS_ENDPOINT_URL, AWS_REGION, the bucket and the network"
    )


def _reason(text: str) -> str:
    """The status and the storage's word for it. The rest of an answer can quote keys and what they signed."""
    status, code = _STATUS.search(text), _CODE.search(text)
    if status is not None:
        return " ".join(found[1].strip() for found in (status, code) if found is not None)
    if "timed out" in text or "TimedOut" in text:
        return "no answer in time"
    if "redential" in text:
        return "no credentials"
    if "error sending request" in text:
        return "nobody answers"
    return text.partition("\n")[0][:120]
