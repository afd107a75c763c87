"""Parts of `lethe bench serve` for real: swaps under load on a bucket and PostgreSQL, and the bucket of a caller."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.serve.loaded import load
from benchmarks.serve.processes import Cores, gateways
from benchmarks.serve.site import ServeSite, Size, make_site
from benchmarks.serve.swaps import swaps_under_load
from benchmarks.service.errors import ServiceUnmeasurable
from benchmarks.service.own_database import chosen_database
from benchmarks.service.own_store import own_store
from model_store import open_store
from recommender import BaseConfig, load_base
from tests.s3_server import s3_server
from tests.services import postgres_url

pytestmark = pytest.mark.integration

SIZE = Size("mini", BaseConfig(layers=1, width=16, heads=2, feed_forward=32, window=16), 100, 40, 12)
CORES = Cores.of_this_machine()


def test_swaps_over_a_bucket_and_postgresql(tmp_path: Path) -> None:
    # A gateway never takes another event loop only because it is installed.
    trap = tmp_path / "trap" / "uvloop"
    trap.mkdir(parents=True)
    (trap / "__init__.py").write_text("raise SystemExit('nobody asked for this')")
    before = dict(os.environ)
    with chosen_database(postgres_url()) as database_url, own_store("moto", tmp_path) as store_url:
        site = make_site(tmp_path, SIZE, 0, database_url=database_url, store_url=store_url)
        assert site.environment["LETHE_STORE_URL"].startswith("s3://")
        with gateways(site, 2, CORES, PYTHONPATH=str(trap.parent)) as servers:
            assert not servers[0].has_mapped("uvloop")
            found = swaps_under_load(
                site, servers, rankings(site), CORES, count=2, per_second=10.0, window_seconds=0.5
            )
    assert dict(os.environ) == before
    for name in ("failed", "fallbacks", "torn", "mislabelled", "old_from_cache"):
        assert found[name] == 0
    assert found["swaps"] == 2
    assert found["answers"] > 0
    each = [found["memory"], *found["memory"]["others"]]
    assert len(each) == 2
    for memory in each:
        assert memory["versions"]["at_rest"] == 1
        assert 1 <= memory["versions"]["most"] <= 3
        assert memory["versions"]["bytes"] > 0
        # Two swaps are too few to say that it is flat.
        assert memory["flat"] is not True


def rankings(site: ServeSite) -> dict[str, list[list[str]]]:
    base, histories = load_base(site.base), list(site.histories.values())
    found = {}
    for digest in site.versions:
        ranked = load(base, site.environment["LETHE_STORE_URL"], digest).rank(
            histories, [10] * len(histories)
        )
        found[digest] = [[item_id for item_id, _, _ in items] for items in ranked]
    return found


def test_a_bucket_of_the_callers_is_left_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with s3_server() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        bucket = server.make_bucket("somebodys")
        theirs = open_store(f"s3://{bucket}/kept")
        assert theirs.check().writable
        before = server.ask("GET", f"/{bucket}?list-type=2").count(b"<Key>")
        with own_store(f"s3://{bucket}/kept/", tmp_path) as url:
            assert url.startswith(f"s3://{bucket}/kept/lethe-bench-")
            assert server.ask("GET", f"/{bucket}?list-type=2").count(b"<Key>") > before
        assert server.ask("GET", f"/{bucket}?list-type=2").count(b"<Key>") == before


def test_a_bucket_that_does_not_answer_is_said_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with s3_server() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(ServiceUnmeasurable, match="--store: "), own_store("s3://nobodys/x", tmp_path):
            pass
