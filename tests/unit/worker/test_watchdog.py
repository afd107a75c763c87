"""A loop that stands still is noticed, and one that turns, waits or was frozen is not taken for it (R-35)."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import pytest
from celery.worker.consumer import Consumer
from kombu.asynchronous import Hub

from worker import consumer as consumers
from worker.consumer import PatientConsumer
from worker.watchdog import STUCK, Watchdog

SECONDS = 20.0
SHORT = 0.1


@pytest.fixture
def noticed() -> tuple[threading.Event, list[float]]:
    return threading.Event(), []


def watched(noticed: tuple[threading.Event, list[float]], seconds: float = SHORT) -> Watchdog:
    event, told = noticed
    watchdog = Watchdog()

    def stuck(for_seconds: float) -> None:
        told.append(for_seconds)
        event.set()

    watchdog.start(seconds, stuck)
    return watchdog


def turn_until(watchdog: Watchdog, done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not done():
        assert time.monotonic() < deadline
        watchdog.turned()
        time.sleep(SHORT / 50)


def test_r35_a_loop_that_stops_turning_is_noticed_once(
    noticed: tuple[threading.Event, list[float]],
) -> None:
    event, told = noticed
    watchdog = watched(noticed)
    began = time.monotonic()
    turn_until(watchdog, lambda: time.monotonic() - began > 5 * SHORT)
    assert told == []
    assert event.wait(SECONDS)
    watchdog.turned()
    assert told == [SHORT]


def test_r35_a_loop_that_waits_for_its_broker_is_not_taken_for_one_that_is_stuck(
    noticed: tuple[threading.Event, list[float]],
) -> None:
    event, told = noticed
    watchdog = watched(noticed)
    # It has not turned yet.
    assert not event.wait(5 * SHORT)
    watchdog.turned()
    watchdog.waits()
    assert not event.wait(5 * SHORT)
    watchdog.turned()
    assert event.wait(SECONDS)
    assert told == [SHORT]


def test_r35_the_loop_of_a_broker_that_is_a_socket_turns_by_its_timers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    turns: list[float] = []
    monkeypatch.setattr(consumers.watchdog, "turned", lambda: turns.append(time.monotonic()))
    monkeypatch.setattr(consumers, "_TURN_SECONDS", 0.01)
    patient = PatientConsumer.__new__(PatientConsumer)
    patient.blueprint, patient.steps = Consumer.Blueprint(), []
    hub = Hub()
    try:
        patient.register_with_event_loop(hub)
        loop = hub.create_loop()
        deadline = time.monotonic() + SECONDS
        while len(turns) < 3:
            assert time.monotonic() < deadline
            next(loop)
    finally:
        hub.close()


def test_r35_the_loop_of_other_brokers_turns_with_each_look(monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[None] = []
    monkeypatch.setattr(consumers.watchdog, "turned", lambda: turns.append(None))
    patient = PatientConsumer.__new__(PatientConsumer)
    patient.hub, patient._pending_operations = None, ()
    patient.perform_pending_operations()
    assert turns == [None]


def test_r35_a_lost_connection_is_waited_for_until_the_loop_turns_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waited: list[bool] = []

    def note(_self: Consumer, _given: object) -> None:
        waited.append(consumers.watchdog._waiting)

    monkeypatch.setattr(consumers, "watchdog", Watchdog())
    monkeypatch.setattr(Consumer, "ensure_connected", note)
    monkeypatch.setattr(Consumer, "on_connection_error_after_connected", note)
    patient = PatientConsumer.__new__(PatientConsumer)
    patient._lost = (ConnectionError,)
    for step in (
        lambda: patient.ensure_connected("somewhere"),
        lambda: patient.on_connection_error_after_connected(ConnectionError()),
    ):
        consumers.watchdog.turned()
        step()
        # Declaring queues and the like comes after it, and may hang as well.
        assert consumers.watchdog._waiting
    assert waited == [True, True]


ENDS = """
import threading
from worker import watchdog
watchdog._LAST_SECONDS = 0.5
waits = threading.Event()
watchdog.end_stuck_worker({end_children}, 60.0)
"""


@pytest.mark.parametrize("end_children", ["lambda: print('ended')", "lambda: waits.wait()", "lambda: 1 / 0"])
def test_r35_a_stuck_worker_ends_even_if_its_child_does_not(end_children: str) -> None:
    script = ENDS.format(end_children=end_children)
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        with suppress(subprocess.TimeoutExpired):
            process.wait(SECONDS)
        ended = process.poll()
    finally:
        process.kill()
    said = process.communicate()[0]
    assert ended == STUCK, said
    assert said.count("worker.stuck") == 1
    assert "60.0" in said
    assert "Traceback" not in said
