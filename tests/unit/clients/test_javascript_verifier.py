"""R-40: a verifier in another language, with its standard library only, agrees about every published vector."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.documents import REPOSITORY

VERIFIER = REPOSITORY / "clients" / "javascript" / "verify-receipt.mjs"
RUNNER = Path(__file__).with_name("verify_receipt_vectors.mjs")
VECTORS = REPOSITORY / "docs" / "reference" / "receipts"
NODE = shutil.which("node")

pytestmark = pytest.mark.skipif(NODE is None, reason="there is no `node` to run JavaScript with")


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    assert NODE is not None
    return subprocess.run(
        [NODE, *arguments], capture_output=True, text=True, timeout=60, check=False, cwd=VECTORS
    )


def test_r40_every_vector_is_taken_or_refused_as_it_says() -> None:
    done = run(RUNNER, VECTORS)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["taken"] == [None, None]
    refused = found["refused"]
    assert set(refused) == {
        each["why"] for each in json.loads((VECTORS / "vectors.json").read_text())["invalid"]
    }
    # An error of the program would be a refusal by luck.
    assert all(reason is not None and reason.startswith("Refused: ") for reason in refused.values()), refused
    assert found["flipped"] == []
    assert found["about"] == [True, False]
    assert found["continued"] is True
    assert [*found["wrongly"], found["backwards"], found["outside"]] == [False] * 6


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("completion.jwt",), 0, "was executed"),
        (
            ("--checkpoints", "checkpoint-old.txt", "checkpoint-new.txt", "consistency.json"),
            0,
            "entries 1 to 3",
        ),
        (
            ("--checkpoints", "checkpoint-new.txt", "checkpoint-old.txt", "consistency.json"),
            1,
            "does not continue",
        ),
        (("acceptance.jwt", "0" * 64, "user-1"), 1, "somebody else"),
        (("jwks.json",), 1, "does not hold"),
        ((), 2, "usage"),
    ],
)
def test_the_command_says_what_holds(arguments: tuple[str, ...], code: int, says: str) -> None:
    done = run(VERIFIER, "jwks.json", *arguments)
    assert done.returncode == code
    assert says in done.stdout + done.stderr


def test_it_needs_nothing_but_node() -> None:
    source = VERIFIER.read_text(encoding="utf-8")
    imports = [line for line in source.splitlines() if line.startswith("import ")]
    assert all(' from "node:' in line for line in imports)
    assert len(source.splitlines()) < 200
