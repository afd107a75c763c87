"""What `lethe bench forget` makes of what it saw; the rest of it needs a running service (tests/acceptance)."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from benchmarks.commands import bench_app
from benchmarks.forget import spread, summary
from benchmarks.service.load import Tally
from benchmarks.service.request import published_by
from benchmarks.service.users import ENOUGH_EVENTS, events_per_user, in_drawn_order
from tests.unit.benchmarks.test_tables import ENVIRONMENT, cells, printed_again


def attempt(method: str, seconds: float, *, accepted: bool) -> dict[str, Any]:
    return {"method": method, "seconds": seconds, "accepted": accepted}


UCAN = attempt("ucan", 1.0, accepted=False)
ROWS: list[dict[str, Any]] = [
    {
        "number": 1,
        "status": "completed",
        "outcome": "erased",
        "suppressed_seconds": 0.25,
        "completed_seconds": 8.0,
        "published_by": "refit",
        "attempts": [UCAN, attempt("refit", 6.0, accepted=True)],
    },
    {
        "number": 2,
        "status": "needs_attention",
        "outcome": None,
        "suppressed_seconds": 0.125,
        "completed_seconds": None,
        "published_by": None,
        "attempts": [attempt("ucan", 3.0, accepted=False)],
    },
    {
        "number": 3,
        "status": "completed",
        "outcome": "erased",
        "suppressed_seconds": 0.5,
        "completed_seconds": 2.0,
        "published_by": "ucan",
        "attempts": [attempt("ucan", 1.5, accepted=True)],
    },
]
RESULT = {
    "benchmark": "forget",
    "environment": ENVIRONMENT,
    "data": {"source": "by hand"},
    "requests": 3,
    "seed": 7,
    "poll_seconds": 0.1,
    **summary(ROWS),
    "load": {"per_second": 5.0, "answers": 40, "non_200": 2, "mixed": 1, "fallbacks": 3},
    "rows": ROWS,
}


def test_percentiles_are_values_that_were_measured() -> None:
    # Of twenty, the 10th, the 19th and the 20th.
    assert spread([float(value) for value in range(20, 0, -1)]) == {"p50": 10.0, "p95": 19.0, "max": 20.0}
    assert spread([3.0, None, 1.0]) == {"p50": 1.0, "p95": 3.0, "max": 3.0}
    assert spread([4.0]) == {"p50": 4.0, "p95": 4.0, "max": 4.0}
    assert spread([None]) == {"p50": None, "p95": None, "max": None}


def test_a_request_that_was_not_completed_counts_as_suppressed_only() -> None:
    assert summary(ROWS) == {
        "suppressed_seconds": {"p50": 0.25, "p95": 0.5, "max": 0.5},
        "completed_seconds": {"p50": 2.0, "p95": 8.0, "max": 8.0},
        "completed": 2,
        "published_by": {"refit": 1, "ucan": 1},
    }


def test_the_last_accepted_attempt_published() -> None:
    again = [attempt("npo", 1.0, accepted=True), UCAN, attempt("refit", 1.0, accepted=True), UCAN]
    assert published_by(again) == "refit"
    assert published_by([UCAN]) is None
    assert published_by([]) is None


def test_who_is_forgotten_depends_on_the_seed_and_on_enough_history() -> None:
    events = {f"user-{number}": ENOUGH_EVENTS - 1 + number % 2 for number in range(40)}
    drawn = in_drawn_order(events, 1)
    assert sorted(drawn) == sorted(user for user, count in events.items() if count == ENOUGH_EVENTS)
    assert drawn == in_drawn_order(dict(reversed(events.items())), 1)
    assert drawn != in_drawn_order(events, 2)


def test_users_are_read_as_the_installation_reads_them(data: Path) -> None:
    events = events_per_user(data)
    lines = (data / "interactions.csv").read_text().splitlines()[1:]
    assert len(events) == 90
    assert sum(events.values()) <= len(lines)


def test_the_load_tells_errors_mixtures_and_fallbacks_apart() -> None:
    def answer(status: int, header: str, version: str, *, personalised: bool = True) -> httpx.Response:
        body = {"version": version, "personalised": personalised}
        return httpx.Response(status, headers={"Lethe-Version": header}, json=body)

    tally = Tally()
    for response in (
        answer(200, "a", "a"),
        answer(200, "a", "b"),
        answer(200, "c", "c", personalised=False),
        httpx.Response(200, json={"version": "a", "personalised": True}),
        httpx.Response(503, json={"title": "overloaded"}),
        None,
    ):
        tally.count(response)
    assert tally == Tally(answers=6, non_200=2, mixed=2, fallbacks=1)


def test_the_tables_are_printed_again_from_a_file(tmp_path: Path) -> None:
    text = printed_again(RESULT, tmp_path)
    assert "3 requests of one user each, one after the other (seed 7), 2 of them completed" in text
    times = "### How long a request takes"
    assert list(cells(text, times, "suppressed, seconds").values())[1:] == ["0.250", "0.500", "0.500"]
    assert list(cells(text, times, "completed, seconds").values())[1:] == ["2.0", "8.0", "8.0"]
    ucan = cells(text, "### Methods", "ucan")
    assert list(ucan.values()) == ["ucan", "3", "1", "1.5", "3.0"]
    assert list(cells(text, "### 5 recommendations a second meanwhile", "40").values()) == [
        "40",
        "2",
        "1",
        "3",
    ]
    assert list(cells(text, "### Every request", "1").values()) == [
        "1", "completed", "0.250", "8.0", "refit", "ucan 1.0 s, refit 6.0 s",
    ]  # fmt: skip
    assert cells(text, "### Every request", "2")["published by"] == "–"


@pytest.mark.parametrize("option", ["--home", "--data"])
def test_a_folder_that_is_not_there_is_a_usage_error(option: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(bench_app, ["forget", option, str(tmp_path / "absent")])
    assert done.exit_code == 2
    assert "there is no" in done.output
