"""How Celery reaches the broker, for the gateway that rings and for the worker that answers.

Pure module: it returns options and imports no Celery.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from app.settings import Settings

RUN_TASK = "lethe.run"
QUEUE = "lethe.runs"


def celery_options(settings: Settings) -> dict[str, Any]:
    """Options shared by both sides; they must agree, or messages end where nobody looks.

    Raises:
        ValueError: the broker URL names a transport that is not supported.
    """
    url = settings.broker_url
    scheme, _, rest = url.partition("://")
    transport: dict[str, Any] = {}
    if scheme == "filesystem":
        # The embedded default: messages are files in one folder, so no server has to run.
        folder = Path(rest)
        folders = {name: folder / name for name in ("messages", "control")}
        for path in folders.values():
            path.mkdir(parents=True, exist_ok=True)
        url = "filesystem://localhost"
        transport = {
            "data_folder_in": str(folders["messages"]),
            "data_folder_out": str(folders["messages"]),
            "control_folder": str(folders["control"]),
        }
    elif scheme in ("redis", "rediss"):
        transport = {
            # The shortest visibility timeout of all programs on a broker wins, so it is set on both sides.
            "visibility_timeout": settings.visibility_timeout_seconds,
            "socket_timeout": 5,
            "socket_connect_timeout": 3,
        }
    elif scheme not in ("amqp", "amqps"):
        raise ValueError(
            f"broker_url: {scheme}:// is not supported; use filesystem://DIRECTORY, redis:// or amqp://"
        )
    return {
        "broker_url": url,
        "broker_transport_options": transport,
        "task_default_queue": QUEUE,
        "task_ignore_result": True,
        "task_serializer": "json",
        "accept_content": ["json"],
        "enable_utc": True,
    }
