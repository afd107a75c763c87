"""The async client, derived from the one without async: the same methods, each awaited."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

_PACKAGE = Path(__file__).parents[2] / "clients" / "python" / "lethe_client"
_HEAD = "# Derived from lethe_client/sync/ by `python -m docs.generate`: edit the file of this name there.\n"
_OWN = r"_ask|_act|_receipt|_send|_http\.request|close|list_forget_requests|read_forget_request"
# In this order.
_CHANGES = (
    # An example in a docstring is left to the other client, whose examples a test runs.
    (r'(?s)("""[^\n]*)\n\n        >>> .*?\n        """', r'\1"""'),
    (r'(?s)\n\n        >>> .*?(?=\n        """)', ""),
    (r"^from time import sleep$", "from asyncio import sleep"),
    (r"^from time import monotonic, sleep$", "from asyncio import sleep\nfrom time import monotonic"),
    (r"lethe_client\.sync", "lethe_client.aio"),
    (r"without async", "for async code"),
    (r"\bClient\b", "AsyncClient"),
    (r"BaseTransport", "AsyncBaseTransport"),
    (r"a `with` statement", "an `async with` statement"),
    (r"import Iterable, Iterator\b", "import AsyncIterator, Iterable"),
    (r"\bIterator\b", "AsyncIterator"),
    (r"^    def (?!__init__)", "    async def "),
    (r"__(enter|exit)__", r"__a\1__"),
    (r"self\._http\.close\(\)", "await self._http.aclose()"),
    (rf"(?<!await )self\.(?=({_OWN})\()", "await self."),
    (r"^(\s+)sleep\(", r"\1await sleep("),
)


def derived(source: Path) -> str:
    """The text of the async client's file for a file of the client without async."""
    text = source.read_text(encoding="utf-8")
    for pattern, replacement in _CHANGES:
        text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
    return _HEAD + text


ASYNC_CLIENT: Mapping[Path, Callable[[], str]] = {
    _PACKAGE / "aio" / source.name: partial(derived, source)
    for source in sorted((_PACKAGE / "sync").glob("*.py"))
}
