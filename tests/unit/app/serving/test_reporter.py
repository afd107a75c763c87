"""Reports: the last word arrives, an unchanged one is a heartbeat, and a stuck write holds nobody up."""

from collections.abc import Callable, Iterator

import pytest
from prometheus_client import CollectorRegistry

from app.serving import ReplicaReport
from app.serving.metrics import ServingMetrics
from app.serving.reporter import Reporter
from tests.unit.app.serving.marker_world import PATIENCE_SECONDS, ControlDatabase, eventually
from tests.unit.app.serving.replica_rig import Line

MakeReporter = Callable[..., Reporter]


def report(epoch: int) -> ReplicaReport:
    return ReplicaReport("replica-1", 1, None, None, epoch, ("a" * 64,), None)


@pytest.fixture
def line(control: ControlDatabase) -> Line:
    return Line(control.plane)


@pytest.fixture
def make(line: Line) -> Iterator[MakeReporter]:
    reporters: list[Reporter] = []

    def make(interval_seconds: float = 1000.0) -> Reporter:
        metrics = ServingMetrics(CollectorRegistry())
        reporters.append(
            Reporter(line, interval_seconds=interval_seconds, retry_seconds=0.01, metrics=metrics)
        )
        reporters[-1].start()
        return reporters[-1]

    yield make
    line.write_gate.set()
    for reporter in reporters:
        reporter.stop(PATIENCE_SECONDS)


def arrived(control: ControlDatabase) -> int | None:
    row = control.replica("replica-1")
    return None if row is None else row.epoch


def test_a_changed_report_arrives_without_waiting_for_the_interval(
    control: ControlDatabase, make: MakeReporter
) -> None:
    reporter = make()
    reporter.offer(report(1))
    eventually(lambda: arrived(control) == 1)
    reporter.offer(report(2))
    eventually(lambda: arrived(control) == 2)


def test_an_unchanged_report_is_a_sign_of_life(control: ControlDatabase, make: MakeReporter) -> None:
    reporter = make(interval_seconds=0.01)
    reporter.offer(report(1))
    eventually(lambda: arrived(control) == 1)
    row = control.replica("replica-1")
    assert row is not None
    eventually(
        lambda: (now := control.replica("replica-1")) is not None and now.last_seen_at > row.last_seen_at
    )


def test_what_could_not_be_delivered_is_sent_when_the_line_is_back(
    control: ControlDatabase, line: Line, make: MakeReporter
) -> None:
    reporter = make()
    line.cut = True
    reporter.offer(report(1))
    reporter.offer(report(2))
    assert arrived(control) is None
    line.cut = False
    eventually(lambda: arrived(control) == 2)


def test_offering_never_waits_and_the_last_word_counts(
    control: ControlDatabase, line: Line, make: MakeReporter
) -> None:
    reporter = make()
    line.write_gate.clear()
    reporter.offer(report(1))
    assert line.writing.wait(PATIENCE_SECONDS)
    for epoch in range(2, 50):
        reporter.offer(report(epoch))
    assert arrived(control) is None
    line.write_gate.set()
    eventually(lambda: arrived(control) == 49)


def test_stop_delivers_what_is_still_due(control: ControlDatabase, line: Line, make: MakeReporter) -> None:
    reporter = make()
    line.write_gate.clear()
    reporter.offer(report(1))
    reporter.offer(report(2))
    line.write_gate.set()
    reporter.stop(PATIENCE_SECONDS)
    assert arrived(control) == 2
