"""Plots of a small result written by hand: there, valid, small, and the same byte for byte."""

import json
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

from benchmarks.commands import bench_app
from benchmarks.report.canvas import MissingMatplotlib, drawing, look, spans_orders
from benchmarks.report.labels import Box, name_points
from benchmarks.report.plots import draw
from unlearning import METHODS


def row(scenario: str, method: str, seed: int, distance: float, **figures: Any) -> dict[str, Any]:
    return {
        "scenario": scenario,
        "deletion": f"{scenario}/{seed}",
        "seed": seed,
        "method": method,
        "distance": distance,
        "forget_nll_gap": distance / 2,
        "test_recall@10": 0.2 - distance / 10,
        "forget_recall@10": 0.3,
        "kl": distance,
        "seconds": distance,
        "relearning.adapter": {"steps": [0, 2, 8], "nll": [3.0, 2.9, 2.5 + distance]},
        "relearning.gates": {"steps": [0, 2, 8], "nll": [3.0, 3.0, 2.8]},
    } | figures


@pytest.fixture
def result() -> dict[str, Any]:
    rows = [
        row("interactions-25", method, seed, distance + 0.01 * seed)
        for seed in (0, 1)
        for method, distance in (
            ("ucan", 0.4), ("npo", 0.3), ("refit", 0.1), ("do_nothing", 0.5),
            ("ucan_threshold_0.2", 0.3), ("ucan_threshold_0.8", 0.4),
        )
    ]  # fmt: skip
    rows.append(
        {
            "scenario": "interactions-25",
            "deletion": "interactions-25/0",
            "method": "popularity",
            "seconds": 0.0,
        }
    )
    for requests in (1, 5):
        own = row("sequence", "npo", 0, 0.1 * requests, requests=requests)
        rows.append({name: value for name, value in own.items() if not name.startswith("relearning")})
    return {"benchmark": "unlearn", "scenarios": {"interactions-25": "", "sequence": ""}, "rows": rows}


def test_every_plot_is_a_small_svg_that_repeats_byte_for_byte(result: dict[str, Any], tmp_path: Path) -> None:
    draw(result, tmp_path / "one")
    draw(result, tmp_path / "two")
    found = {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()}
    assert found.keys() == {
        "interactions-25-forgetting-utility.svg",
        "interactions-25-time-quality.svg",
        "interactions-25-threshold-sweep.svg",
        "interactions-25-relearning.svg",
        "sequence-forgetting-utility.svg",
        "sequence-time-quality.svg",
        "sequence-requests.svg",
    }
    for name, content in found.items():
        assert ET.fromstring(content).tag == "{http://www.w3.org/2000/svg}svg"
        assert len(content) < 150_000
        assert b"<dc:date>" not in content
        assert content == (tmp_path / "two" / name).read_bytes()
    words = found["interactions-25-forgetting-utility.svg"].decode()
    assert "refit (floor)" in words
    assert "popularity" not in words


def test_only_studies_have_plots(tmp_path: Path) -> None:
    draw({"benchmark": "tune"}, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_without_matplotlib_one_line_says_what_to_install(
    result: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingMatplotlib, match=r"pip install 'lethe\[plots\]'$"):
        draw(result, tmp_path)


def test_no_two_methods_look_alike() -> None:
    looks = [look(method) for method in METHODS]
    assert len({(one.colour, one.marker) for one in looks}) == len(looks)


def test_an_axis_is_logarithmic_where_the_values_span_orders() -> None:
    assert spans_orders([0.01, 1.0])
    assert not spans_orders([0.1, 1.0])
    assert not spans_orders([0.0, 100.0])


def test_boxes_meet_where_they_share_a_part() -> None:
    box = Box(0.0, 0.0, 2.0, 1.0)
    assert box.meets([Box(5.0, 5.0, 6.0, 6.0), Box(1.0, 0.5, 3.0, 3.0)])
    assert not box.meets([Box(2.0, 0.0, 3.0, 1.0), Box(0.0, 1.0, 2.0, 2.0)])
    assert box.inside(Box(0.0, 0.0, 2.0, 2.0))
    assert not box.inside(Box(0.0, 0.0, 1.9, 2.0))


def test_names_of_points_at_one_place_do_not_cover_each_other() -> None:
    names = [f"method_{number}" for number in range(12)]
    with drawing() as figures:
        figure = figures(layout="constrained")
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1])
        name_points(figure, axes, dict.fromkeys(names, (0.5, 0.5)))
        places = [text.xyann for text in axes.texts]
    # Eight places around a point; those below the first two overlap nothing, and four names find none.
    assert 4 <= len(places) <= 8
    assert len(set(places)) == len(places)


def test_the_report_draws_and_says_in_one_line_why_it_cannot(
    result: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = tmp_path / "result.json"
    listing = {"benchmark": "list-methods", "methods": []}
    stored.write_text(json.dumps(listing))
    done = CliRunner().invoke(bench_app, ["report", str(stored), "--plots", str(tmp_path / "plots")])
    assert done.exit_code == 0
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr("benchmarks.commands.markdown", lambda _: "")
    stored.write_text(json.dumps(result))
    done = CliRunner().invoke(bench_app, ["report", str(stored), "--plots", str(tmp_path / "plots")])
    assert done.exit_code == 2
    assert "plots need matplotlib" in done.output
