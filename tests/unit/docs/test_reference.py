"""The reference says what the code says."""

from pathlib import Path

import pytest

from docs.generate.pages import PAGES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_page_is_what_the_code_makes_of_it(page: Path) -> None:
    assert page.read_text(encoding="utf-8") == PAGES[page](), f"{page.name} is out of step: make docs"
