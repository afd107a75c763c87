from pathlib import Path

from benchmarks import ucan_cost
from benchmarks.fits import Regime
from benchmarks.tables import markdown


def test_the_comparison_is_complete(data: Path, regime: Regime) -> None:
    result = ucan_cost.run(data, share=0.1, repeats=3, regime=regime)
    assert [row["subjects"] for row in result["rows"]] == [8, 1]
    assert result["ratio_to_forward"] == result["rows"][0]["ratio_to_forward"] > 0
    assert result["peak_memory_ratio"] > 0
    assert result["rows"][0]["tokens"] > result["rows"][1]["tokens"]
    assert "| 8 |" in markdown(result)
