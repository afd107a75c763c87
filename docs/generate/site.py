"""What mkdocs asks for while it builds the site: links to files of the repository that are not pages."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[1]
ROOT = DOCS.parent
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)#\s]+)(#[^)\s]*)?\)")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links that lead out of `docs/`, or to a folder in it, become the name of the file that they lead to."""
    return _LINK.sub(lambda found: _linked(found, DOCS / page.file.src_uri), markdown)


def _linked(found: re.Match[str], page: Path) -> str:
    text, target = found[1], found[2]
    if re.match(r"[a-z]+:", target):
        return found[0]
    place = (page.parent / target).resolve()
    if place.is_relative_to(DOCS) and not place.is_dir():
        return found[0]
    if not place.exists():
        raise FileNotFoundError(f"{page.relative_to(ROOT)} links to {target}, which is not there")
    return f"{text} (`{place.relative_to(ROOT)}`)"
