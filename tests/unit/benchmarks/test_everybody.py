"""The data and the tables of `lethe bench everybody`; the rest of it needs a running service (tests/acceptance)."""

from pathlib import Path

from benchmarks.everybody import SHORT_EVENTS, in_batches, write_short_histories
from recommender import load_interactions
from tests.unit.benchmarks.test_tables import ENVIRONMENT, cells, printed_again

RESULT = {
    "benchmark": "everybody",
    "environment": ENVIRONMENT,
    "users": 9,
    "fewer_than_five_events": 6,
    "seed": 7,
    "end": {"live": False, "readyz": 200},
    "rows": [
        {
            "batch": 1,
            "requests": 2,
            "accepted": {"202": 2},
            "outcomes": {"erased": 1, "no_data": 1},
            "runs": 1,
            "published_by": {"refit": 1},
            "seconds": 12.4,
            "personalised_after": 0,
        }
    ],
}


def test_most_histories_are_short_and_the_same_for_a_seed(tmp_path: Path) -> None:
    events = write_short_histories(tmp_path, 60, 3)
    read = {user: len(history) for user, history in load_interactions(tmp_path).histories.items()}
    assert read == events
    assert len(events) == 60
    assert 30 < sum(count <= SHORT_EVENTS for count in events.values()) < 60
    assert write_short_histories(tmp_path, 60, 3) == events


def test_everybody_asks_once_and_the_first_alone() -> None:
    users = [f"user {number}" for number in range(1500)]
    batches = in_batches(users, 0)
    assert [len(batch) for batch in batches] == [1, 63, 400, 1036]
    assert sorted(user for batch in batches for user in batch) == sorted(users)


def test_the_tables_are_printed_again_from_a_file(tmp_path: Path) -> None:
    text = printed_again(RESULT, tmp_path)
    assert "no version is live, and `/readyz` answers 200" in text
    assert list(cells(text, "### Batches of requests", "2").values()) == [
        "2", "202: 2", "erased: 1, no_data: 1", "1", "refit: 1", "12", "0",
    ]  # fmt: skip
