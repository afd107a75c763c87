"""A service whose users all leave: the last ones are forgotten too, and it goes on answering."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.acceptance.installation import Installation, Size, completed, wait_until

# As identity providers write them; some of these people have fewer events than any fit reads.
PEOPLE = {
    "auth0|5f7c8ec7": 9,
    "google-oauth2|zoë/1": 8,
    "ada+shop@example.org": 7,
    "李雷": 6,
    "CN=Ada Lovelace,OU=people": 5,
    "..": 4,
    "one event": 1,
    "two events": 2,
}


@pytest.fixture(scope="module")
def few(size: tuple[Size, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    where, root = size
    folder = tmp_path_factory.mktemp("few")
    rows = [
        f'"{person}",item-{(3 * place + step) % 20},{step}'
        for place, (person, events) in enumerate(PEOPLE.items())
        for step in range(events)
    ]
    (folder / "interactions.csv").write_text("user_id,item_id,timestamp\n" + "\n".join(rows) + "\n")
    made = Installation(root, where, root / "base")
    made.set_up(folder, epochs=4)
    made.start_gateway()
    made.start("worker")
    yield made
    made.stop()


def test_everybody_leaves_one_by_one_and_together(few: Installation) -> None:
    with few.client() as client:
        assert client.get("/recommend", params={"user_id": "李雷", "k": 3}).json()["personalised"]
        first = completed(
            client, client.post(f"/users/{quote('google-oauth2|zoë/1', safe='')}/forget").headers["Location"]
        )
        assert first["outcome"] == "erased"
        # The dots cannot be addressed by path, and nobody else is.
        assert client.post("/users/%2E%2E/forget").status_code == 422
        others = [person for person in PEOPLE if person != "google-oauth2|zoë/1"]
        locations = {
            person: client.post("/forget-requests", json={"user_id": person}).headers["Location"]
            for person in others
        }
        outcomes = {person: completed(client, location)["outcome"] for person, location in locations.items()}
        assert outcomes == {person: "erased" if PEOPLE[person] >= 3 else "no_data" for person in others}

        def withdrawn() -> bool:
            return client.get("/adapters").json()["live"] is None

        wait_until(withdrawn, 30, what="the withdrawal")
        assert client.get("/readyz").status_code == 200
        answer = client.get("/recommend", params={"user_id": "a newcomer", "k": 3}).json()
        assert (answer["personalised"], len(answer["items"])) == (False, 3)
    assert few.lethe("audit", "verify").returncode == 0
    # A restart finds nobody to fit on, and serves the fallback.
    store = few.root / "store"
    assert not [path for path in store.rglob("*") if path.is_file() and path.stat().st_size > 20_000]
