from pathlib import Path

import pytest

from benchmarks import early_stop
from benchmarks.tables import markdown
from recommender import BaseConfig, TrainingConfig

EPOCHS = [{"validation loss": value} for value in (-3.0, -2.0, -2.0, -2.5, -1.0)]


@pytest.mark.parametrize(
    ("patience", "place"),
    # The earliest of equals; what comes after the patience is over is never seen.
    [(None, 4), (3, 4), (2, 1), (1, 1)],
)
def test_a_rule_keeps_the_best_epoch_that_it_lives_to_see(patience: int | None, place: int) -> None:
    assert early_stop.kept(EPOCHS, "loss", patience) == place
    assert early_stop.kept(EPOCHS, "last epoch", patience) == 4


def test_every_rule_is_compared_on_the_same_fits(data: Path, tmp_path: Path) -> None:
    result = early_stop.run(
        data,
        users="development",
        seeds=2,
        training=TrainingConfig(epochs=3, patience=2),
        base_config=BaseConfig(layers=1, width=16, heads=2, feed_forward=32, window=16),
        folder=tmp_path,
    )
    assert [row["rule"] for row in result["rows"]] == list(early_stop.RULES)
    assert result["rows"][-1]["epochs"] == [3, 3]
    for row in result["rows"]:
        assert all(1 <= epoch <= 3 for epoch in row["epochs"])
        assert all(0 <= value <= 1 for value in row["ndcg@10"])
        assert 0 <= row["refits_beyond_the_margin"] <= 1
    assert "| smoothed loss |" in markdown(result)
