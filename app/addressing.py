"""What a request's target means before any route looks at it: the proxy's prefix, its encoding, and HEAD."""

from __future__ import annotations

import unicodedata
from http import HTTPStatus
from urllib.parse import unquote_to_bytes

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import Problem, problem_response


class Addressing:
    """Takes requests with and without the proxy's prefix, and refuses targets that are no text.

    A server replaces bytes that are not UTF-8, so that two ids would become the same one, and a line break at a
    path's end would be overlooked by the router.

    Args:
        root_path: the prefix; empty where the service has a host of its own. A proxy may strip it or not.
    """

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        self._app = app
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        root = self._root_path
        path: str = scope["path"]
        # As it was sent, and without the query that some servers leave in it.
        sent: bytes = scope["raw_path"].partition(b"?")[0]
        if root:
            # To the routes the path is always the whole one, as ASGI wants it; mounts rely on that.
            if path != root and not path.startswith(f"{root}/"):
                scope["path"], scope["raw_path"] = root + path, root.encode() + sent
            scope["root_path"] = root
        if _is_text(sent) and _is_text(scope["query_string"]):
            await self._app(scope, receive, send)
            return
        problem = Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "validation-failed",
            "The path or the query holds a control character or bytes that are not UTF-8.",
        )
        await problem_response(Request(scope), problem)(scope, receive, send)


def _is_text(encoded: bytes) -> bool:
    try:
        text = unquote_to_bytes(encoded).decode()
    except UnicodeDecodeError:
        return False
    return not any(unicodedata.category(character) == "Cc" for character in text)


class HeadAsGet:
    """Answers HEAD like GET, without the body. Proxies and monitors ask so."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        asked = {**scope, "method": "GET"}
        try:
            await self._app(asked, receive, send_head)
        finally:
            # The log and the metrics name the route.
            if "route" in asked:
                scope["route"] = asked["route"]
