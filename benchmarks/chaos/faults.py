"""The faults that strike an installation while users are being forgotten."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from benchmarks.chaos.client import Client
from benchmarks.chaos.databases import PostgresqlInstalled
from benchmarks.chaos.installation import FEED_LEASE_SECONDS, LEASE_SECONDS, Installation, hold
from benchmarks.chaos.kill_points import KILL_POINTS, KillPoint
from benchmarks.chaos.services import comes_about

# A process reaches its kill point within this time, or does not pass it at all.
_DEATH_SECONDS = 20.0
_OUTAGE_SECONDS = 3.0
DAMAGED = (b"", b'{"body": "W10=", "hea', b"\xff\xfe\x00", b"[]", b"null", b"{}")


@dataclass(frozen=True)
class Attack:
    """One run: the installation, its client, the users to forget and the random draws."""

    installed: Installation
    client: Client
    victims: tuple[str, ...]
    luck: random.Random

    def forget_all(self) -> None:
        for victim in self.victims:
            self.client.forget(victim)
            self.client.bring_event(victim)

    def claimed(self) -> bool:
        """Whether a worker has claimed the last request."""
        location = self.client.log.accepted[-1].location
        seen = self.client.get(location)
        return seen is not None and (seen["run"] is not None or seen["done"])

    def done(self) -> bool:
        answers = [self.client.get(accepted.location) for accepted in self.client.log.accepted]
        return all(answer is not None and answer["done"] for answer in answers)


@dataclass(frozen=True)
class Fault:
    """``strike`` requests that the victims are forgotten and does the damage. The service must recover by itself.

    ``needs`` says which installations the fault can strike.
    """

    name: str
    kind: str
    strike: Callable[[Attack], None]
    needs: Callable[[Installation], bool] = lambda _: True


def _nothing(attack: Attack) -> None:
    attack.forget_all()


def _die_at(point: KillPoint, attack: Attack) -> None:
    installed, whole = attack.installed, attack.luck.random() < 0.5
    services = installed.gateways if point.process == "gateway" else installed.workers
    services[0].kill()
    url = services[0].url
    services[0] = installed.start(point.process, kill_point=point.name, whole=whole, url=url)
    services[0].wait_until_ready()
    order = services[0].kill_order
    assert order is not None
    order.touch()
    attack.forget_all()
    comes_about(lambda: not order.exists() or attack.done(), _DEATH_SECONDS)
    if (whole or point.process == "gateway") and not order.exists():
        # The process deletes the order before it dies, so wait until it is dead. A gateway is one process.
        comes_about(lambda: not services[0].alive, _DEATH_SECONDS)


def _freeze_worker(attack: Attack) -> None:
    installed = attack.installed
    attack.forget_all()
    comes_about(attack.claimed, _DEATH_SECONDS)
    hold(attack.luck.random())
    frozen = installed.workers[0]
    frozen.signal(signal.SIGSTOP)
    # A second worker takes the run over; the frozen one then wakes up as a zombie.
    installed.workers.append(installed.start("worker"))
    comes_about(attack.done, LEASE_SECONDS + attack.luck.uniform(0, 6))
    frozen.signal(signal.SIGCONT)


def _freeze_gateway(attack: Attack) -> None:
    frozen = attack.luck.choice(attack.installed.gateways)
    frozen.signal(signal.SIGSTOP)
    hold(attack.luck.uniform(0, 0.5))
    # The other gateway accepts the request. The frozen one answers the waiting questions when it continues.
    attack.forget_all()
    hold(FEED_LEASE_SECONDS + attack.luck.uniform(0.2, 3))
    frozen.signal(signal.SIGCONT)


def _terminate_connections(attack: Attack) -> None:
    database = attack.installed.database
    assert isinstance(database, PostgresqlInstalled)
    attack.forget_all()
    for _ in range(attack.luck.randint(1, 6)):
        database.terminate_connections()
        hold(attack.luck.uniform(0.1, 1.0), attack.done)


def _hang_database(attack: Attack) -> None:
    attack.forget_all()
    hold(attack.luck.random())
    attack.installed.database.hang(_OUTAGE_SECONDS * attack.luck.uniform(0.5, 3))


def _outages(attack: Attack) -> None:
    """More outages in a row than a run may have claims."""
    attack.forget_all()
    for _ in range(4):
        attack.installed.database.hang(_OUTAGE_SECONDS)
        hold(0.3, attack.done)


def _lose_broker(attack: Attack) -> None:
    attack.forget_all()
    for _ in range(5):
        attack.installed.broker.lose_everything()
        hold(0.1, attack.done)


def _restart_broker(attack: Attack) -> None:
    failing = threading.Thread(target=attack.installed.broker.fail, args=(_OUTAGE_SECONDS,))
    failing.start()
    attack.forget_all()
    failing.join()


def _damage_messages(attack: Attack) -> None:
    for message in DAMAGED:
        attack.installed.broker.put(message)
    attack.forget_all()


def _second_worker(attack: Attack) -> None:
    attack.installed.workers.append(attack.installed.start("worker"))
    attack.forget_all()
    comes_about(attack.done, 10)


def _ask_many_times(attack: Attack) -> None:
    for victim in attack.victims:
        attack.client.forget_many_times(victim, 8)


def _full_store(attack: Attack) -> None:
    store = attack.installed.store
    store.fill()
    try:
        attack.forget_all()
        hold(_OUTAGE_SECONDS * attack.luck.uniform(1, 5))
    finally:
        store.empty()


def _read_only_store(attack: Attack) -> None:
    store = attack.installed.store
    attack.forget_all()
    hold(attack.luck.random())
    store.make_read_only()
    try:
        hold(_OUTAGE_SECONDS * attack.luck.uniform(1, 5))
    finally:
        store.make_writable()


def _clock(seconds: float, command: str, attack: Attack) -> None:
    installed = attack.installed
    services = installed.gateways if command == "gateway" else installed.workers
    services[0].kill()
    services[0] = installed.start(command, clock_seconds=seconds, url=services[0].url)
    services[0].wait_until_ready()
    attack.forget_all()
    if attack.luck.random() < 0.5:
        comes_about(attack.claimed, _DEATH_SECONDS)
        # The service that is started next has the right time.
        services[0].kill()
    else:
        comes_about(attack.done, 30)
        services[0].kill()


def _restore(attack: Attack) -> None:
    """Restore a backup from before the requests while the services run."""
    put_back = attack.installed.database.back_up()
    attack.forget_all()
    _wait_for_journal(attack)
    comes_about(attack.done, attack.luck.uniform(0, 8))
    put_back()


def _fail_over(attack: Attack) -> None:
    database = attack.installed.database
    assert isinstance(database, PostgresqlInstalled)
    take_over = database.lagging_copy()
    attack.forget_all()
    _wait_for_journal(attack)
    comes_about(attack.done, attack.luck.uniform(0, 8))
    take_over()


def _wait_for_journal(attack: Attack) -> None:
    """Wait until the journal holds every accepted request.

    A request that is not in the journal yet is lost with the database, as docs/explanation/reliability.md says.
    """
    journal = attack.installed.store.folder / "journal"
    written = {int(path.stem) for path in journal.glob("*.json")}

    def all_there() -> bool:
        written.update(int(path.stem) for path in journal.glob("*.json"))
        return {accepted.epoch for accepted in attack.client.log.accepted} <= written

    comes_about(all_there, _DEATH_SECONDS)


def _kill_everything(attack: Attack) -> None:
    attack.forget_all()
    hold(attack.luck.uniform(0, 4), attack.done)
    for service in [*attack.installed.gateways, *attack.installed.workers]:
        service.kill()


def _is_postgresql(installed: Installation) -> bool:
    return installed.database.name == "postgresql"


def _is_mounted(installed: Installation) -> bool:
    return installed.store.mounted


FAULTS = (
    Fault("nothing (control)", "control", _nothing),
    *(Fault(point.name, "killed at a step", partial(_die_at, point)) for point in KILL_POINTS),
    Fault("everything killed at once", "everything killed", _kill_everything),
    Fault("worker frozen past its lease", "worker frozen", _freeze_worker),
    Fault("gateway frozen past its lease", "gateway frozen", _freeze_gateway),
    Fault("connections terminated", "connections terminated", _terminate_connections, _is_postgresql),
    Fault("database hangs", "database hangs", _hang_database),
    Fault("database hangs, four times in a row", "database hangs repeatedly", _outages),
    Fault("broker loses everything", "broker flushed", _lose_broker),
    Fault("broker restarts", "broker restarted", _restart_broker),
    Fault("damaged messages", "damaged messages", _damage_messages),
    Fault("two workers", "two workers", _second_worker),
    Fault("the same request many times", "repeated request", _ask_many_times),
    Fault("store full", "store full", _full_store, _is_mounted),
    Fault("store read-only", "store read-only", _read_only_store, _is_mounted),
    Fault("worker's clock an hour ahead", "worker's clock ahead", partial(_clock, 3600, "worker")),
    Fault("worker's clock two minutes behind", "worker's clock behind", partial(_clock, -120, "worker")),
    Fault("gateway's clock half a minute behind", "gateway's clock behind", partial(_clock, -30, "gateway")),
    Fault("older dump restored under running processes", "restore", _restore),
    Fault("fail-over to a lagging copy", "fail-over", _fail_over, _is_postgresql),
)
