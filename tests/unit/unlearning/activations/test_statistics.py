import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save

from unlearning.activations.statistics import ActivationStatistics, TokenScope, UnitSums
from unlearning.errors import InvalidStatistics, StatisticsMismatch


def statistics(
    absolute: list[float],
    squares: list[float],
    *,
    tokens: int = 4,
    sequences: int = 2,
    digest: str = "d",
    scope: TokenScope = "all",
) -> ActivationStatistics:
    sums = UnitSums(torch.tensor(absolute, dtype=torch.float64), torch.tensor(squares, dtype=torch.float64))
    return ActivationStatistics(digest, scope, sequences, tokens, {"m": {"bottleneck": sums}})


WHOLE = statistics([8.0, 2.0], [20.0, 1.0])
PART = statistics([2.0, 0.5], [4.0, 0.25], tokens=1, sequences=1)


def test_means_by_hand() -> None:
    # 4 tokens: mean |v| 8/4 and 2/4; rms sqrt(20/4) and sqrt(1/4); norm sqrt(20) and 1;
    # deviation of |v|: sqrt(5 - 4) = 1 and sqrt(0.25 - 0.25) = 0.
    assert WHOLE.mean_absolute("m", "bottleneck").tolist() == [2.0, 0.5]
    assert WHOLE.root_mean_square("m", "bottleneck").tolist() == pytest.approx([5**0.5, 0.5])
    assert WHOLE.norm("m", "bottleneck").tolist() == pytest.approx([20**0.5, 1.0])
    assert WHOLE.deviation_absolute("m", "bottleneck").tolist() == pytest.approx([1.0, 0.0])


def test_sums_add_and_subtract() -> None:
    rest = WHOLE - PART
    assert (rest.tokens, rest.sequences) == (3, 1)
    assert rest.sums["m"]["bottleneck"].absolute.tolist() == [6.0, 1.5]
    again = rest + PART
    assert again.sums["m"]["bottleneck"].squares.tolist() == WHOLE.sums["m"]["bottleneck"].squares.tolist()


def test_what_is_not_a_part_cannot_be_taken_out() -> None:
    with pytest.raises(StatisticsMismatch, match="not in the cache"):
        WHOLE - statistics([9.0, 0.5], [4.0, 0.25], tokens=1, sequences=1)
    with pytest.raises(StatisticsMismatch, match="cannot take 2 sequences"):
        WHOLE - WHOLE


def test_rounding_never_leaves_a_negative_sum() -> None:
    rest = WHOLE - statistics([8.0 + 1e-9, 0.5], [4.0, 0.25], tokens=1, sequences=1)
    assert rest.sums["m"]["bottleneck"].absolute.tolist() == [0.0, 1.5]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (statistics([1.0, 1.0], [1.0, 1.0], digest="e"), "different adapter versions"),
        (statistics([1.0, 1.0], [1.0, 1.0], scope="last"), "covers all tokens, the other last"),
        (ActivationStatistics("d", "all", 1, 1, {"n": WHOLE.sums["m"]}), "different modules or sites"),
    ],
)
def test_statistics_of_different_sources_never_mix(other: ActivationStatistics, message: str) -> None:
    with pytest.raises(StatisticsMismatch, match=message):
        WHOLE + other
    with pytest.raises(StatisticsMismatch, match=message):
        WHOLE - other


def test_a_site_or_module_that_was_not_collected_is_named() -> None:
    with pytest.raises(StatisticsMismatch, match="hold bottleneck but this configuration needs input"):
        WHOLE.norm("m", "input")
    with pytest.raises(StatisticsMismatch, match="needs input"):
        WHOLE.restricted_to(["input"])
    with pytest.raises(StatisticsMismatch, match="no statistics for module n"):
        WHOLE.norm("n", "bottleneck")


def test_bytes_round_trip() -> None:
    again = ActivationStatistics.from_bytes(WHOLE.to_bytes())
    assert (again.adapter_digest, again.token_scope, again.tokens, again.sequences) == ("d", "all", 4, 2)
    assert again.sums["m"]["bottleneck"].absolute.tolist() == [8.0, 2.0]
    assert again.to_bytes() == WHOLE.to_bytes()


def _stored(**changes: object) -> bytes:
    header = {
        "schema": "activation-statistics/1",
        "adapter_digest": "d",
        "token_scope": "all",
        "sequences": 2,
        "tokens": 4,
    }
    tensors = {f"m|bottleneck|{kind}": torch.ones(2, dtype=torch.float64) for kind in ("absolute", "squares")}
    return save(tensors, metadata={"statistics": json.dumps(header | changes)})


NEGATIVE = {f"m|bottleneck|{kind}": -torch.ones(2, dtype=torch.float64) for kind in ("absolute", "squares")}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x04pickled",
        WHOLE.to_bytes()[:-3],
        save({"m|bottleneck|absolute": torch.ones(2)}),
        _stored(schema="other"),
        _stored(tokens=0),
        _stored(tokens="many"),
        _stored(token_scope="some"),
        save(NEGATIVE, metadata={"statistics": json.dumps(json.loads("{}"))}),
        save({"name": torch.ones(2)}, metadata={"statistics": "[]"}),
    ],
)
def test_damaged_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidStatistics):
        ActivationStatistics.from_bytes(data)


def with_moments(*vectors: list[float], sequences: int = 1) -> ActivationStatistics:
    """Statistics of these activations, second moments included."""
    values = torch.tensor(vectors, dtype=torch.float64)
    sums = UnitSums(values.abs().sum(0), values.square().sum(0), values.T @ values)
    return ActivationStatistics("d", "all", sequences, len(vectors), {"m": {"bottleneck": sums}})


TWO = with_moments([1.0, 2.0], [3.0, -1.0], sequences=2)


def test_second_moments_add_subtract_and_are_means() -> None:
    # (1, 2) and (3, -1): v v^T sums to [[10, -1], [-1, 5]] over two tokens.
    assert TWO.moments == ("bottleneck",)
    assert TWO.second_moments("m", "bottleneck").tolist() == [[5.0, -0.5], [-0.5, 2.5]]
    rest = TWO - with_moments([1.0, 2.0])
    assert rest.second_moments("m", "bottleneck").tolist() == [[9.0, -3.0], [-3.0, 1.0]]
    assert (rest + with_moments([1.0, 2.0])).second_moments("m", "bottleneck").tolist() == [
        [5.0, -0.5],
        [-0.5, 2.5],
    ]


def test_second_moments_are_kept_where_they_are_wanted() -> None:
    again = ActivationStatistics.from_bytes(TWO.to_bytes())
    assert again.second_moments("m", "bottleneck").tolist() == [[5.0, -0.5], [-0.5, 2.5]]
    assert again.restricted_to(["bottleneck"]).moments == ()
    assert again.restricted_to(["bottleneck"], ["bottleneck"]).moments == ("bottleneck",)
    with pytest.raises(StatisticsMismatch, match="no second moments of bottleneck"):
        WHOLE.second_moments("m", "bottleneck")
    with pytest.raises(StatisticsMismatch, match="no second moments of bottleneck"):
        WHOLE.restricted_to(["bottleneck"], ["bottleneck"])
    with pytest.raises(StatisticsMismatch, match="different modules or sites"):
        TWO - replace(WHOLE, tokens=1, sequences=1)


def test_statistics_of_the_first_schema_are_read_and_hold_no_moments() -> None:
    old = ActivationStatistics.from_bytes(_stored())
    assert (old.moments, old.tokens) == ((), 4)


@pytest.mark.parametrize(
    "moments",
    [
        torch.tensor([[1.0, 0.5], [0.4, 1.0]], dtype=torch.float64),
        torch.tensor([[1.0, 0.5], [0.5, 2.0]], dtype=torch.float64),
        torch.ones(2, 3, dtype=torch.float64),
        torch.tensor([[1.0, torch.inf], [torch.inf, 1.0]], dtype=torch.float64),
        torch.ones(2, 2),
    ],
    ids=["not symmetric", "other squares", "not square", "infinite", "single precision"],
)
def test_impossible_moments_are_refused(moments: torch.Tensor) -> None:
    ones = torch.ones(2, dtype=torch.float64)
    sums = UnitSums(ones, ones.clone(), moments)
    held = ActivationStatistics("d", "all", 1, 1, {"m": {"bottleneck": sums}})
    with pytest.raises(InvalidStatistics, match="impossible values"):
        ActivationStatistics.from_bytes(held.to_bytes())
