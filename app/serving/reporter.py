"""Reports this replica's state to the control plane. The suppression feed never waits for this write."""

from __future__ import annotations

import threading

import structlog

from app.serving.control import ControlPlane, ReplicaReport
from app.serving.metrics import ServingMetrics

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Reporter:
    """Sends the latest report from a thread of its own: a changed one at once, an unchanged one as a heartbeat.

    A report that could not be delivered is sent again, unless a newer one has replaced it.
    """

    def __init__(
        self, control: ControlPlane, *, interval_seconds: float, retry_seconds: float, metrics: ServingMetrics
    ) -> None:
        self._control = control
        self._interval_seconds = interval_seconds
        self._retry_seconds = retry_seconds
        self._metrics = metrics
        self._wake = threading.Condition()
        self._latest: ReplicaReport | None = None
        self._delivered: ReplicaReport | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._loop, name="lethe-reporter", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_seconds: float) -> None:
        """End the thread, after one more try to deliver an undelivered report."""
        with self._wake:
            self._closed = True
            self._wake.notify_all()
        if self._thread.ident is not None:
            self._thread.join(timeout_seconds)

    def offer(self, report: ReplicaReport) -> None:
        """Make this the report to send. Never waits for the control plane."""
        with self._wake:
            self._latest = report
            if report != self._delivered:
                self._wake.notify_all()

    def _loop(self) -> None:
        failed = False
        while True:
            with self._wake:
                if failed:
                    self._wake.wait_for(lambda: self._closed, self._retry_seconds)
                else:
                    self._wake.wait_for(self._has_news, self._interval_seconds)
                report, closing = self._latest, self._closed
            if report is not None and not (closing and report == self._delivered):
                failed = not self._deliver(report, quietly=failed)
            if closing:
                return

    def _has_news(self) -> bool:
        return self._closed or self._latest != self._delivered

    def _deliver(self, report: ReplicaReport, *, quietly: bool) -> bool:
        try:
            self._control.report(report)
        except Exception as error:  # noqa: BLE001 - after any failure the report is sent again
            self._metrics.control_failures.labels("report").inc()
            if not quietly:
                _log.warning("serving.control.report_failed", error=type(error).__name__)
            return False
        with self._wake:
            self._delivered = report
        return True
