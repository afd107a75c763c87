"""Parts of `lethe bench serve`: the verdict on memory, peers and their settings, both event loops, and their tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.report.serve import serve
from benchmarks.serve.beside import OTHERS, best
from benchmarks.serve.loops import ratios
from benchmarks.serve.memory import verdict
from benchmarks.serve.run import Wanted
from benchmarks.service import own_database, own_store
from benchmarks.service.errors import ServiceUnmeasurable
from tests.unit.benchmarks.serve_results import RESULT, SIZE, swaps

MEGA = 10**6


def rising(start: int, step: int, count: int = 1000) -> list[int]:
    return [start + step * number for number in range(count)]


def test_a_line_that_rises_by_a_version_at_every_swap_is_seen() -> None:
    found = verdict(rising(100 * MEGA, 10_000), 2, 1, 10_000)
    assert found["slope"] == pytest.approx(10_000)
    # The first tenth's mean is 49.5 steps above the start; the line rises over the other 900 swaps.
    assert found["growth"] == pytest.approx(9 * MEGA / (100 * MEGA + 495_000))
    assert found["flat"] is False


def test_memory_that_is_allocated_in_the_first_tenth_and_used_again_is_flat() -> None:
    resident = [*rising(90 * MEGA, 100_000, 100), *[100 * MEGA, 100 * MEGA + 4096] * 450]
    found = verdict(resident, 2, 1, 10_000)
    assert abs(found["slope"]) < 10
    assert found["flat"] is True
    assert found["last_tenth"] == 100 * MEGA + 2048


def test_a_version_that_stays_is_no_flat_memory() -> None:
    assert verdict([100 * MEGA] * 1000, 3, 2, 10_000)["flat"] is False


def test_too_few_swaps_say_nothing() -> None:
    # A version of 10 kB at every second of 90 swaps is 450 kB, and 1 % of the memory is 1 MB.
    assert verdict([100 * MEGA] * 100, 2, 1, 10_000)["flat"] is None
    assert verdict([100 * MEGA] * 2, 2, 1, 10_000)["flat"] is None


def test_settings_that_refuse_requests_are_taken_only_where_all_do() -> None:
    quick, slow, slower = (
        {"per_second": rate, "not_200": refused} for rate, refused in ((90.0, 7), (50.0, 0), (40.0, 0))
    )
    assert best([quick, slower, slow]) is slow
    assert best([quick, {"per_second": 80.0, "not_200": 1}]) is quick


def test_each_peer_is_started_on_its_port_of_this_machine() -> None:
    commands = {peer.name: " ".join(peer.command("python", 1234)) for peer in OTHERS}
    assert commands == {
        "litserve": "python -m benchmarks.serve.peers.litserve_server",
        "mosec": "python -m benchmarks.serve.peers.mosec_server --port 1234 --address 127.0.0.1",
        "bentoml": "python -m bentoml serve benchmarks.serve.peers.bentoml_server:Ranking "
        "--host 127.0.0.1 --port 1234",
    }


def pair(asyncio: float, uvloop: float) -> dict[str, Any]:
    return {
        name: {
            "per_second": 100 * factor,
            "processor_ms": factor,
            "loaded": {"p50": factor, "p99": 2 * factor},
        }
        for name, factor in (("asyncio", asyncio), ("uvloop", uvloop))
    }


def test_ratios_are_of_pairs() -> None:
    found = ratios([pair(1.0, 2.0), pair(10.0, 11.0), pair(4.0, 2.0)])
    for figure in found.values():
        assert figure == {"median": pytest.approx(1.1), "least": 0.5, "most": 2.0}


def test_results_name_no_server_and_no_bucket() -> None:
    assert own_database.kind_of("postgresql://user:secret@host/base") == "postgresql"
    assert own_database.kind_of("sqlite") == "sqlite"
    assert [own_store.kind_of(name) for name in ("local", "moto", "s3://a/b")] == ["local", "moto", "s3"]


def test_the_local_store_is_a_folder_of_the_benchmark(tmp_path: Path) -> None:
    with own_store.own_store(Wanted().store, tmp_path) as url:
        assert url == str(tmp_path / "store")


def test_an_address_that_is_no_buckets_is_said_in_a_line(tmp_path: Path) -> None:
    refused = pytest.raises(ServiceUnmeasurable, match="--store: the address of a bucket")
    with refused, own_store.own_store("s3://UPPER CASE/x", tmp_path):
        pass


def test_the_tables_show_store_database_memory_and_loops() -> None:
    memory = verdict([100 * MEGA] * 1000, 2, 1, 10_000)
    risen = verdict(rising(100 * MEGA, 10_000), 5, 4, 10_000)
    swapped = swaps(1000, {**memory, "others": []})
    both = {"ratios": ratios([pair(1.0, 1.1)])}
    size = SIZE | {
        "swaps": swapped,
        "swaps_with_cache": swapped,
        "replicas": swaps(1000, {**memory, "others": [risen]}),
        "loops": {"nothing_kept": both, "kept": both},
    }
    result = RESULT | {"database": "postgresql", "store": "s3", "sizes": [size]}
    text = "\n".join(serve(result))
    assert "The database is PostgreSQL, the store a bucket of S3-compatible storage." in text
    assert "| one gateway, nothing from memory | 1000 | 100.0 | 100.0 | 0.00 | 0.0% | 2 | 1 | flat |" in text
    assert "| three gateways | 1000 | 100.5 | 109.5 | 10.00 | 9.0% | 5 | 4 | **grows** |" in text
    assert "A version has 0.01 MB of its own" in text
    assert "| nothing from memory | requests a second | 1.10 | 1.10 | 1.10 |" in text
    assert "Two gateways on one machine" not in text
    assert "answers kept in memory | 90.0" not in text
