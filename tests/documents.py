"""What the documentation says, as tests read it: links, commands, tables."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
DOCS = REPOSITORY / "docs"
# Whoever follows these has to get what they say.
FOLLOWED = ("README.md", "docs/tutorial.md")
_FENCE = re.compile(
    r"^(?:<!-- answer: (?P<answer>\w+) -->\n)?```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Block:
    """A fenced block; ``answer`` names the schema of the API that it shows an answer of."""

    kind: str
    text: str
    answer: str | None = None


def blocks(name: str) -> list[Block]:
    """The fenced blocks of a document, in order."""
    text = (REPOSITORY / name).read_text(encoding="utf-8")
    return [Block(found["kind"], found["text"], found["answer"]) for found in _FENCE.finditer(text)]


def commands(name: str) -> list[str]:
    """Every command of the document's shell blocks, in order."""
    return [line for block in blocks(name) if block.kind == "shell" for line in _lines(block)]


def answers(name: str) -> dict[int, Block]:
    """The answers that the document shows, by the place among its `curl` commands of the one above."""
    asked, found = 0, {}
    for block in blocks(name):
        if block.answer:
            found[asked - 1] = block
        elif block.kind == "shell":
            asked += sum(line.startswith("curl ") for line in _lines(block))
    return found


def _lines(block: Block) -> list[str]:
    """A line that ends in a backslash goes on in the next; comments are left out."""
    lines = block.text.replace("\\\n", " ").splitlines()
    return [line.partition("   #")[0].strip() for line in lines if line.strip()]


def pages() -> Iterator[Path]:
    """Every Markdown file that is tracked."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "*.md"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout
    yield from (REPOSITORY / name for name in listed.split("\0") if name)


def rows(page: Path) -> Iterator[list[str]]:
    """The cells of every row of every table of a page."""
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("| "):
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
