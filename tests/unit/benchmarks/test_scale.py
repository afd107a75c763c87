import json
from pathlib import Path

from benchmarks import scale
from benchmarks.tables import as_json, markdown
from unlearning import default_policy


def test_every_stage_of_a_request_is_timed_in_every_service(tmp_path: Path) -> None:
    result = scale.run((30, 60), repeats=1, items=60, folder=tmp_path / "base")
    assert [row["users"] for row in result["rows"]] == [30, 60]
    inexact = scale._methods().keys()
    assert len(inexact) == len(default_policy().ladder) - 1
    for row in result["rows"]:
        assert set(row["seconds"]) == {"reading the parent", "measuring a candidate", *inexact}
        assert row["request_seconds"] > sum(row["seconds"][name] for name in inexact)
    assert "\n| 60 | " in markdown(json.loads(as_json(result)))
