"""Open pages of the dashboard without a browser: each has a session, follows the news, and fetches what it shows."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

_TOKEN = re.compile(r'name="form_token" value="([0-9a-f]{64})"')
_MARK = re.compile(r'data-mark="([0-9a-f]{20})"')
_OPENED_SECONDS = 120.0
_QUIET_SECONDS = 5.0


@dataclass
class OpenPages:
    """How many are open, and how often one has fetched its content again."""

    opened: int = 0
    news: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def open_one(self) -> None:
        self.opened += 1
        self._changed.set()

    async def all_open(self, count: int, pages: Sequence[asyncio.Task[None]]) -> None:
        """Wait until so many are open. A page that fails meanwhile raises its error here."""
        failed = asyncio.wait(pages, return_when=asyncio.FIRST_COMPLETED)
        first = asyncio.create_task(failed)
        while self.opened < count:
            changed = asyncio.create_task(self._changed.wait())
            await asyncio.wait((changed, first), return_when=asyncio.FIRST_COMPLETED)
            self._changed.clear()
            if first.done():
                for page in first.result()[0]:
                    page.result()
        first.cancel()

    def wait_until_quiet(self) -> None:
        """Wait until no page has fetched anything for a while.

        Raises:
            TimeoutError: there is always some news.
        """
        news, since, until = self.news, time.monotonic(), time.monotonic() + _OPENED_SECONDS
        while time.monotonic() - since < _QUIET_SECONDS:
            time.sleep(0.1)
            if self.news != news:
                news, since = self.news, time.monotonic()
            if time.monotonic() > until:
                raise TimeoutError("the pages find news all the time")


@contextmanager
def open_pages(url: str, key: str, count: int) -> Iterator[OpenPages]:
    """So many pages, until the block is left. They are all open when it begins.

    Raises:
        TimeoutError: they could not be opened.
    """
    counted, ready, ended = OpenPages(), threading.Event(), threading.Event()
    failed: list[BaseException] = []

    def follow() -> None:
        try:
            asyncio.run(_follow_all(url, key, count, counted, ready, ended))
        except Exception as error:  # noqa: BLE001  (raised again where the pages are waited for)
            failed.append(error)
            ready.set()

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        if not ready.wait(_OPENED_SECONDS):
            raise TimeoutError("the pages could not be opened")
        if failed:
            raise failed[0]
        yield counted
    finally:
        ended.set()
        thread.join()


async def _follow_all(
    url: str, key: str, count: int, counted: OpenPages, ready: threading.Event, ended: threading.Event
) -> None:
    # The server closes idle connections, and a page must not fail because it used one of them.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=url, timeout=60.0, trust_env=False, limits=limits) as client:
        sessions = [await _log_in(client, key) for _ in range(count)]
        pages = [asyncio.create_task(_follow(client, cookie, counted)) for cookie in sessions]
        await counted.all_open(count, pages)
        ready.set()
        await asyncio.to_thread(ended.wait)
        for page in pages:
            page.cancel()
        await asyncio.gather(*pages, return_exceptions=True)


async def _log_in(client: httpx.AsyncClient, key: str) -> str:
    client.cookies.clear()
    found = _TOKEN.search((await client.get("/login")).text)
    assert found is not None
    answer = await client.post("/login", data={"form_token": found[1], "key": key})
    cookie = answer.cookies["lethe_session"]
    client.cookies.clear()
    return f"lethe_session={cookie}"


async def _follow(client: httpx.AsyncClient, cookie: str, counted: OpenPages) -> None:
    shown = _MARK.search((await client.get("/", headers={"Accept": "text/html", "Cookie": cookie})).text)
    assert shown is not None
    headers = {"Accept": "text/event-stream", "Cookie": cookie}
    path = f"/dashboard/live?seen={shown[1]}"
    async with client.stream("GET", path, headers=headers, timeout=None) as news:
        news.raise_for_status()
        first = True
        async for line in news.aiter_lines():
            if line == "event: beat" and first:
                first = False
                counted.open_one()
            if line == "event: changed":
                content = {"Cookie": cookie, "HX-Request": "true", "Lethe-Live": "1"}
                (await client.get("/", headers=content)).raise_for_status()
                counted.news += 1
