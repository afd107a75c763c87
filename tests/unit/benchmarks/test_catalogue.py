import json
from pathlib import Path

from typer.testing import CliRunner

from benchmarks.commands import bench_app

NAMES = {
    "ucan", "e2urec", "cure", "gradient_ascent", "gradient_difference", "npo", "simnpo", "random_label", "pcgrad",
    "llm_eraser", "llmeraser", "ssd", "sharded", "refit", "do_nothing", "uniform_shrink", "drop_adapter",
    "least_change", "least_change_output",
}  # fmt: skip


def test_every_method_describes_itself(tmp_path: Path) -> None:
    stored = tmp_path / "methods.json"
    done = CliRunner().invoke(bench_app, ["unlearn", "--list-methods", "--json", str(stored)])
    assert done.exit_code == 0
    methods = {entry["name"]: entry for entry in json.loads(stored.read_text())["methods"]}
    assert set(methods) == NAMES
    assert sum(entry["recommended"] for entry in methods.values()) == 1
    assert {name for name, entry in methods.items() if entry["control"]} == {
        "do_nothing", "uniform_shrink", "drop_adapter",
    }  # fmt: skip
    assert methods["ucan"]["paper"] == "arXiv 2602.23400"
    assert methods["refit"]["exact"]
    for name, entry in methods.items():
        assert entry["title"]
        assert entry["paper"] or entry["control"] or name in {"refit", "least_change", "least_change_output"}
        assert entry["cost_class"] in {"none", "forward", "gradient", "second_order", "refit"}
