"""The same path on real data: the first users of MovieLens-100K, through HTTP.

The sizes differ in nothing that the data could touch. All users would only make the fits longer.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.installation import Installation, Size, completed

USERS = 120


@pytest.fixture(scope="module")
def movielens_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("movielens") / "base"


@pytest.fixture(scope="module")
def some_users(ml100k: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files as they are, with the ratings of so many users."""
    folder = tmp_path_factory.mktemp("some-users")
    for file in ml100k.iterdir():
        content = file.read_bytes()
        if file.name == "u.data" or file.suffix == ".inter":
            lines = content.splitlines(keepends=True)
            # A header has no number in front.
            content = b"".join(
                line for line in lines if not (user := line.split(b"\t")[0]).isdigit() or int(user) <= USERS
            )
        (folder / file.name).write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def movielens(size: tuple[Size, Path], some_users: Path, movielens_base: Path) -> Iterator[Installation]:
    where, root = size
    made = Installation(root, where, movielens_base)
    made.set_up(some_users, epochs=1)
    made.start_gateway()
    made.start("worker")
    yield made
    made.stop()


@pytest.mark.parametrize("size", ["embedded"], indirect=True)
def test_a_movielens_user_is_forgotten_end_to_end(movielens: Installation) -> None:
    with movielens.client() as client:
        users = [
            user
            for user in map(str, range(1, 60))
            if client.get("/recommend", params={"user_id": user}).json()["personalised"]
        ]
        user, other = users[0], users[1]
        before = client.get("/recommend", params={"user_id": user}).json()["version"]
        location = client.post(f"/users/{user}/forget").headers["Location"]
        request = completed(client, location, seconds=400)
        assert request["outcome"] == "erased"
        run = client.get(request["run"]).json()
        assert run["attempts"][0]["method"] == "ucan"
        assert run["attempts"][-1]["accepted"]
        forgotten = client.get("/recommend", params={"user_id": user}).json()
        assert (forgotten["personalised"], forgotten["fallback_reason"]) == (False, "suppressed")
        kept = client.get("/recommend", params={"user_id": other}).json()
        assert kept["personalised"]
        assert kept["version"] == run["version"] != before
        titles = [item["title"] for item in kept["items"]]
        assert len(set(titles)) == 10
    assert movielens.lethe("audit", "verify").returncode == 0
