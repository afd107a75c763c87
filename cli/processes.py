"""The processes of an installation, each in the foreground until it is told to stop."""

from __future__ import annotations

import socket

from cli.failures import CommandError


def migrate_database() -> None:
    from app.db.schema import migrate
    from app.db.session import open_database
    from app.settings import get_settings

    engine = open_database(get_settings().database_url, pooled=False)
    migrate(engine)


def run_gateway() -> None:
    import uvicorn

    from app.main import create_app
    from app.settings import get_settings

    settings = get_settings()
    require_free_port(settings.host, settings.port)
    _require_schema(settings.database_url)
    app = create_app(settings)
    # One process is one replica: several uvicorn workers would share a replica's name and its metrics.
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=20,
    )
    try:
        uvicorn.Server(config).run()
    except SystemExit:
        if app.state.startup_error is not None:
            raise app.state.startup_error from None
        raise


def _require_schema(database_url: str) -> None:
    from app.db.schema import require_current_schema
    from app.db.session import open_database

    require_current_schema(open_database(database_url, pooled=False))


def run_worker() -> None:
    from app.settings import get_settings

    _require_schema(get_settings().database_url)
    from worker.celery_app import app

    app.worker_main(
        ["worker", "--loglevel=INFO", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    )


def require_free_port(host: str, port: int) -> None:
    """
    Raises:
        CommandError: something listens there already, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CommandError(
                f"cannot listen on {host}:{port} ({error.strerror}); stop what uses it or choose another port"
            ) from error
