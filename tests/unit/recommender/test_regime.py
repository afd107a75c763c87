"""Forgetting means something only where an adapter both adds utility and memorises its users.

A small copy of the regime that the defaults give on MovieLens-100K: otherwise throwing the adapter away would be
the best way to forget.
"""

import pytest
import torch

from recommender import (
    AdapterConfig,
    BaseConfig,
    Scorer,
    SyntheticConfig,
    TrainingConfig,
    attach,
    build_base,
    draw_base,
    fit_adapter,
    generate_synthetic,
    leave_two_out,
    load_base,
    popularity,
    ranks,
    recall_at,
    save_base,
    split_panel,
)

DATA = SyntheticConfig(users=200, items=200, tastes=8, mean_length=20)
SHAPE = BaseConfig(width=32, feed_forward=64)
ADAPTER = AdapterConfig(r=16, alpha=32, dropout=0.1)
TRAINING = TrainingConfig(epochs=25, batch_size=8)
FORGOTTEN_SHARE = 0.25


def recall_at_10(scorer: Scorer, held_out: list[tuple[tuple[int, ...], int]]) -> float:
    scores = scorer.scores([history for history, _ in held_out])
    return float(recall_at(ranks(scores, torch.tensor([item for _, item in held_out])), 10).mean())


@pytest.fixture(scope="module", params=["trained on a panel", "drawn at random"])
def recalls(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """On the base of the benchmarks, and on the one that an installation makes for itself."""
    data = generate_synthetic(DATA)
    panel, service = split_panel(data)
    splits = {user: leave_two_out(data.items(user)) for user in data.histories}
    folder = tmp_path_factory.mktemp("base")
    if request.param == "drawn at random":
        model = draw_base(data.catalogue, SHAPE, seed=0)
    else:
        model = build_base(data.catalogue, [splits[user].train for user in panel], SHAPE)
    save_base(model, data.catalogue, SHAPE.style(data.catalogue), folder)
    base = load_base(folder)

    forgotten = service[: round(FORGOTTEN_SHARE * len(service))]
    test = [((*splits[user].train, splits[user].validation), splits[user].test) for user in service]
    tails = [(splits[user].train[:-1], splits[user].train[-1]) for user in forgotten]

    def fit(users: list[str]) -> Scorer:
        adapter = fit_adapter(base, [splits[user].train for user in users], ADAPTER, TRAINING)
        return Scorer(attach(base, adapter), base.style)

    original = fit(service)
    refitted = fit([user for user in service if user not in forgotten])
    popular = popularity({user: splits[user].train for user in service}, len(data.catalogue))
    unseen = popular.repeat(len(test), 1)
    for row, (history, _) in enumerate(test):
        unseen[row, list(history)] = -torch.inf
    return {
        "popularity, held out": float(
            recall_at(ranks(unseen, torch.tensor([item for _, item in test])), 10).mean()
        ),
        "base, held out": recall_at_10(Scorer(base.model, base.style), test),
        "original, held out": recall_at_10(original, test),
        "original, own tails": recall_at_10(original, tails),
        "refitted, own tails": recall_at_10(refitted, tails),
    }


def test_the_adapter_adds_clear_utility_over_the_bare_base_and_over_popularity(recalls: dict[str, float]):
    assert recalls["original, held out"] >= 2 * recalls["base, held out"], recalls
    assert recalls["original, held out"] > recalls["popularity, held out"], recalls


def test_the_adapter_memorises_its_users(recalls: dict[str, float]):
    assert recalls["original, own tails"] >= 1.8 * recalls["refitted, own tails"], recalls
    assert recalls["original, own tails"] > 0.3, recalls
