"""`lethe receipt verify` and `lethe audit verify-consistency`: offline, light, and honest in their exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.evidence_commands import verify_growth, verify_receipt
from cli.failures import CommandError
from cli.main import app

REPOSITORY = Path(__file__).parents[3]
FOLDER = REPOSITORY / "docs" / "reference" / "receipts"
JWKS = FOLDER / "jwks.json"
VECTORS = json.loads((FOLDER / "vectors.json").read_text())


def receipt(name: str, **options: object) -> tuple[bool, str]:
    answer = verify_receipt(
        FOLDER / name,
        **{"jwks": JWKS, "acceptance": None, "salt": None, "user": None, **options},  # type: ignore[arg-type]
    )
    return answer.holds, "\n".join(answer.lines)


def test_a_receipt_that_holds_is_told_in_full() -> None:
    """R-40: without a network, and the time that it took."""
    holds, said = receipt(
        "completion.jwt",
        acceptance=FOLDER / "acceptance.jwt",
        salt=VECTORS["salt"],
        user=VECTORS["user"],
    )
    assert holds
    assert "the completion receipt of fr_11111111111111111111111111111111 holds" in said
    assert "it completes what the acceptance receipt accepted" in said
    assert "it is about the user who was named" in said
    assert "proved to be in the log: 9 of its 12 entries" in said
    assert said.splitlines()[-1].startswith("verified in ")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"salt": VECTORS["salt"], "user": "user-2"}, "about somebody else"),
        ({"acceptance": FOLDER / "completion.jwt"}, "an acceptance receipt"),
        ({"acceptance": FOLDER / "checkpoint-new.txt"}, "does not hold"),
    ],
)
def test_what_does_not_hold_is_no_failure_of_the_command(options: dict[str, object], said: str) -> None:
    holds, told = receipt("completion.jwt", **options)
    assert not holds
    assert said in told


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"salt": "ab"}, "belong together"),
        ({"salt": "no hex", "user": "user-1"}, "--salt or --user"),
        ({"jwks": FOLDER / "none.json"}, "cannot read"),
        ({"jwks": FOLDER / "acceptance.jwt"}, "is no JSON"),
        ({"jwks": FOLDER / "consistency.json"}, "no JWK Set"),
    ],
)
def test_what_cannot_be_looked_at_is_told_in_one_line(options: dict[str, object], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        receipt("completion.jwt", **options)


def test_a_log_that_was_rewritten_is_told(tmp_path: Path) -> None:
    old, new, proof = (
        FOLDER / name for name in ("checkpoint-old.txt", "checkpoint-new.txt", "consistency.json")
    )
    assert verify_growth(old, new, proof=proof, jwks=JWKS).holds
    back = verify_growth(new, old, proof=proof, jwks=JWKS)
    assert not back.holds
    assert "is not shown to begin with the log of 12 entries" in back.lines[0]
    shortened = tmp_path / "proof.json"
    shortened.write_text(json.dumps({"proof": json.loads(proof.read_text())["proof"][1:]}))
    assert not verify_growth(old, new, proof=shortened, jwks=JWKS).holds
    forged = tmp_path / "forged.txt"
    forged.write_text(new.read_text().replace("12", "13"))
    assert "does not verify" in verify_growth(old, forged, proof=proof, jwks=JWKS).lines[0]
    with pytest.raises(CommandError, match="no answer of /audit/proof/consistency"):
        verify_growth(old, new, proof=JWKS, jwks=JWKS)


@pytest.mark.parametrize(("case", "code"), [(-1, 1), (0, 0)])
def test_the_exit_code_says_whether_it_holds(tmp_path: Path, case: int, code: int) -> None:
    file = tmp_path / "receipt.jwt"
    file.write_text((VECTORS["invalid"][case]["token"] if code else VECTORS["valid"][case]) + "\n")
    ran = CliRunner().invoke(app, ["receipt", "verify", str(file), "--jwks", str(JWKS)])
    assert ran.exit_code == code, ran.output
    ran = CliRunner().invoke(
        app,
        [
            *("audit", "verify-consistency", str(FOLDER / "checkpoint-old.txt")),
            *(str(FOLDER / "checkpoint-new.txt"), "--proof", str(FOLDER / "consistency.json")),
            *("--jwks", str(JWKS)),
        ],
    )
    assert ran.exit_code == 0, ran.output


def test_a_verifier_loads_neither_a_model_nor_a_database() -> None:
    """R-40: it has to start fast, and on a machine that holds nothing else."""
    script = "import sys, cli.evidence_commands; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"torch", "numpy", "sqlalchemy", "pydantic", "fastapi", "celery"} & set(loaded)
