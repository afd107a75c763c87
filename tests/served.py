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
def served(application: Any, limits: Connections, *, port: int = 0) -> Iterator[int]:
    """The port: this one, or a free one. The application's lifespan is the caller's."""
    config = uvicorn.Config(
        application, port=port, lifespan="off", log_config=None, ws="none",
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
