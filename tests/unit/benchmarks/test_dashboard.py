"""What `lethe bench dashboard` makes of what it saw."""

from pathlib import Path

from tests.unit.benchmarks.test_accept import answers
from tests.unit.benchmarks.test_tables import ENVIRONMENT, cells, printed_again

RESULT = {
    "benchmark": "dashboard",
    "environment": ENVIRONMENT,
    "seed": 7,
    "requests": 10_000,
    "pages": 50,
    "first_paint": {"milliseconds": [400.0, 300.0, 500.0], "bytes": 167_300, "page_bytes": 63_500},
    "event_seconds": [0.3, 0.5],
    "idle": {
        "seconds": 30.0,
        "processor_share_without": 0.015,
        "processor_share_with": 0.045,
        "news": 0,
    },
    "recommendations": {
        "per_second": 20.0,
        "pair_seconds": 10.0,
        "pairs": [
            {"without": answers(200, 0.02), "with": answers(200, 0.02)},
            {"without": answers(200, 0.02), "with": answers(200, 0.04)},
            {"without": answers(200, 0.04), "with": answers(200, 0.02)},
        ],
    },
}


def test_the_tables_are_printed_again_from_a_file(tmp_path: Path) -> None:
    text = printed_again(RESULT, tmp_path)
    paint = cells(text, "### The worklist in a browser", "first paint, s")
    assert list(paint.values()) == ["first paint, s", "3", "0.400", "0.500", "< 1"]
    assert "| 167.3 | < 200 |" in text
    idle = cells(text, "### The gateway's processor, idle for 30 s", "difference")
    assert list(idle.values()) == ["difference", "3.00", "< 5"]
    assert "| p50 | 0.0200 | 0.0200 | 1.00 | 0.50 | 2.00 |" in text
