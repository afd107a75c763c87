"""A model that reads titles, as its owner has it, goes the whole way: init, recommend, forget, swap, destroyed."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from recommender import (
    AdapterConfig,
    InteractionData,
    SyntheticConfig,
    TrainingConfig,
    fit_adapter,
    generate_synthetic,
    leave_two_out,
    load_base,
    save_base,
)
from recommender.text_base import TextBaseConfig, build_text_base, letters_style
from tests.acceptance.conftest import USER_PREFIX
from tests.acceptance.installation import Installation, Size, completed

ADAPTER = AdapterConfig(r=4, alpha=8, target_modules=("q_proj", "v_proj", "up_proj", "down_proj"))
RECIPE = TrainingConfig(epochs=6, lr=2e-2, batch_size=16, patience=None)


def write_data(folder: Path, data: InteractionData) -> Path:
    folder.mkdir()
    with (folder / "interactions.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["user_id", "item_id", "timestamp"])
        for user, history in data.histories.items():
            for event in history:
                writer.writerow([USER_PREFIX + user, data.catalogue.item_ids[event.item], event.timestamp])
    return folder


@pytest.fixture(scope="module")
def owners_folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the owner has: `base`, `adapter` and `data`."""
    root = tmp_path_factory.mktemp("letters")
    data = generate_synthetic(
        SyntheticConfig(users=40, items=48, tastes=4, mean_length=6, min_length=4, personal=1, seed=3)
    )
    style = letters_style(data.catalogue, labels="ABCDEFGH", draws=2)
    panel = [list(range(start, start + 6)) for start in range(0, 40, 4)]
    shape = TextBaseConfig(layers=1, width=32, heads=2, feed_forward=64)
    model = build_text_base(style, panel, shape, TrainingConfig(epochs=2, patience=None))
    save_base(model, data.catalogue, style, root / "base")
    users = [leave_two_out(data.items(user)).train for user in data.histories]
    fit_adapter(load_base(root / "base"), users, ADAPTER, RECIPE).save(root / "adapter")
    (root / "adapter" / "recipe.json").write_text(json.dumps(RECIPE.to_plain()))
    write_data(root / "data", data)
    return root


@pytest.fixture(scope="module")
def letters(size: tuple[Size, Path], owners_folders: Path) -> Iterator[Installation]:
    where, root = size
    made = Installation(root, where, owners_folders / "base")
    made.lethe("migrate")
    done = made.lethe(
        "init",
        "--data",
        str(owners_folders / "data"),
        "--adapter",
        str(owners_folders / "adapter"),
        "--confirm-adapter",
    )
    assert "a re-fit comes near your adapter" in done.stdout
    made.key = made.lethe("keys", "issue", "tests", "--scope", "all").stdout.strip()
    made.start_gateway()
    made.start("worker")
    yield made
    made.stop()


@pytest.mark.parametrize("size", ["embedded"], indirect=True)
def test_letters_go_the_whole_way(letters: Installation) -> None:
    user, other = USER_PREFIX + "user-0003", USER_PREFIX + "user-0004"
    with letters.client() as client:
        answer = client.get("/recommend", params={"user_id": user, "k": 5}).json()
        assert answer["personalised"]
        assert answer["retriever"] == "co-visits:40-0"
        assert len(answer["items"]) == 5
        # The caller's own candidates go first, and only they are ranked.
        named = ["item-0001", "item-0007", "item-0030"]
        ranked = client.get("/recommend", params={"user_id": other, "candidate": named}).json()
        assert ranked["retriever"] is None
        assert {item["item_id"] for item in ranked["items"]} <= set(named)
        unknown = client.get("/recommend", params={"user_id": other, "candidate": ["item-0001", "nothing"]})
        assert unknown.status_code == 422
        assert "1 candidates are not in the catalogue" in unknown.json()["detail"]
        many = [f"item-{number:04d}" for number in range(9)]
        refused = client.get("/recommend", params={"user_id": other, "candidate": many})
        assert (refused.status_code, "At most 8 candidates" in refused.text) == (422, True)

        before = client.get("/adapters").json()["live"]
        request = completed(client, client.post(f"/users/{user}/forget").headers["Location"], seconds=300)
        assert request["outcome"] == "erased"
        run = client.get(request["run"]).json()
        # How often the gate errs on letters nobody measured, so no edit is let through.
        assert run["attempts"][-1]["method"] == "refit"
        assert run["attempts"][-1]["accepted"]
        adapters = client.get("/adapters").json()
        assert adapters["live"] == run["version"] != before
        destroyed = {version["digest"]: version["destroyed_at"] for version in adapters["versions"]}
        assert destroyed[before] is not None
        assert destroyed[adapters["live"]] is None

        kept = client.get("/recommend", params={"user_id": other}).json()
        assert kept["version"] == adapters["live"]
        assert kept["retriever"] == "co-visits:39-1"
        gone = client.get("/recommend", params={"user_id": user}).json()
        assert (gone["personalised"], gone["fallback_reason"]) == (False, "suppressed")
    assert letters.lethe("audit", "verify").returncode == 0
    for log in letters.root.glob("*.log"):
        assert USER_PREFIX not in log.read_text()
