"""The model of the service keeps every promise, and no longer does without any one of its safeguards (R-5)."""

from __future__ import annotations

import dataclasses

import pytest

from tests.model.__main__ import main
from tests.model.search import search
from tests.model.state import Size
from tests.model.steps import RIGHT, Rules
from tests.model.variants import SIZES, VARIANTS, Variant


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
def test_r5_every_promise_holds_in_every_state(size: Size) -> None:
    found = search(size)
    assert (found.promise, found.trace) == (None, ())
    assert found.states > 1_000


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.without)
def test_r5_a_missing_safeguard_is_found(variant: Variant) -> None:
    found = search(variant.size, variant.rules)
    assert found.promise is not None
    assert found.promise.startswith(f"{variant.breaks}:")
    assert found.trace[0] in ("replica accepts a request of a", "replica receives a request of a")


def test_every_safeguard_has_a_variant_without_it() -> None:
    taken_out = [
        name
        for variant in VARIANTS
        for name, kept in dataclasses.asdict(variant.rules).items()
        if kept != getattr(RIGHT, name)
    ]
    assert sorted(taken_out) == sorted(field.name for field in dataclasses.fields(Rules))


def test_a_state_is_reached_on_the_shortest_way() -> None:
    without_epochs = next(one for one in VARIANTS if not one.rules.lift_has_its_own_epoch)
    assert search(without_epochs.size, without_epochs.rules).trace == (
        "replica accepts a request of a",
        "a cancels",
        "a replica reads the feed",
        "the answer of the feed arrives",
    )


def test_the_command_prints_how_each_promise_is_broken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tests.model.__main__.SIZES", {"small": Size(subjects=1, workers=1, late=False)})
    assert main([]) == 0
    printed = capsys.readouterr().out
    assert "every promise holds" in printed
    assert "publishes without the fence" in printed


def test_the_command_fails_if_nothing_is_broken_without_a_safeguard(monkeypatch: pytest.MonkeyPatch) -> None:
    harmless = dataclasses.replace(VARIANTS[0], rules=RIGHT, size=Size(subjects=1, accepts=1, late=False))
    monkeypatch.setattr("tests.model.__main__.SIZES", {})
    monkeypatch.setattr("tests.model.__main__.VARIANTS", (harmless,))
    assert main([]) == 1
