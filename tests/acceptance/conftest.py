"""One small fitted model for the whole tier, and an installation of it in each size."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.broker import QUEUE
from tests.acceptance.installation import Installation, Size, empty_folder, put_file
from tests.postgres_server import PostgresServer

# Words that no log, digest or item title contains by chance, so that a search for a raw id means something.
USER_PREFIX = "quetzal-"


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generated interactions as CSV, the way an operator would bring them."""
    from recommender import SyntheticConfig, generate_synthetic

    folder = tmp_path_factory.mktemp("data")
    data = generate_synthetic(SyntheticConfig(users=80, items=120, seed=11))
    with (folder / "interactions.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["user_id", "item_id", "timestamp"])
        for user, history in data.histories.items():
            for event in history:
                writer.writerow(
                    [f"{USER_PREFIX}{user}", data.catalogue.item_ids[event.item], event.timestamp]
                )
    with (folder / "items.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["item_id", "title"])
        writer.writerows(zip(data.catalogue.item_ids, data.catalogue.titles, strict=True))
    return folder


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first installation builds the base model and the others find it."""
    return tmp_path_factory.mktemp("models") / "base"


@pytest.fixture(scope="module", params=["embedded", "full"])
def size(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Size, Path]]:
    root = tmp_path_factory.mktemp(request.param)
    if request.param == "embedded":
        broker = root / "broker"
        yield (
            Size(
                "embedded",
                f"sqlite:///{root}/lethe.sqlite3",
                f"filesystem://{broker}",
                lambda: empty_folder(broker / "messages"),
                lambda message: put_file(broker / "messages", message),
            ),
            root,
        )
        return
    import redis

    server: PostgresServer = request.getfixturevalue("postgres")
    redis_url: str = request.getfixturevalue("empty_redis")
    database_url = server.create()

    def flush() -> None:
        with redis.Redis.from_url(redis_url) as client:
            client.flushdb()

    def push(message: bytes) -> None:
        with redis.Redis.from_url(redis_url) as client:
            client.lpush(QUEUE, message)

    yield Size("full", database_url, redis_url, flush, push), root
    server.drop(database_url)


@pytest.fixture(scope="module")
def installation(size: tuple[Size, Path], small_data: Path, base_folder: Path) -> Iterator[Installation]:
    where, root = size
    made = Installation(root, where, base_folder)
    made.set_up(small_data, epochs=8)
    yield made
    made.stop()
