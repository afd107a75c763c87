"""Items are added at the end of a catalogue, and a model that reads text stays the model that it was."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from recommender import (
    Base,
    Catalogue,
    ModelLoadError,
    OtherCatalogue,
    PromptStyle,
    Scorer,
    TrainingConfig,
    base_digest,
    canary_fingerprint,
    draw_base,
    load_base,
    save_base,
)
from recommender import BaseConfig as Shape
from recommender.base import holds_catalogue
from recommender.styles import SemanticIdsStyle
from recommender.text_base import (
    TextBaseConfig,
    balanced_index,
    build_text_base,
    letters_style,
    semantic_ids_style,
    yes_no_style,
)

SMALL = Catalogue(tuple(f"i{item}" for item in range(12)), tuple(f"Title {item}" for item in range(12)))


def letters() -> PromptStyle:
    return letters_style(SMALL, labels="ABCD")


def semantic_ids(**changes: object) -> SemanticIdsStyle:
    return semantic_ids_style(SMALL, balanced_index(SMALL, tastes=3), **changes)


def yes_no() -> PromptStyle:
    return yes_no_style(SMALL, first_target=1)


def saved(style: PromptStyle, folder: Path) -> Path:
    shape = TextBaseConfig(layers=1, width=16, heads=2, feed_forward=16)
    panel = [style.event(item, 5.0) for item in (0, 5, 7)]
    model = build_text_base(style, [panel], shape, TrainingConfig(epochs=1, patience=None))
    save_base(model, SMALL, style, folder)
    return folder


def write(path: Path, change: Callable[[dict[str, list[str]]], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def add_item(folder: Path) -> None:
    write(
        folder / "catalogue.json",
        lambda found: (found["item_ids"].append("new"), found["titles"].append("A new title")),
    )
    if (folder / "index.json").exists():
        # The tokens of an item that is there: a new item never needs a new token.
        write(folder / "index.json", lambda found: found.update(new=found["i3"]))


@pytest.mark.parametrize("style", [letters, semantic_ids, yes_no])
def test_new_items_leave_the_base_what_it_was(style: Callable[[], PromptStyle], tmp_path: Path) -> None:
    before = load_base(saved(style(), tmp_path))
    add_item(tmp_path)
    after = load_base(tmp_path)
    assert len(after.catalogue) == after.style.catalogue_size == 13
    assert after.digest == before.digest == base_digest(tmp_path)
    assert after.catalogue_digest != before.catalogue_digest
    assert holds_catalogue(tmp_path, before.catalogue_digest, 12)
    again = after.with_catalogue(before.catalogue_digest, 12)
    assert (again.catalogue, again.catalogue_digest) == (SMALL, before.catalogue_digest)
    # So a version that was made before the new items proves to be itself.
    prints = [canary_fingerprint(Scorer(base.model, base.style)) for base in (before, again, after)]
    assert prints[0] == prints[1] != prints[2]
    assert after.with_catalogue(after.catalogue_digest, None) is after


def retitle(folder: Path) -> None:
    write(folder / "catalogue.json", lambda found: found["titles"].__setitem__(2, "Another"))


def reorder(folder: Path) -> None:
    write(folder / "catalogue.json", lambda found: (found["item_ids"].reverse(), found["titles"].reverse()))


def other_tokens(folder: Path) -> None:
    write(folder / "index.json", lambda found: found.update(i0=found["i3"], i3=found["i0"]))


@pytest.mark.parametrize("change", [retitle, reorder, other_tokens])
def test_a_catalogue_that_begins_otherwise_is_another_one(
    change: Callable[[Path], None], tmp_path: Path
) -> None:
    before = load_base(saved(semantic_ids(), tmp_path))
    add_item(tmp_path)
    change(tmp_path)
    with pytest.raises(OtherCatalogue, match="an item among the first 12 is another one"):
        load_base(tmp_path).with_catalogue(before.catalogue_digest, 12)
    assert not holds_catalogue(tmp_path, before.catalogue_digest, 12)


@pytest.mark.parametrize("items", [None, 0, 13, 14, 11])
def test_a_catalogue_of_another_size_is_another_one(items: int | None, tmp_path: Path) -> None:
    before = load_base(saved(letters(), tmp_path))
    add_item(tmp_path)
    with pytest.raises(OtherCatalogue):
        load_base(tmp_path).with_catalogue(before.catalogue_digest, items)


def test_the_counts_that_order_items_with_the_same_tokens_belong_to_the_items(tmp_path: Path) -> None:
    base = load_base(saved(semantic_ids(), tmp_path))
    (tmp_path / "popularity.json").write_text(json.dumps({"i0": 5}))
    assert load_base(tmp_path).digest == base.digest
    assert load_base(tmp_path).catalogue_digest != base.catalogue_digest


def test_a_model_with_a_token_for_each_item_knows_no_new_ones(tmp_path: Path) -> None:
    shape = Shape(layers=1, width=8, heads=2, feed_forward=8, window=4)
    save_base(draw_base(SMALL, shape, seed=0), SMALL, shape.style(SMALL), tmp_path)
    base: Base = load_base(tmp_path)
    assert base.catalogue_digest == SMALL.digest
    with pytest.raises(OtherCatalogue):
        base.with_catalogue(SMALL.first(11).digest, 11)
    add_item(tmp_path)
    assert base_digest(tmp_path) != base.digest
    with pytest.raises(ModelLoadError, match="counts 12 items"):
        load_base(tmp_path)
