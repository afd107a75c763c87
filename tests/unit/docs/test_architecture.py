"""The ways through the program that architecture.md shows are ways of this tree."""

import re

import pytest

from tests.documents import DOCS, REPOSITORY, rows

_HOPS = [cells for cells in rows(DOCS / "architecture.md") if cells[0].isdigit()]


@pytest.mark.parametrize("hop", _HOPS, ids=lambda hop: hop[1].strip("`")[:40])
def test_each_hop_names_files_that_are_there_and_hold_what_it_names(hop: list[str]) -> None:
    files = []
    for name in re.findall(r"`([^`]+)`", hop[1]):
        beside = files[-1].parent if files else REPOSITORY
        files.append(
            next((path for path in (REPOSITORY / name, beside / name) if path.is_file()), REPOSITORY / name)
        )
    assert files
    assert [str(path) for path in files if not path.is_file()] == []
    mentioned = re.findall(r"`([^`]+)`", hop[2])
    for name in (name for name in mentioned if "/" in name):
        assert (REPOSITORY / name).exists(), name
    content = "".join(path.read_text(encoding="utf-8") for path in files)
    for name in (name for name in mentioned if re.fullmatch(r"[\w-]+(\.\w+)?", name)):
        assert name.split(".")[-1] in content, name


def test_every_file_that_the_page_names_with_its_folder_is_there() -> None:
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    named = {name for name in re.findall(r"`([\w./]+/[\w.]*)`", text) if "NAME" not in name}
    inside_app = {name for name in named if "/" not in name.rstrip("/") and not (REPOSITORY / name).exists()}
    assert {name for name in inside_app if not (REPOSITORY / "app" / name).is_dir()} <= {
        "compared/",
        "controls/",
        "shared/",
    }
    assert {name for name in named - inside_app if not (REPOSITORY / name).exists()} == set()
