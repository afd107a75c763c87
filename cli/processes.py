"""The processes of an installation. Each runs in the foreground until it is told to stop."""

from __future__ import annotations

import os
import warnings
from functools import partial
from importlib.util import find_spec
from types import FrameType
from typing import TYPE_CHECKING

from app.loading import loading
from cli.addresses import require_free_port
from cli.failures import CommandError
from cli.files import connections_that_fit
from cli.stopping import GRACE_SECONDS, leave, leave_at_once_when_told, leave_within

if TYPE_CHECKING:
    from uvicorn import Config, Server

# The server accepts so many connections at a time, before it can close any of them again.
_BACKLOG = 128


def migrate_database() -> None:
    from app.db.schema import migrate
    from app.db.session import open_database
    from app.settings import get_settings
    from cli.progress import watch

    engine = open_database(get_settings().database_url, pooled=False)
    with watch("migrate") as show:
        show("the database is brought to the current schema")
        migrate(engine)


def run_gateway() -> None:
    leave_at_once_when_told()
    _without_bars()
    from app.settings import get_settings

    settings = get_settings()
    require_free_port(settings.host, settings.port)
    _require_loop(settings.event_loop)
    _require_schema(settings.database_url)
    # These imports take seconds. Report a wrong setting before.
    with loading():
        import uvicorn

        from app.connections import BoundedConnection
        from app.main import create_app

    app = create_app(settings)
    connections = app.state.connections
    connections.limit = min(connections.limit, connections_that_fit(_BACKLOG))
    # One process is one replica. Several uvicorn workers would share one replica's name and its metrics.
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        # Never whatever happens to be installed.
        loop=settings.event_loop,
        access_log=False,
        log_config=None,
        server_header=False,
        http=partial(BoundedConnection, limits=connections),  # type: ignore[arg-type]  # it is only called
        ws="none",
        backlog=_BACKLOG,
        timeout_graceful_shutdown=3,
    )
    try:
        _server(config).run()
    except SystemExit as ended:
        if app.state.startup_error is not None:
            raise app.state.startup_error from None
        if ended.code:
            raise CommandError("the gateway could not start; its log is above") from None
        raise


def _require_loop(name: str) -> None:
    if name != "asyncio" and find_spec(name) is None:
        raise CommandError(f"LETHE_EVENT_LOOP: {name} is not installed. Run: pip install {name}")


def _without_bars() -> None:
    """Turn off the progress bars of transformers: they do not belong in a log. Call before importing transformers."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")


def _server(config: Config) -> Server:
    import uvicorn

    class PromptServer(uvicorn.Server):
        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            if not self.started:
                # A thread is loading the base and cannot be interrupted. No request waits for an answer yet.
                leave()
            if not self.should_exit:
                leave_within(GRACE_SECONDS)
            super().handle_exit(sig, frame)

    return PromptServer(config)


def _require_schema(database_url: str) -> None:
    from app.db.schema import require_current_schema, require_writable
    from app.db.session import open_database

    engine = open_database(database_url, pooled=False)
    require_current_schema(engine)
    require_writable(engine)


def run_worker() -> None:
    leave_at_once_when_told()
    _without_bars()
    from app.settings import get_settings
    from model_store import open_store

    settings = get_settings()
    _require_schema(settings.database_url)
    open_store(settings.store_url)
    from celery.platforms import SecurityWarning

    from worker.celery_app import app
    from worker.start_failure import start_failure
    from worker.stopping import end_children, stop_promptly_when_told
    from worker.watchdog import end_stuck_worker, watchdog

    # The worker also ends this way if its child process cannot work: the child records why and stops the worker.
    stop_promptly_when_told(app, lambda: leave(start_failure.read()))
    watchdog.start(settings.worker_silence_seconds, partial(end_stuck_worker, end_children))
    # Celery warns against running as root because of pickled messages. This worker accepts JSON only.
    warnings.simplefilter("ignore", SecurityWarning)
    # Quiet: no banner. Lethe's own log has all that it says.
    arguments = ["--quiet", "worker", "--loglevel=INFO"]
    app.worker_main([*arguments, "--without-gossip", "--without-mingle", "--without-heartbeat"])
