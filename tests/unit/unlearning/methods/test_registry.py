import pytest

from unlearning import METHODS, build_method
from unlearning.errors import InvalidMethodConfig, UnknownMethod
from unlearning.methods.ladder.ucan.config import UcanConfig
from unlearning.methods.ladder.ucan.ucan import Ucan


def test_every_method_is_built_with_its_defaults() -> None:
    for name in METHODS:
        method = build_method(name)
        assert (method.name, method.config) == (name, METHODS[name].config())
    assert [name for name in METHODS if build_method(name).card.exact] == ["sharded", "refit"]


def test_a_configuration_is_read_by_field_names() -> None:
    method = build_method("ucan", {"threshold": 1, "prescreen": 0.5, "hard_prune": True})
    assert method == Ucan(UcanConfig(threshold=1.0, prescreen=0.5, hard_prune=True))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"thresold": 0.5}, "ucan has no field thresold; its fields are unit, token_scope"),
        ({"threshold": "high"}, "ucan.threshold must be float"),
        ({"unit": "neuron"}, "ucan.unit is 'neuron'; choose one of rank_channel"),
        ({"threshold": 3}, "threshold must lie"),
    ],
)
def test_a_bad_configuration_is_explained(config: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidMethodConfig, match=message):
        build_method("ucan", config)


def test_an_unknown_method_names_the_choices() -> None:
    with pytest.raises(
        UnknownMethod, match=r"no method 'magic'; choose one of ucan, .*refit, uniform_shrink"
    ):
        build_method("magic")
