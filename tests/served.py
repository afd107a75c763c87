"""An application behind the server of `lethe gateway`, in a thread of the test's process."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import uvicorn

from app.connections import BoundedConnection, Connections


@contextmanager
def served(application: Any, limits: Connections) -> Iterator[int]:
    """The port. The application's lifespan is the caller's."""
    config = uvicorn.Config(
        application, port=0, lifespan="off", log_config=None, ws="none",
        http=partial(BoundedConnection, limits=limits), timeout_graceful_shutdown=1,  # type: ignore[arg-type]
    )  # fmt: skip
    server = uvicorn.Server(config)
    # Signals are the main thread's.
    thread = threading.Thread(target=lambda: asyncio.run(server._serve()))
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
