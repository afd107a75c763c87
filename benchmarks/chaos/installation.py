"""A tiny installation to attack, with two gateways and a worker: made once as a template, then copied."""

from __future__ import annotations

import csv
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.chaos.brokers import Broker, FolderBroker, RedisBroker
from benchmarks.chaos.databases import Installed, PostgresqlInstalled, SqliteInstalled, copy_sqlite
from benchmarks.chaos.services import Service, Warm
from benchmarks.chaos.stores import AttackedStore
from benchmarks.service.errors import ServiceUnmeasurable
from benchmarks.service.installation import CODE
from recommender import BaseConfig, Catalogue, SyntheticConfig, draw_base, generate_synthetic, save_base

GATEWAYS = 2
LEASE_SECONDS, FEED_LEASE_SECONDS, REPLICA_TIMEOUT_SECONDS = 3.0, 1.0, 6.0
_USERS, _ITEMS = 60, 60
_SHAPE = BaseConfig(layers=1, width=16, heads=2, feed_forward=32, window=16)
_TIMES = {
    "LETHE_LEASE_SECONDS": str(LEASE_SECONDS),
    "LETHE_HEARTBEAT_SECONDS": "0.5",
    "LETHE_SWEEP_SECONDS": "0.3",
    "LETHE_REDISPATCH_SECONDS": "1",
    "LETHE_FEED_LEASE_SECONDS": str(FEED_LEASE_SECONDS),
    "LETHE_FEED_POLL_SECONDS": "0.2",
    "LETHE_REPLICA_TIMEOUT_SECONDS": str(REPLICA_TIMEOUT_SECONDS),
    "LETHE_PREPARE_TIMEOUT_SECONDS": "8",
    "LETHE_ACKNOWLEDGE_TIMEOUT_SECONDS": "15",
}


@dataclass(frozen=True)
class Template:
    """What every installation of one kind is a copy of. No service runs on the template itself."""

    folder: Path
    users: tuple[str, ...]
    items: tuple[str, ...]
    secrets: Mapping[str, str]
    key: str
    server: str | None
    database: Installed

    def drop(self) -> None:
        self.database.drop()


def make_template(folder: Path, server: str | None, seed: int) -> Template:
    """Make the data, a tiny base, an adapter and an API key.

    Args:
        server: the address of a PostgreSQL server; None for SQLite.

    Raises:
        ServiceUnmeasurable: a command failed.
    """
    folder.mkdir(parents=True)
    data = generate_synthetic(
        SyntheticConfig(
            users=_USERS, items=_ITEMS, tastes=4, mean_length=12, min_length=8, personal=1, seed=seed
        )
    )
    users = tuple(f"auth0|victim {number}" for number in range(_USERS))
    with (folder / "interactions.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["user_id", "item_id", "timestamp"])
        for user, history in zip(users, data.histories.values(), strict=True):
            writer.writerows([user, data.catalogue.item_ids[one.item], one.timestamp] for one in history)
    catalogue = Catalogue(item_ids=data.catalogue.item_ids, titles=data.catalogue.titles)
    save_base(draw_base(catalogue, _SHAPE, seed=seed), catalogue, _SHAPE.style(catalogue), folder / "base")
    database: Installed
    if server is None:
        database = SqliteInstalled(folder / "database.sqlite3")
    else:
        database = PostgresqlInstalled(server, f"lethe_chaos_{secrets.token_hex(8)}")
        database.create()
    keys = {f"LETHE_{name}_KEY": secrets.token_hex(32) for name in ("SUBJECT", "AUDIT", "SIGNING")}
    environment = {
        **keys,
        "LETHE_DATABASE_URL": database.url,
        "LETHE_STORE_URL": str(folder / "store"),
        "LETHE_BROKER_URL": f"filesystem://{folder}/broker",
        "LETHE_BASE": str(folder / "base"),
    }
    try:
        _lethe(folder, environment, "migrate")
        _lethe(folder, environment, "init", "--data", str(folder), "--epochs", "6", "--no-levels")
        key = _lethe(folder, environment, "keys", "issue", "chaos", "--scope", "all")
    except ServiceUnmeasurable:
        database.drop()
        raise
    return Template(folder, users, tuple(catalogue.item_ids), keys, key, server, database)


def _lethe(folder: Path, environment: Mapping[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments],
        cwd=CODE,
        env=Warm.inherited() | {**environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ServiceUnmeasurable(f"lethe {arguments[0]} failed", (done.stdout + done.stderr)[-3000:])
    return done.stdout.strip()


@dataclass
class Installation:
    """One copy of the template, with its services. ``fresh`` are the users who have not been forgotten yet."""

    folder: Path
    template: Template
    database: Installed
    broker: Broker
    store: AttackedStore
    warm: Warm
    gateways: list[Service] = field(default_factory=list)
    workers: list[Service] = field(default_factory=list)
    fresh: list[str] = field(default_factory=list)
    _started: int = 0

    @property
    def environment(self) -> dict[str, str]:
        return {
            **self.template.secrets,
            **_TIMES,
            "LETHE_DATABASE_URL": self.database.url,
            "LETHE_STORE_URL": str(self.store.folder),
            "LETHE_BROKER_URL": self.broker.url,
            "LETHE_BASE": str(self.template.folder / "base"),
            "TMPDIR": str(self.temporary),
        }

    @property
    def temporary(self) -> Path:
        """The folder for its services' temporary files."""
        return self.folder / "tmp"

    def start(
        self,
        command: str,
        *,
        kill_point: str = "",
        whole: bool = True,
        clock_seconds: float = 0.0,
        url: str = "",
    ) -> Service:
        """Start a gateway (at the URL of one that has ended) or a worker, with a kill point or a wrong clock."""
        self._started += 1
        environment = self.environment
        if command == "gateway":
            url = url or f"http://127.0.0.1:{free_port()}"
            environment["LETHE_PORT"] = url.rpartition(":")[2]
        log, order = self.folder / f"{command}-{self._started}.log", self.folder / f"kill-{self._started}"
        process = self.warm.fork(
            [command],
            environment,
            folder=str(self.folder),
            log=str(log),
            clock_seconds=clock_seconds,
            kill_point=kill_point,
            kill_order=str(order),
            whole=whole,
        )
        return Service(command, process, log, url, order)

    def restore_order(self) -> None:
        """Start every missing service again and remove what is wrong with the others.

        Raises:
            ServiceUnmeasurable: a service does not start.
        """
        for service in [*self.gateways, *self.workers]:
            if service.kill_order is not None:
                service.kill_order.unlink(missing_ok=True)
        for extra in self.workers[1:]:
            extra.kill()
        del self.workers[1:]
        for number, gateway in enumerate(self.gateways):
            if not gateway.alive:
                self.gateways[number] = self.start("gateway", url=gateway.url)
        while len(self.gateways) < GATEWAYS:
            self.gateways.append(self.start("gateway"))
        if not self.workers or not self.workers[0].alive:
            self.workers[:1] = [self.start("worker")]
        for gateway in self.gateways:
            gateway.wait_until_ready()

    def close(self) -> None:
        for service in [*self.gateways, *self.workers]:
            service.kill()
        self.broker.close()
        self.database.drop()
        self.store.close()


def install(template: Template, folder: Path, warm: Warm) -> Installation:
    """A copy of the template, with its services running.

    Raises:
        ServiceUnmeasurable: the services do not start.
    """
    (folder / "tmp").mkdir(parents=True)
    store = AttackedStore(folder / "store")
    shutil.copytree(template.folder / "store", store.folder, dirs_exist_ok=True)
    database: Installed
    broker: Broker
    if template.server is None:
        database = SqliteInstalled(folder / "database.sqlite3")
        copy_sqlite(template.folder / "database.sqlite3", folder / "database.sqlite3")
        broker = FolderBroker(folder / "broker")
    else:
        copied = PostgresqlInstalled(template.server, f"lethe_chaos_{secrets.token_hex(8)}")
        assert isinstance(template.database, PostgresqlInstalled)
        copied.create(template.database)
        database, broker = copied, RedisBroker(free_port(), folder)
    made = Installation(folder, template, database, broker, store, warm, fresh=list(template.users))
    try:
        made.restore_order()
    except BaseException:
        made.close()
        raise
    return made


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def hold(seconds: float, until: Callable[[], bool] = lambda: False) -> None:
    """Let a fault last for so many seconds, or until `until` is true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not until():
        time.sleep(0.05)
