"""Celery's options for the broker, for the gateway that dispatches runs and the worker that receives them.

Pure module: it returns options and does not import Celery.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from app.failures import SettingError
from app.settings import Settings

RUN_TASK = "lethe.run"
QUEUE = "lethe.runs"


def celery_options(settings: Settings) -> dict[str, Any]:
    """The options for both sides. They must agree, or messages go to a queue that nobody reads.

    Raises:
        SettingError: the broker's folder cannot be created.
    """
    url = settings.broker_url
    scheme, _, _ = url.partition("://")
    transport: dict[str, Any] = {}
    if scheme == "filesystem":
        # The embedded default: messages are files in one folder, so no server has to run.
        folders = make_embedded_folders(settings)
        url = "filesystem://localhost"
        transport = {
            "data_folder_in": str(folders["messages"]),
            "data_folder_out": str(folders["messages"]),
            "control_folder": str(folders["control"]),
            # Looking into a folder is cheap, and the default of one second would delay every message.
            "polling_interval": 0.2,
        }
    elif scheme in ("redis", "rediss"):
        transport = {
            # The shortest visibility timeout of all programs on a broker applies, so both sides set it.
            "visibility_timeout": settings.visibility_timeout_seconds,
            "socket_timeout": 5,
            "socket_connect_timeout": 3,
        }
    return {
        "broker_url": url,
        "broker_transport_options": transport,
        "task_default_queue": QUEUE,
        "task_ignore_result": True,
        "task_serializer": "json",
        "accept_content": ["json"],
        "enable_utc": True,
    }


def make_embedded_folders(settings: Settings) -> dict[str, Path]:
    """The folders of the embedded broker, created if they are missing; empty for a broker that is a server.

    Raises:
        SettingError: a folder cannot be created.
    """
    scheme, _, rest = settings.broker_url.partition("://")
    if scheme != "filesystem":
        return {}
    folders = {name: Path(rest) / name for name in ("messages", "control")}
    for path in (Path(rest), *folders.values()):
        try:
            # The transport creates its files with the mode of the umask, so the folder must keep others out.
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise SettingError(
                f"LETHE_BROKER_URL: the folder {path} cannot be made: {error.strerror}"
            ) from error
    return folders
