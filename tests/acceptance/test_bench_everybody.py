"""`lethe bench everybody` end to end, on a small service: everybody is forgotten, and nothing stays behind."""

from __future__ import annotations

import json
from pathlib import Path

from tests.acceptance.test_bench_forget import Bench


def test_everybody_is_forgotten(tmp_path: Path) -> None:
    result_file = tmp_path / "result.json"
    bench = Bench(tmp_path, "--users", "20", "--json", str(result_file), command="everybody")
    try:
        assert bench.process.wait(300) == 0, bench.wrote()[-3000:]
        result = json.loads(result_file.read_text())
        assert [row["requests"] for row in result["rows"]] == [1, 1, 5, 13]
        for row in result["rows"]:
            assert row["accepted"] == {"202": row["requests"]}
            assert set(row["outcomes"]) <= {"erased", "no_data"}
            assert row["personalised_after"] == 0
        assert result["end"] == {"live": False, "readyz": 200}
        assert "auth0" not in result_file.read_text() + bench.wrote()
        assert bench.folders() == []
        assert bench.survivors() == []
    finally:
        bench.end()
