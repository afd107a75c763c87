"""A client of a running gateway's API, for commands that need nothing but the API."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from cli.addresses import is_loopback
from cli.failures import CommandError
from cli.state_folder import kept_address, kept_key
from inputs import InvalidInput, identifier

_SECONDS = 30.0
_LATER = (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS)


class GatewayAway(CommandError):
    """The gateway does not answer, or cannot work at the moment. The same request may succeed later."""


class GatewayClient:
    """One connection with one key.

    Every method raises CommandError for an error or a missing answer. For a problem, the message has its text.
    """

    def __init__(self, url: str, key: str) -> None:
        self.url = url.rstrip("/")
        self._client = httpx.Client(
            headers={"Authorization": f"Bearer {key}"},
            timeout=_SECONDS,
            # A proxy set in the environment is meant for other machines.
            trust_env=not is_loopback(urlsplit(url).hostname or ""),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def get(self, path: str, **parameters: str | int) -> dict[str, Any]:
        return self._answer("GET", path, params=parameters)

    def post(
        self, path: str, body: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
        return self._answer("POST", path, json=dict(body), headers=headers)

    def _answer(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        try:
            response = self._client.request(method, f"{self.url}{path}", **content)
        except httpx.TransportError as error:
            # Without the exception's text, which may contain the URL and, in it, the user's id.
            raise GatewayAway(
                f"the gateway at {self.url} does not answer ({type(error).__name__}): is it running, and is LETHE_URL "
                "right?"
            ) from error
        except (httpx.InvalidURL, UnicodeError) as error:
            raise CommandError(
                f"{type(error).__name__}: what is asked of {self.url} makes no address"
            ) from error
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if response.is_success and isinstance(answer, dict):
            return answer
        if not isinstance(answer, dict) or "title" not in answer:
            raise CommandError(
                f"{self.url} answers {response.status_code} and not as Lethe does; is LETHE_URL right?"
            )
        later = response.status_code in _LATER or answer.get("code") == "idempotency-in-flight"
        raise (GatewayAway if later else CommandError)(_told(answer))


def checked_user(user_id: str) -> str:
    """The id, unchanged: the gateway brings it to its canonical spelling.

    Raises:
        CommandError: it is not a valid id.
    """
    try:
        identifier(user_id)
    except InvalidInput as error:
        raise CommandError(f"the user's id {error}") from error
    return user_id


def open_gateway(
    url: str | None, key_file: Path | None, key: str | None, state: Path, *, explicit: bool = False
) -> GatewayClient:
    """Open the named gateway with its key, or else the gateway that `lethe up` runs on this machine.

    The key in a folder is sent to that folder's address only, and no other key is sent to that address, except one from
    `key_file`.

    Args:
        url: from --url or LETHE_URL.
        key: from LETHE_API_KEY; `key_file` takes precedence.
        explicit: the folder was named on the command line. Then `url` and `key`, which come from the environment, are
            not used.

    Raises:
        CommandError: there is no address or no key, or the address is malformed.
    """
    if url is None or explicit:
        url = _kept_address(state)
        key = kept_key(state)
    else:
        url = _checked(url)
    if key_file is not None:
        try:
            key = key_file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise CommandError(f"cannot read the key in {key_file}: {reason}") from error
    if not key:
        raise CommandError(
            "no key: set LETHE_API_KEY, or name a file with --key-file (lethe keys issue makes one)"
        )
    if not key.isascii() or not key.isprintable():
        raise CommandError(
            "the key is none of Lethe's: set LETHE_API_KEY to one line as lethe keys issue printed it"
        )
    try:
        return GatewayClient(url, key)
    except (httpx.InvalidURL, UnicodeError) as error:
        raise CommandError(_NO_ADDRESS) from error


_NO_ADDRESS = "LETHE_URL is not the address of a gateway; it looks like http://127.0.0.1:8000"


def _kept_address(state: Path) -> str:
    url = kept_address(state)
    if url is None:
        raise CommandError(
            f"no gateway is named, and lethe up runs none in {state}: set LETHE_URL and LETHE_API_KEY, or name the "
            "folder with --state"
        )
    url = _checked(url)
    if not is_loopback(urlsplit(url).hostname or ""):
        # Write access to a folder must not be enough to choose where a user's id and a key are sent.
        raise CommandError(
            f"the gateway in {state} is not on this machine: name it with --url and --key-file"
        )
    return url


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        usable = usable and url.isprintable() and not (parts.query or parts.fragment or parts.username)
        httpx.URL(url)
    except (ValueError, httpx.InvalidURL) as error:
        raise CommandError(_NO_ADDRESS) from error
    if not usable:
        raise CommandError(_NO_ADDRESS)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise CommandError(
            f"http://{parts.hostname} is another machine, and everybody between could read the key and the user's id: "
            "use https://"
        )
    return url


def _told(problem: Mapping[str, Any]) -> str:
    """A problem document as one line."""
    told = f"{problem['title']}: {problem.get('detail', '')}"
    errors = [
        f"{error['pointer'].rpartition('/')[2]}: {error['message']}" for error in problem.get("errors", [])
    ]
    return " ".join(" ".join([told, "; ".join(errors)]).split())
