import math

import ir_measures
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_measures import RR, R, nDCG

from recommender import DataError, RankingMetrics, mrr_at, ndcg_at, ranks, recall_at, top_k

INF = math.inf


def test_ranks_by_hand():
    scores = torch.tensor([[0.1, 0.9, 0.5], [0.1, 0.9, 0.5], [0.1, 0.9, 0.5]])
    assert ranks(scores, torch.tensor([1, 2, 0])).tolist() == [1, 2, 3]


def test_ties_go_by_catalogue_index():
    scores = torch.tensor([[1.0, 1.0, 1.0, 2.0]]).repeat(4, 1)
    assert ranks(scores, torch.tensor([0, 1, 2, 3])).tolist() == [2, 3, 4, 1]
    assert top_k(scores[:1], 3).tolist() == [[3, 0, 1]]


def test_masked_items_come_last():
    scores = torch.tensor([[-INF, 0.0, -5.0]])
    assert ranks(scores, torch.tensor([2])).tolist() == [2]
    assert ranks(scores, torch.tensor([0])).tolist() == [3]


def test_metrics_by_hand():
    # Ranks 1, 3, 6 and 11. NDCG of rank 3 is 1 / log2(4) = 1/2.
    metrics = RankingMetrics(torch.tensor([1, 3, 6, 11]))
    assert metrics.per_user("recall@5").tolist() == [1, 1, 0, 0]
    assert metrics.per_user("mrr@10").tolist() == pytest.approx([1, 1 / 3, 1 / 6, 0])
    assert metrics.per_user("ndcg@10").tolist() == pytest.approx([1, 1 / 2, 1 / math.log2(7), 0])
    assert metrics.means() == pytest.approx(
        {
            "recall@5": 2 / 4,
            "recall@10": 3 / 4,
            "mrr@5": (1 + 1 / 3) / 4,
            "mrr@10": (1 + 1 / 3 + 1 / 6) / 4,
            "ndcg@5": (1 + 1 / 2) / 4,
            "ndcg@10": (1 + 1 / 2 + 1 / math.log2(7)) / 4,
        }
    )


@settings(deadline=None)
@given(data=st.data())
def test_the_rank_is_the_place_in_the_list_that_is_served(data: st.DataObject):
    items = data.draw(st.integers(1, 12))
    # Few distinct values, so that ties are the rule.
    values = st.sampled_from([-INF, -1.0, 0.0, 0.5])
    row = torch.tensor([data.draw(st.lists(values, min_size=items, max_size=items))])
    target = data.draw(st.integers(0, items - 1))
    served = top_k(row, items)[0].tolist()
    assert ranks(row, torch.tensor([target])).item() == 1 + served.index(target)


def test_agreement_with_a_ranking_metrics_library():
    draw = torch.Generator().manual_seed(0)
    scores = torch.randn(40, 30, generator=draw)
    targets = torch.randint(0, 30, (40,), generator=draw)
    qrels = [ir_measures.Qrel(str(row), str(int(item)), 1) for row, item in enumerate(targets)]
    run = [
        ir_measures.ScoredDoc(str(row), str(item), float(scores[row, item]))
        for row in range(40)
        for item in range(30)
    ]
    ours = RankingMetrics(ranks(scores, targets))
    for name, theirs in {
        "recall@5": R @ 5, "recall@10": R @ 10,
        "mrr@5": RR @ 5, "mrr@10": RR @ 10,
        "ndcg@5": nDCG @ 5, "ndcg@10": nDCG @ 10,
    }.items():  # fmt: skip
        expected = {metric.query_id: metric.value for metric in ir_measures.iter_calc([theirs], qrels, run)}
        assert ours.per_user(name).tolist() == pytest.approx([expected[str(row)] for row in range(40)])
        assert ours.means()[name] == pytest.approx(sum(expected.values()) / 40)


def test_the_functions_are_the_metrics():
    places = torch.tensor([2, 8])
    metrics = RankingMetrics(places)
    for name, function in {"recall": recall_at, "mrr": mrr_at, "ndcg": ndcg_at}.items():
        assert torch.equal(function(places, 5), metrics.per_user(f"{name}@5"))


@pytest.mark.parametrize(
    ("scores", "targets", "message"),
    [
        (torch.zeros(2, 3), torch.tensor([0]), "do not fit"),
        (torch.zeros(3), torch.tensor([0]), "do not fit"),
        (torch.zeros(1, 3), torch.tensor([3]), "outside the catalogue of 3"),
        (torch.zeros(1, 3), torch.tensor([-1]), "outside the catalogue of 3"),
        (torch.full((1, 3), math.nan), torch.tensor([0]), "NaN"),
    ],
)
def test_bad_scores_are_refused(scores: torch.Tensor, targets: torch.Tensor, message: str):
    with pytest.raises(DataError, match=message):
        ranks(scores, targets)


@pytest.mark.parametrize("name", ["recall", "recall@0", "recall@-1", "hit@5", "@5"])
def test_an_unknown_metric_is_refused(name: str):
    with pytest.raises(DataError, match="no metric"):
        RankingMetrics(torch.tensor([1])).per_user(name)


def test_no_users_is_no_mean():
    none = ranks(torch.empty(0, 4), torch.empty(0, dtype=torch.int64))
    assert math.isnan(RankingMetrics(none).means()["mrr@5"])
