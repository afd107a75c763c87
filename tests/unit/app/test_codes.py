"""Each code is spelt in one place, told in a sentence, and covers what a worker or a replica can write."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

import pytest

from app import serving
from app.attempts.reasons import _SKIPPED, SkipReason
from app.codes import DetailCode, ReplicaError
from app.db.errors import BelowErasureFloor, NothingToConsolidate, PointerMoved
from app.forget_requests.schemas import _WAITS_OUT
from model_store import StoreEmptied, StoreError, UnsupportedStoreUrl
from worker.publication import _UNFIT
from worker.surroundings import SURROUNDINGS, code_of

REPOSITORY = Path(__file__).parents[3]
PAGE = (REPOSITORY / "docs" / "reference" / "problems.md").read_text(encoding="utf-8")
# Why an answer is not personal is told in words of its own, one of which is the same.
_FALLBACK_REASON = {"below_erasure_floor"}


def descendants(error: type[Exception]) -> Iterator[type[Exception]]:
    for child in error.__subclasses__():
        yield child
        yield from descendants(child)


def literals(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_no_code_is_spelt_anywhere_else() -> None:
    codes = {code.value for kind in (DetailCode, ReplicaError) for code in kind}
    spelt = {
        f"{path.relative_to(REPOSITORY)}: {code}"
        for room in ("app", "worker")
        for path in (REPOSITORY / room).rglob("*.py")
        if path != REPOSITORY / "app" / "codes.py"
        for code in literals(path) & codes
        if not (path.parent.name == "serving" and code in _FALLBACK_REASON)
    }
    assert spelt == set()


def test_a_worker_has_a_code_for_every_error_of_the_store_and_of_the_database() -> None:
    errors = {*SURROUNDINGS, *descendants(StoreError), PointerMoved, BelowErasureFloor, NothingToConsolidate}
    # It keeps a worker from starting.
    errors.remove(UnsupportedStoreUrl)
    named = {code_of(error.__new__(error)) for error in errors}
    assert named <= set(DetailCode)
    by_word = {
        DetailCode.DATABASE_UNAVAILABLE, DetailCode.LADDER_EXHAUSTED, DetailCode.REFIT_REFUSED,
        DetailCode.CONSOLIDATION_REFUSED, DetailCode.CANDIDATE_REFUSED, DetailCode.INVALID_INPUT,
        DetailCode.CLAIMS_EXHAUSTED, DetailCode.KNOWN_TO_BASE, DetailCode.RECIPIENTS_SILENT,
    }  # fmt: skip
    assert set(DetailCode) == named | by_word, "no code is left over"


def test_a_request_says_what_it_waits_for_whatever_holds_its_run_up() -> None:
    waited_out = {
        *SURROUNDINGS,
        *(child for error in SURROUNDINGS for child in descendants(error)),
        StoreEmptied,
    }
    held_up = {code_of(error.__new__(error)) for error in waited_out}
    assert set(_WAITS_OUT) == held_up | {DetailCode.DATABASE_UNAVAILABLE, DetailCode.RECIPIENTS_SILENT}


def test_a_replica_has_a_code_for_every_version_that_it_refuses() -> None:
    refusals = {error.code for error in descendants(serving.VersionRefused)}  # type: ignore[attr-defined]
    others = {
        ReplicaError.STORE_UNAVAILABLE, ReplicaError.BUILD_FAILED, ReplicaError.FEED_REWOUND,
        ReplicaError.FLOOR_LOWERED,
    }  # fmt: skip
    assert refusals | others == set(ReplicaError)
    # What a worker takes for the candidate's own fault is a refusal, and neither too old nor gone, nor of items that
    # the replica will hold once it is restarted, nor the fault of the server that computes for it.
    assert refusals - _UNFIT == {
        ReplicaError.BELOW_ERASURE_FLOOR,
        ReplicaError.VERSION_DESTROYED,
        ReplicaError.WRONG_CATALOGUE,
        ReplicaError.ENGINE_UNAVAILABLE,
        ReplicaError.ENGINE_UNTRUSTED,
    }
    assert refusals >= _UNFIT


@pytest.mark.parametrize(("column", "kind"), [("detail_code", DetailCode), ("error", ReplicaError)])
def test_the_page_tells_every_code_in_a_sentence(column: str, kind: type[StrEnum]) -> None:
    tables = re.findall(rf"^\| `{column}` \|.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    rows = [[cell.strip() for cell in row.split("|")[1:4]] for table in tables for row in table.splitlines()]
    assert sorted(code.strip("`") for code, _, _ in rows) == sorted(kind)
    assert all(meaning for _, meaning, _ in rows)


def test_every_reason_to_skip_a_rung_has_its_sentence() -> None:
    assert set(_SKIPPED) == set(SkipReason)
