"""Where the tests find PostgreSQL and Redis, and one line for each that is not there.

``python -m tests.services`` exits with 3 if one is missing.
"""

import os
import sys
from contextlib import closing

EXIT_CODE = 3
_TIMEOUT_SECONDS = 3


def postgres_url() -> str:
    """SQLAlchemy address of a PostgreSQL server on which the tests may create databases of their own."""
    return os.environ.get("LETHE_TEST_POSTGRES_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres")


def redis_url() -> str:
    """Address of a Redis database that belongs to the tests: they flush it."""
    return os.environ.get("LETHE_TEST_REDIS_URL", "redis://127.0.0.1:6379/15")


def missing_services() -> list[str]:
    """One line for each service that does not answer; empty if all do. The addresses' passwords are not shown."""
    # Not above: the unit tier also runs where only the learning half is installed.
    import psycopg
    import redis

    problems = []
    try:
        psycopg.connect(postgres_url().replace("+psycopg", "", 1), connect_timeout=_TIMEOUT_SECONDS).close()
    except psycopg.Error as error:
        problems.append(
            f"PostgreSQL does not answer at LETHE_TEST_POSTGRES_URL ({_public(postgres_url())}): {_first_line(error)}"
        )
    try:
        with closing(redis.Redis.from_url(redis_url(), socket_connect_timeout=_TIMEOUT_SECONDS)) as client:
            client.ping()
    except (redis.RedisError, ValueError) as error:
        problems.append(
            f"Redis does not answer at LETHE_TEST_REDIS_URL ({_public(redis_url())}): {_first_line(error)}"
        )
    return problems


def advice(problems: list[str]) -> str:
    """The line that ends a test run: what is missing, and what runs without it."""
    return "; ".join(problems) + ". Start it or set the address; `make test-unit` needs neither."


def _public(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0].rstrip(".") if text else type(error).__name__


if __name__ == "__main__":
    found = missing_services()
    if found:
        print(advice(found), file=sys.stderr)
        sys.exit(EXIT_CODE)
