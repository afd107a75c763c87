"""Opens the store that an address in the settings names."""

import re
from urllib.parse import unquote, urlsplit

from model_store.errors import UnsupportedStoreUrl
from model_store.interface import Store
from model_store.local import LocalStore
from model_store.memory import MemoryStore

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_CHOICES = "use memory:, file:///absolute/path, or a plain path"


def open_store(url: str) -> Store:
    """The store at ``url``: ``memory:`` (new and empty), ``file:///path``, or a plain path.

    Raises :class:`UnsupportedStoreUrl` for any other address, and what :class:`LocalStore` raises.
    """
    if url == "memory:":
        return MemoryStore()
    if not url.strip() or "\0" in url:
        raise UnsupportedStoreUrl(f"the store's address is empty or malformed: {_CHOICES}")
    if not _SCHEME.match(url):
        return LocalStore(url)
    parts = urlsplit(url)
    if parts.scheme != "file":
        raise UnsupportedStoreUrl(f"no store of kind {parts.scheme + ':'!r} is supported: {_CHOICES}")
    path = unquote(parts.path)
    if parts.netloc not in ("", "localhost") or parts.query or parts.fragment or not path.startswith("/"):
        raise UnsupportedStoreUrl(f"{url!r} does not name a local folder: {_CHOICES}")
    if "\0" in path:
        raise UnsupportedStoreUrl(f"the store's address is empty or malformed: {_CHOICES}")
    return LocalStore(path)
