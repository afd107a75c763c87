"""A place for a new store, for one benchmark: a folder, or a bucket of S3-compatible storage."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from benchmarks.service.errors import ServiceUnmeasurable
from benchmarks.service.installation import CODE
from model_store import StoreError, open_store

LOCAL, MOTO = "local", "moto"
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_BUCKET = "lethe-bench"
# moto takes any.
_CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "bench",
    "AWS_SECRET_ACCESS_KEY": "not-a-secret",
    "AWS_REGION": "us-east-1",
}
_SIGNED = (
    "AWS4-HMAC-SHA256 Credential=bench/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
)
# The first request makes moto load what plays S3.
_START_SECONDS = 120.0
_STOP_SECONDS = 10.0


def kind_of(store: str) -> str:
    """What a result says of it: ``local``, ``moto`` or ``s3``. The name of somebody's bucket is not published."""
    return store if store in (LOCAL, MOTO) else "s3"


def is_known(store: str) -> bool:
    """Whether `own_store` takes it."""
    return store in (LOCAL, MOTO) or store.startswith("s3://")


@contextmanager
def own_store(store: str, folder: Path) -> Iterator[str]:
    """The address of a new, empty store.

    While the block lasts, this process and those that it starts have the variables that lead to moto's server.

    Args:
        store: ``local`` for a folder below `folder`; ``moto`` for a bucket of a server of moto's that is started here;
            or ``s3://BUCKET/PREFIX``, where the store gets a folder of its own, which is emptied at the end.
            Nothing else there is touched. Endpoint and credentials are read from the usual AWS variables.

    Raises:
        ServiceUnmeasurable: the address is malformed, the bucket does not answer or cannot hold a store, or a library
            is missing.
    """
    if store == LOCAL:
        yield str(folder / "store")
    elif store == MOTO:
        with _moto() as endpoint, _environment({**_CREDENTIALS, "AWS_ENDPOINT_URL": endpoint}):
            _make_bucket(endpoint)
            yield _checked(f"s3://{_BUCKET}/store")
    else:
        url = _checked(f"{store.rstrip('/')}/lethe-bench-{uuid.uuid4().hex}")
        try:
            yield url
        finally:
            _empty(url)


def _make_bucket(endpoint: str) -> None:
    try:
        httpx.put(
            f"{endpoint}/{_BUCKET}",
            headers={"Authorization": _SIGNED},
            timeout=_START_SECONDS,
            trust_env=False,
        ).raise_for_status()
    except httpx.HTTPError as problem:
        raise ServiceUnmeasurable("--store moto: its server makes no bucket") from problem


def _checked(url: str) -> str:
    try:
        health = open_store(url).check()
    except StoreError as problem:
        raise ServiceUnmeasurable(f"--store: {problem}") from problem
    if not health.writable:
        raise ServiceUnmeasurable(f"--store: {health.detail}")
    return url


@contextmanager
def _moto() -> Iterator[str]:
    for name in ("moto", "flask", "obstore"):
        if find_spec(name) is None:
            raise ServiceUnmeasurable(
                f"--store moto: there is no {name}: pip install 'moto[s3]' flask flask-cors obstore"
            )
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.service.moto_server"],
        cwd=CODE,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        # Ctrl-C is for the benchmark, which ends the server.
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        port = process.stdout.readline().strip()
        if not port:
            raise ServiceUnmeasurable("--store moto: its server did not start")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.stdin.close()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set these variables, and no other endpoint."""
    before = {name: os.environ.get(name) for name in (*_ENDPOINTS, *variables)}
    for name in _ENDPOINTS:
        os.environ.pop(name, None)
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _empty(url: str) -> None:
    """Delete every object below the address. It is ours alone; the store's own way would leave what must outlive it."""
    import obstore
    from obstore.exceptions import BaseError
    from obstore.store import S3Store

    parts = urlsplit(url)
    endpoint = next((value for name in _ENDPOINTS if (value := os.environ.get(name))), "")
    try:
        bucket = S3Store(
            parts.netloc,
            prefix=parts.path.strip("/"),
            config={"disable_bulk_delete": True, **({"endpoint": endpoint} if endpoint else {})},
            client_options={"allow_http": endpoint.startswith("http://")},
        )
        paths = [one["path"] for found in obstore.list(bucket) for one in found]
        obstore.delete(bucket, paths)
    except (BaseError, OSError) as problem:
        raise ServiceUnmeasurable(f"--store: what the benchmark left at {url} cannot be deleted") from problem
