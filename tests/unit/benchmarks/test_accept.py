"""What `lethe bench accept` makes of what it saw; the rest of it needs a running service (tests/acceptance)."""

import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
from typer.testing import CliRunner

from benchmarks.commands import bench_app
from benchmarks.service.timed import NO_ANSWER, Answers
from tests.unit.benchmarks.test_tables import ENVIRONMENT, cells, printed_again


def answers(count: int, seconds: float, **statuses: int) -> dict[str, Any]:
    return {"count": count, "statuses": statuses} | dict.fromkeys(("p50", "p95", "p99", "max"), seconds)


RESULT = {
    "benchmark": "accept",
    "environment": ENVIRONMENT,
    "data": {"source": "by hand"},
    "seed": 7,
    "runs": [
        {
            "beside": "import",
            "database": "postgresql",
            "forgets": answers(4, 0.25, **{"202": 3, "503": 1}),
            "recommendations": {"without": answers(10, 0.5), "with": answers(11, 1.0)},
            "imports": {"clients": 8, "events": 10_000, **answers(9, 6.5)},
        },
        {
            "beside": "hanging-broker",
            "database": "sqlite",
            "forgets": answers(60, 0.125),
            "forgets_without": answers(61, 0.0625),
            "recommendations": {"without": answers(10, 0.0), "with": answers(10, 0.5)},
        },
        {
            "beside": "recommendations",
            "database": "postgresql",
            "replicas": 3,
            "forgets_per_second": {"wanted": 50.0, "reached": 48.75},
            "forgets": answers(200, 0.125),
            "recommendations": {"without": answers(10, 0.5), "with": answers(10, 0.5)},
            "asked": {"every_seconds": 0.125, "per_second": 150.4, **answers(900, 0.5)},
            "suppression": {
                "users": 20,
                "not_accepted": 1,
                "not_suppressed": 2,
                "never_personalised": 3,
                **answers(14, 0.375),
            },
            "load": [1.0, 2.5],
        },
    ],
}


def test_percentiles_are_values_that_were_measured() -> None:
    # Of two hundred, the 100th, the 190th, the 198th and the 200th.
    seen = Answers(Counter({"202": 199, "503": 1}), [float(second) for second in range(200, 0, -1)])
    assert seen.summary() == {
        "count": 200, "statuses": {"202": 199, "503": 1}, "p50": 100.0, "p95": 190.0, "p99": 198.0, "max": 200.0,
    }  # fmt: skip
    assert Answers().summary()["p99"] is None


def test_seconds_count_from_when_a_request_was_due_also_where_none_is_answered() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/broken":
            raise httpx.ConnectError("gone")
        return httpx.Response(202)

    seen, due = Answers(), time.monotonic() - 100
    with httpx.Client(transport=httpx.MockTransport(answer), base_url="http://service") as client:
        seen.send(client, "POST", "/", due)
        seen.send(client, "POST", "/broken", due)
    assert seen.statuses == {"202": 1, NO_ANSWER: 1}
    assert min(seen.seconds) >= 100


def test_the_tables_are_printed_again_from_a_file(tmp_path: Path) -> None:
    text = printed_again(RESULT, tmp_path)
    assert list(cells(text, "### Forget requests", "import").values()) == [
        "import", "postgresql", "4", "202: 3, 503: 1", "0.250", "0.250", "0.250", "0.250",
    ]  # fmt: skip
    assert cells(text, "### Forget requests", "hanging-broker, a usual one instead")["p99"] == "0.062"
    assert "| import | postgresql | with | 11 | – | 1.000 | 1.000 | 1.000 | 1.000 | 2.00 |" in text
    assert "| hanging-broker | sqlite | with | 10 | – | 0.500 | 0.500 | 0.500 | 0.500 | – |" in text
    assert list(cells(text, "### Imports", "postgresql").values())[:4] == ["postgresql", "8", "10000", "9"]
    assert (
        "| postgresql | 3 | 50 | 48.8 | 0.12 | 150 | 14 | 1 | 2 | 3 | 0.375 | 0.375 | 0.375 | 0.375 | 1.0 to 2.5 |"
        in text
    )


def test_what_cannot_be_measured_is_a_usage_error(tmp_path: Path) -> None:
    for arguments in (["--beside", "rain"], ["--beside", "import", "--home", str(tmp_path / "absent")]):
        assert CliRunner().invoke(bench_app, ["accept", *arguments]).exit_code == 2
    unreachable = "postgresql://nobody@127.0.0.1:1/nothing"
    done = CliRunner().invoke(bench_app, ["accept", "--beside", "import", "--database", unreachable])
    assert done.exit_code == 2
    assert "lethe: --database: cannot create a database there" in done.output
