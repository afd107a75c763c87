"""Handles a request's target before routing: the proxy's prefix, the encoding of the path, and HEAD."""

from __future__ import annotations

import unicodedata
from http import HTTPStatus
from urllib.parse import unquote_to_bytes

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import Problem, problem_response


class Addressing:
    """Accepts requests with and without the proxy's prefix, and refuses targets that are not valid text.

    The server would replace bytes that are not UTF-8, so that two ids could become the same one. The router would
    ignore a line break at the end of a path.

    Args:
        root_path: the prefix; empty if the service has a host of its own. The proxy may strip the prefix or keep it.
    """

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        self._app = app
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # The path as it was sent. Some servers leave the query in `raw_path`.
        sent: bytes = scope["raw_path"].partition(b"?")[0]
        path = _text(sent)
        if path is not None and _text(scope["query_string"]) is not None:
            root = self._root_path
            if path != root and not path.startswith(f"{root}/"):
                path, sent = root + path, root.encode() + sent
            # ASGI requires `path` to include the prefix, and mounted applications rely on that.
            scope.update(path=path, raw_path=sent, root_path=root)
            await self._app(scope, receive, send)
            return
        problem = Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "validation-failed",
            "The path or the query holds a control character or bytes that are not UTF-8.",
        )
        await problem_response(Request(scope), problem)(scope, receive, send)


def _text(encoded: bytes) -> str | None:
    """The target, percent-decoded once; None if that gives no valid text."""
    try:
        text = unquote_to_bytes(encoded).decode()
    except UnicodeDecodeError:
        return None
    controls = any(unicodedata.category(character) == "Cc" for character in text)
    return None if controls else text


# In the scope of a HEAD request, which a route sees as GET. A route whose answer has no end must look.
HEAD = "lethe.head"


class HeadAsGet:
    """Answers HEAD like GET, without the body. Proxies and monitors send HEAD."""

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

        asked = {**scope, "method": "GET", HEAD: True}
        try:
            await self._app(asked, receive, send_head)
        finally:
            # The log and the metrics read the matched route from the original scope.
            if "route" in asked:
                scope["route"] = asked["route"]
