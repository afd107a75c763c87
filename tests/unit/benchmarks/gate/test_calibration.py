from pathlib import Path

import pytest

from benchmarks.fits import Regime
from benchmarks.gate import calibration
from benchmarks.tables import markdown
from unlearning import build_method


def test_it_measures_false_alarms_on_development_users(
    data: Path, regime: Regime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "sweep", lambda: [("ucan", {"threshold": 0.5})])
    result = calibration.run(data, processes=1, regime=regime)
    membership = result["membership"]
    assert membership["users"] == 4 * (result["data"]["development_users"] // 4)
    assert len(membership["run_z_of_never_members"]) == 4
    shares = [band["never_members_rejected"] for band in membership["bands"]]
    assert shares == sorted(shares, reverse=True)
    assert [row["method"] for row in result["rows"]] == ["do_nothing", "refit", "ucan(threshold=0.5)"]
    assert result["rows"][1]["forget_nll_minus_refit"] == 0.0
    assert "| refit |" in markdown(result)


def test_every_configuration_of_the_sweep_can_be_built() -> None:
    labels = [calibration.label(build_method(name, config)) for name, config in calibration.sweep()]
    assert len(set(labels)) == len(labels) > 25
    assert "ucan(basis=rank)" in labels
