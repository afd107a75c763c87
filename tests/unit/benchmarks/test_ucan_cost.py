import os
import subprocess
import sys
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


def test_the_profiler_says_nothing_of_its_own() -> None:
    script = (
        "from benchmarks import ucan_cost; import torch;"
        "assert ucan_cost.peak_tensor_bytes(lambda: torch.ones(1000)) == 4000"
    )
    kept = {name: value for name, value in os.environ.items() if name != "KINETO_LOG_LEVEL"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=kept, capture_output=True, text=True, check=True, timeout=300
    )
    assert (done.stdout, done.stderr) == ("", "")
