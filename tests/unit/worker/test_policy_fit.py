"""What a policy may decide on a base of another prompt style."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

from app.settings import Settings
from recommender import Base
from unlearning import default_policy
from unlearning.policy.strata import stratum_of
from worker.policy_fit import policy_for_style


def base_of(style: str) -> Base:
    return cast(Base, SimpleNamespace(style=SimpleNamespace(name=style)))


def test_on_a_style_that_nobody_measured_the_default_policy_decides_about_no_edit() -> None:
    found = policy_for_style(Settings(environment="development"), default_policy(), base_of("letters"))
    assert not any(stratum_of(items, found.strata).decides for items in range(1, 500))
    assert found.hash != default_policy().hash
    assert "not measured on letters" in found.name


def test_on_item_tokens_it_is_as_it_was() -> None:
    settings = Settings(environment="development")
    assert policy_for_style(settings, default_policy(), base_of("item_tokens")) == default_policy()


def test_a_policy_that_somebody_wrote_is_left_alone(tmp_path: Path) -> None:
    settings = Settings(environment="development", policy_file=tmp_path / "policy.json")
    assert policy_for_style(settings, default_policy(), base_of("letters")) == default_policy()
