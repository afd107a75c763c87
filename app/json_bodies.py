"""JSON bodies in which no object has a name twice.

Which of two values counts is each parser's own choice. A caller who sends two ids by mistake, or a proxy that reads the
other one, must not be told that the wrong user is forgotten.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

NAME_TWICE = "an object has a name twice"


def has_name_twice(content: bytes) -> bool:
    """Whether an object of a JSON text has a name twice. False for what is not JSON: its reader refuses it."""
    try:
        # Python refuses to read an integer of very many digits; JSON and pydantic do not.
        json.loads(content, object_pairs_hook=_object, parse_int=float)
    except _NameTwice:
        return True
    except (ValueError, RecursionError):
        pass
    return False


def require_names_once(content: bytes) -> None:
    """
    Raises:
        RequestValidationError: an object of the body has a name twice, or the body is not in UTF-8.
    """
    if json.detect_encoding(content) != "utf-8":
        raise _invalid("a body is in UTF-8, without a byte order mark")
    if has_name_twice(content):
        raise _invalid(NAME_TWICE)


class JsonRoute(APIRoute):
    """A route of the API. Where FastAPI reads the body, no object of it may have a name twice.

    An endpoint that reads its body itself calls `require_names_once`, outside the event loop.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle

        async def checked(request: Request) -> Response:
            require_names_once(await request.body())
            return await handle(request)

        return checked


def _invalid(message: str) -> RequestValidationError:
    return RequestValidationError([{"type": "json_invalid", "loc": ("body",), "msg": message}])


class _NameTwice(ValueError):
    pass


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _NameTwice
    return found
