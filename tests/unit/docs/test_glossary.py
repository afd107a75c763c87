"""Code, API and glossary use the same words."""

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, get_args

import pytest

from app.attempts.reasons import SkipReason
from app.clock.zones import zone_names
from app.db.models import ConsolidationReason, RequestStatus, RunKind, RunStage, RunStatus
from app.forget_requests.schemas import _WAITS_OUT, Reason
from app.main import create_app
from app.serving.recommendation import FallbackReason
from app.settings import Settings
from tests.documents import DOCS, REPOSITORY, rows

# Words of the design without which no other page can be read.
_NEEDED = {
    "subject", "forget request", "suppression", "epoch", "run", "method", "gate", "policy", "version",
    "serving pointer", "erasure floor", "erasure journal", "consolidation", "replica", "rung", "level",
    "band", "gain", "memory", "watermark", "fence", "canary", "attenuation", "ladder", "attempt", "lease",
    "ledger", "timeline", "checkpoint",
}  # fmt: skip


def plain(text: str) -> str:
    """Without case, and with a space where identifiers have none."""
    return re.sub(r"[\s_-]+", " ", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)).lower()


def entries() -> Iterator[tuple[str, tuple[str, ...], str]]:
    """Each entry: its term, what it is called in code, and the file."""
    for cells in rows(DOCS / "glossary.md"):
        found = re.fullmatch(r"(?:\*\*(.+?)\*\*|`(.+?)`)(?: \((.+)\))?", cells[0])
        if found:
            aliases = tuple(re.findall(r"`([^`]+)`", found[3] or ""))
            yield found[1] or found[2], aliases, cells[-1].strip("`")


def values_of_the_api() -> set[str]:
    """The values of every enum in the API's description."""
    document = create_app(Settings(environment="development", _env_file=None)).openapi()

    def enums(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            yield from (value for value in node.get("enum", []) if isinstance(value, str))
            for child in node.values():
                yield from enums(child)
        elif isinstance(node, list):
            for child in node:
                yield from enums(child)

    return set(enums(document))


def test_each_term_is_named_by_the_file_that_it_lives_in() -> None:
    wrong = []
    for term, aliases, file in entries():
        path = REPOSITORY / file
        if not path.is_file() or not any(
            plain(name) in plain(path.read_text(encoding="utf-8")) for name in (term, *aliases)
        ):
            wrong.append(f"{term}: {file}")
    assert wrong == []


def test_no_term_is_defined_twice_for_the_same_thing() -> None:
    seen = [(cells[0], cells[1]) for cells in rows(DOCS / "glossary.md")]
    assert (
        sorted({row for row in seen if seen.count(row) > 1 and row[0] not in ("term", "value", "---")}) == []
    )


def test_the_words_of_the_design_are_defined() -> None:
    assert {term for term, _, _ in entries()} >= _NEEDED


@pytest.mark.parametrize(
    "words", [RequestStatus, RunStatus, RunStage, RunKind, ConsolidationReason, SkipReason]
)
def test_every_state_and_every_reason_of_the_code_is_defined(words: type[StrEnum]) -> None:
    assert {str(word) for word in words} - {term for term, _, _ in entries()} == set()


def test_every_value_that_the_api_answers_with_is_defined() -> None:
    terms = {term for term, _, _ in entries()}
    assert {*get_args(FallbackReason), *get_args(Reason), *_WAITS_OUT} - terms == set()
    # Zones have their names from IANA.
    assert values_of_the_api() - terms - zone_names() == set()
