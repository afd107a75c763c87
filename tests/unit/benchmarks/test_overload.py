"""What `lethe bench overload` makes of what it saw, and its flood at a server that answers."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from tests.unit.benchmarks.test_accept import answers
from tests.unit.benchmarks.test_tables import ENVIRONMENT, cells, printed_again

RESULT = {
    "benchmark": "overload",
    "environment": ENVIRONMENT,
    "data": {"source": "by hand"},
    "seed": 7,
    "seconds": 60.0,
    "flood": {
        "half_open": 2000,
        "opened": 2100,
        "closed_by_gateway": 1100,
        "most_open": 1000,
        "bodies": {"count": 500, "bytes": 16 * 2**20, "statuses": {"401": 499, "none": 1}},
    },
    "measured": {
        "without": {
            "resident_bytes": 400_000_000,
            "log_bytes": 0,
            "recommendations": answers(1200, 0.01, **{"200": 1200}),
        },
        "with": {
            "resident_bytes": 420_000_000,
            "log_bytes": 12_340,
            "recommendations": answers(1199, 0.015, **{"200": 1199}),
        },
    },
}


def test_the_tables_are_printed_again_from_a_file(tmp_path: Path) -> None:
    text = printed_again(RESULT, tmp_path)
    assert list(cells(text, "### The gateway and its callers", "with").values()) == [
        "with", "1199", "200: 1199", "0.015", "0.015", "0.015", "0.015", "420.0", "12.3",
    ]  # fmt: skip
    assert list(cells(text, "### The gateway and its callers", "with to without").values()) == [
        "with to without", "", "", "1.50", "1.50", "1.50", "1.50", "1.05", "–",
    ]  # fmt: skip
    assert "| 1000 | 2100 | 1100 | 500 | 401: 499, none: 1 |" in text


def test_the_flood_holds_half_open_requests_and_reads_what_it_is_answered() -> None:
    with _refusing() as port:
        flood = subprocess.run(
            [sys.executable, "-m", "benchmarks.service.flood", str(port), "3", "2", "1000000"],
            input=b"", capture_output=True, check=True,
        )  # fmt: skip
    assert json.loads(flood.stdout) == {
        "opened": 3,
        "closed_by_gateway": 0,
        "most_open": 3,
        "bodies": {"count": 2, "bytes": 1_000_000, "statuses": {"401": 2}},
    }


@contextmanager
def _refusing() -> Iterator[int]:
    class Refusing(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(401)
            self.end_headers()
            self.rfile.read(int(self.headers["Content-Length"]))

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (its caller's name for it)
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Refusing) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()
