"""What README and the tutorial tell a reader to do is done by a test, and what they show is what there is."""

import json
import re

import pytest

from app.forget_requests.schemas import ForgetRequestView
from app.recommendations.schemas import RecommendationView
from tests.documents import DOCS, FOLLOWED, REPOSITORY, answers, blocks, commands, rows

# tests/acceptance/test_up.py runs these against a service that it has started.
_FOLLOWED_THERE = ("curl ", "export ", "REQUEST=")
# What else runs each of the others: files, and what in them does.
_ELSEWHERE = {
    "make setup": {".ci/run": "make test", "Makefile": r"test: \$\(INSTALLED\)"},
    "make up": {"Makefile": r"\$\(BIN\)/lethe up", "tests/acceptance/test_up.py": r'\["up", "--state"'},
    "make test": {".ci/run": "make test"},
    "make docs": {
        "Makefile": r"\$\(BIN\)/mkdocs build",
        "tests/unit/docs/test_site.py": r'"mkdocs",\s+"build"',
    },
    "make help": {"tests/unit/test_project_files.py": r'\["make", "help"\]'},
    "lethe up": {"tests/acceptance/test_up.py": r'\["up", "--state".*"--data"'},
    "lethe migrate": {"tests/acceptance/installation.py": '"migrate"'},
    "lethe import": {"tests/unit/cli/test_import.py": r'\["import", "--base"'},
    "lethe init": {"tests/acceptance/installation.py": '"init"'},
    "lethe gateway": {"tests/acceptance/installation.py": '"gateway"'},
    "lethe worker": {"tests/acceptance": '"worker"'},
    "lethe forget": {"tests/integration/cli/test_people.py": r'"forget", "user-2", "--wait"'},
    "lethe recommend": {"tests/integration/cli/test_people.py": r'"recommend"'},
    "lethe status": {"tests/integration/cli/test_people.py": r'"status"'},
    "lethe doctor": {"tests/integration/cli/test_people.py": r'"doctor"'},
    "lethe bench report": {"tests/unit/benchmarks": r'\["report", str'},
}
_MODELS = {"ForgetRequestView": ForgetRequestView, "RecommendationView": RecommendationView}


def named(document: str) -> set[str]:
    """Every `make …` and `lethe …` that the document names, in a block or in a sentence, without its arguments."""
    text = (REPOSITORY / document).read_text(encoding="utf-8")
    code = [
        *re.findall(r"`([^`\n]+)`", text),
        *(line for block in blocks(document) for line in block.text.splitlines()),
    ]
    found = (re.match(r"make [a-z]+|lethe bench [a-z]+|lethe [a-z]+", line) for line in code)
    return {match[0] for match in found if match}


@pytest.mark.parametrize("document", FOLLOWED)
def test_every_command_is_run_by_a_test(document: str) -> None:
    told = commands(document)
    assert told
    unknown = [line for line in told if line not in _ELSEWHERE and not line.startswith(_FOLLOWED_THERE)]
    assert unknown == []
    assert "follow(document" in (REPOSITORY / "tests/acceptance/test_up.py").read_text()
    assert named(document) - set(_ELSEWHERE) == set()


@pytest.mark.parametrize("command", _ELSEWHERE)
def test_what_is_run_elsewhere_is_run_there(command: str) -> None:
    for name, pattern in _ELSEWHERE[command].items():
        path = REPOSITORY / name
        files = path.rglob("*.py") if path.is_dir() else [path]
        assert any(re.search(pattern, file.read_text(encoding="utf-8")) for file in files), (command, name)


@pytest.mark.parametrize("document", FOLLOWED)
def test_the_answers_that_are_shown_are_answers_of_the_api(document: str) -> None:
    for block in answers(document).values():
        model = _MODELS[block.answer or ""]
        assert set(json.loads(block.text)) == set(model.model_fields)
        model.model_validate_json(block.text, strict=True)


def test_the_table_in_readme_is_of_the_committed_results() -> None:
    figures = {}
    for name in ("users-5", "least-change"):
        result = json.loads((DOCS / "benchmarks" / "unlearn" / f"{name}.json").read_text())
        for row in result["summary"]:
            if row["scenario"] == "users-5" and row["requests"] is None:
                figures[row["method"]] = {key: value["mean"] for key, value in row["figures"].items()}
                subjects = [
                    one
                    for one in result["rows"]
                    if (one["scenario"], one["method"]) == ("users-5", row["method"])
                ]
                figures[row["method"]]["passed"] = sum(one.get("subjects_passed") or 0 for one in subjects)
    methods = {
        "nothing (control)": "do_nothing",
        "uniform shrink (control)": "uniform_shrink",
        "U-CAN": "ucan",
        "least change": "least_change",
        "re-fit without them": "refit",
    }
    seen = set()
    for cells in rows(REPOSITORY / "README.md"):
        if cells[0] not in methods:
            continue
        seen.add(cells[0])
        found = figures[methods[cells[0]]]
        keys = (
            "forget_recall@10",
            "retained_member_recall@10",
            "test_recall@10",
            "distance",
            "min_k.user.auc_two_sided",
        )
        for shown, key in zip(cells[1:6], keys, strict=True):
            digits = len(shown.partition(".")[2])
            assert abs(float(shown) - found[key]) <= 0.5001 * 10**-digits, (cells[0], key)
        assert cells[6] in (f"{found['passed']} of 120", "–")
        assert abs(float(cells[7]) - found["seconds"]) <= 0.5
    assert seen == set(methods)
