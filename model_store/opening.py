"""Opens the store that an address in the settings names."""

import re
from urllib.parse import SplitResult, unquote, urlsplit

from model_store.errors import UnsupportedStoreUrl
from model_store.interface import Store
from model_store.local import LocalStore
from model_store.memory import MemoryStore

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_CHOICES = "use memory:, file:///absolute/path, s3://bucket/prefix, or a plain path"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_FOLDER = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}")


def open_store(url: str) -> Store:
    """The store at ``url``: ``memory:`` (new and empty), ``file:///path``, ``s3://bucket/prefix``, or a plain path.

    A bucket is not asked anything yet: see :class:`~model_store.s3.S3Objects`.

    Raises :class:`UnsupportedStoreUrl` for any other address, and what :class:`LocalStore` raises.
    """
    if url == "memory:":
        return MemoryStore()
    if not url.strip() or "\0" in url:
        raise UnsupportedStoreUrl(f"the store's address is empty or malformed: {_CHOICES}")
    if not _SCHEME.match(url):
        return LocalStore(url)
    parts = urlsplit(url)
    if parts.scheme == "s3":
        return _in_bucket(url, parts)
    if parts.scheme != "file":
        raise UnsupportedStoreUrl(f"no store of kind {parts.scheme + ':'!r} is supported: {_CHOICES}")
    path = unquote(parts.path)
    if parts.netloc not in ("", "localhost") or parts.query or parts.fragment or not path.startswith("/"):
        raise UnsupportedStoreUrl(f"{url!r} does not name a local folder: {_CHOICES}")
    if "\0" in path:
        raise UnsupportedStoreUrl(f"the store's address is empty or malformed: {_CHOICES}")
    return LocalStore(path)


def _in_bucket(url: str, parts: SplitResult) -> Store:
    prefix = parts.path.strip("/")
    folders = prefix.split("/") if prefix else []
    if (
        not _BUCKET.fullmatch(parts.netloc)
        or parts.query
        or parts.fragment
        or not all(map(_FOLDER.fullmatch, folders))
    ):
        # The address is not quoted: somebody may have put a key into it.
        raise UnsupportedStoreUrl(
            "the address of a bucket is s3://bucket/prefix, of letters, digits, '.', '_' and '-'; endpoint, region and "
            "credentials come from AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    try:
        from model_store.s3 import S3Store
    except ImportError as error:
        raise UnsupportedStoreUrl("a store in a bucket needs obstore: pip install 'lethe[s3]'") from error
    return S3Store(parts.netloc, prefix)
