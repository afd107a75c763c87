"""Every link of every page leads somewhere, in the tree as on the site."""

import re

from tests.documents import REPOSITORY, pages

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"```.*?^```$|`[^`]*`", re.MULTILINE | re.DOTALL)


def anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading).strip().replace(" ", "-") for heading in plain}


def test_every_link_leads_to_a_file_and_a_heading_that_are_there() -> None:
    broken = []
    for page in pages():
        for target in _LINK.findall(_CODE.sub("", page.read_text(encoding="utf-8"))):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            place = (page.parent / path).resolve() if path else page
            if not place.exists():
                broken.append(f"{page.relative_to(REPOSITORY)}: {target}")
            elif anchor and anchor not in anchors(place.read_text(encoding="utf-8")):
                broken.append(f"{page.relative_to(REPOSITORY)}: no heading {target}")
    assert broken == []


def test_readme_can_be_read_in_ten_minutes() -> None:
    assert len((REPOSITORY / "README.md").read_text(encoding="utf-8").splitlines()) <= 150
