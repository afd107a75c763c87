from benchmarks import semantic_ids
from benchmarks.semantic_ids import Size
from benchmarks.tables import markdown


def test_exact_scores_and_searches_are_measured_beside_what_they_cannot_beat() -> None:
    result = semantic_ids.run(Size(items=80, tastes=8, users=20, asked=3, repetitions=1, epochs=1))
    assert result["exact"]["largest_difference"] < 1e-4
    assert result["exact"]["forwards"] == result["data"]["tokens_of_an_item"] == 3
    assert result["exact"]["ratio"] > 0
    best = [row for row in result["rows"] if row["search"] == "best-first"]
    assert [row["k"] for row in best] == [10, 20, 50]
    assert all(row["same_order"] and row["found"] == 1 for row in best)
    # A beam as wide as the catalogue leaves nothing out.
    assert next(row for row in result["rows"] if row["search"] == "beam 250")["found"] == 1
    assert "| 10 | best-first |" in markdown(result)
