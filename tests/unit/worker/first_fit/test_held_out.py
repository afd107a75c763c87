from __future__ import annotations

from pathlib import Path

from recommender import Base, BaseConfig, Catalogue, draw_base, load_base, load_interactions, save_base
from tests.listening import Heard
from worker.first_fit.held_out import report_other_splits


def base_of(folder: Path) -> Base:
    """One that lists every item of the files but `unlisted`."""
    data = load_interactions(folder)
    ids = tuple(item for item in data.catalogue.item_ids if item != "unlisted")
    catalogue = Catalogue(ids, ids)
    shape = BaseConfig(layers=1, width=4, heads=1, feed_forward=4, window=4)
    save_base(draw_base(catalogue, shape, seed=0), catalogue, shape.style(catalogue), folder / "base")
    return load_base(folder / "base")


def said(folder: Path, splits: dict[str, list[str]]) -> list[str]:
    rows = [
        f"{user},i{place},{place},{split}\n"
        for user, own in splits.items()
        for place, split in enumerate(own)
    ]
    (folder / "interactions.csv").write_text("user_id,item_id,timestamp,split\n" + "".join(rows))
    listener = Heard()
    report_other_splits(load_interactions(folder), base_of(folder), listener)
    return listener.said


def test_the_same_two_events_held_out_need_no_word(tmp_path: Path) -> None:
    assert said(tmp_path, {"a": ["train", "train", "valid", "test"], "b": ["train", "", "", "test"]}) == []


def test_events_on_the_other_side_are_counted(tmp_path: Path) -> None:
    found = said(
        tmp_path,
        {
            "a": ["train", "train", "train", "train"],
            "b": ["train", "test", "valid", "train"],
            "short": ["train", "train"],
        },
    )
    assert found[0].startswith(
        "note: the split column says `train` of 3 events among the last two of 2 users;"
    )
    assert found[1].startswith(
        "note: the split column says `valid` or `test` of 1 earlier events of 1 users;"
    )
    assert len(found) == 2


def test_files_without_the_column_need_no_word(tmp_path: Path) -> None:
    (tmp_path / "interactions.csv").write_text("user_id,item_id,timestamp\na,i1,1\na,i2,2\na,i3,3\n")
    listener = Heard()
    report_other_splits(load_interactions(tmp_path), base_of(tmp_path), listener)
    assert listener.said == []


def test_an_item_that_the_base_does_not_list_is_no_event(tmp_path: Path) -> None:
    rows = ["a,i1,1,train", "a,i2,2,valid", "a,i3,3,test", "a,unlisted,4,train"]
    (tmp_path / "interactions.csv").write_text("user_id,item_id,timestamp,split\n" + "\n".join(rows) + "\n")
    listener = Heard()
    report_other_splits(load_interactions(tmp_path), base_of(tmp_path), listener)
    assert listener.said == []
