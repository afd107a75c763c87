"""The site: built strictly, from what is there, and for readers without a network."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.documents import REPOSITORY

# What a page would load by itself, the theme's drawing of Mermaid included. Links that a reader follows are no such
# thing.
_LOADED = re.compile(
    r"""<(?:script|img|iframe)[^>]*\ssrc=["']?(https?:)?//|<link[^>]*rel=["']?(?:stylesheet|preconnect|icon)[^>]*href=["']?(https?:)?//|class="mermaid"""
)


def test_the_site_is_built_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    built = subprocess.run(
        [
            sys.executable,
            "-m",
            "mkdocs",
            "build",
            "--strict",
            "--quiet",
            "--site-dir",
            str(tmp_path / "site"),
        ],
        cwd=REPOSITORY,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert built.returncode == 0, built.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 40
    assert [page.name for page in pages if _LOADED.search(page.read_text(encoding="utf-8"))] == []
