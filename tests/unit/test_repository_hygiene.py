"""What must not be in the repository, looked for in every tracked file."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
MAX_BYTES = 1_000_000
MAX_LINES, MAX_LINES_OF_TESTS = 350, 400

# Formats that run code when they are read, and calls that read or write them.
UNSAFE_MODULES = {
    "pickle",
    "cPickle",
    "_pickle",
    "dill",
    "cloudpickle",
    "joblib",
    "shelve",
    "marshal",
    "copyreg",
}
UNSAFE_CALLS = {"torch.load", "torch.save", "yaml.load", "eval", "exec", "os.system"}
UNSAFE_ARGUMENTS = {"allow_pickle": True, "trust_remote_code": True, "use_safetensors": False, "shell": True}

# Put together here so that this file does not find itself.
MACHINE_PATHS = [rf"(?<![\w.])/{folder}/" for folder in ("work", "root", "home", "Users", "mnt", "opt/pypi")]
REGISTRY_HOSTS = [
    "pypi" + r"\.org",
    "python" + r"hosted\.",
    r"registry\." + "npm",
    "npm" + r"js\.",
    r"deb\." + "debian",
]
UNFINISHED = ["TO" + "DO", "FIX" + "ME", "X" + "XX"]


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout
    return [path for name in listed.split("\0") if name and (path := REPOSITORY / name).is_file()]


def texts() -> Iterator[tuple[str, str]]:
    """Relative name and content of every tracked text file."""
    for path in tracked():
        try:
            yield str(path.relative_to(REPOSITORY)), path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def modules() -> Iterator[tuple[str, ast.Module]]:
    for name, text in texts():
        if name.endswith(".py"):
            yield name, ast.parse(text, name)


def matches(patterns: list[str], name: str, text: str) -> list[str]:
    return [
        f"{name}:{number}: {line.strip()[:100]}"
        for number, line in enumerate(text.splitlines(), 1)
        if any(re.search(pattern, line) for pattern in patterns)
    ]


def test_the_list_of_files_is_not_empty() -> None:
    names = {str(path.relative_to(REPOSITORY)) for path in tracked()}
    assert {"pyproject.toml", "Makefile", "model_store/__init__.py", ".ci/run"} <= names


def test_nothing_is_imported_that_runs_code_when_it_reads() -> None:
    found = []
    for name, tree in modules():
        for node in ast.walk(tree):
            imported = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            found += [f"{name}: {module}" for module in imported if module.split(".")[0] in UNSAFE_MODULES]
    assert found == []


def is_restricted(name: str, called: str, node: ast.Call) -> bool:
    """Whether it is the one reader of the pickles that training scripts wrote, which builds tensors and runs no code.

    What tests it writes such a file.
    """
    if called == "torch.save":
        return name.startswith("tests/unit/recommender/imports/")
    safely = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}.get(
        "weights_only"
    ) == "True"
    return (name, called, safely) == ("recommender/imports/reading.py", "torch.load", True)


def test_nothing_is_called_that_runs_what_it_is_given() -> None:
    found = []
    for name, tree in modules():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            if called in UNSAFE_CALLS and not is_restricted(name, called, node):
                found.append(f"{name}:{node.lineno}: {called}")
            found += [
                f"{name}:{node.lineno}: {called}({keyword.arg}={keyword.value.value})"
                for keyword in node.keywords
                if keyword.arg in UNSAFE_ARGUMENTS
                and isinstance(keyword.value, ast.Constant)
                and keyword.value.value is UNSAFE_ARGUMENTS[keyword.arg]
            ]
    assert found == []


@pytest.mark.parametrize(
    ("what", "patterns"),
    [("a path of one machine", MACHINE_PATHS), ("a package registry's host", REGISTRY_HOSTS)],
)
def test_no_file_names(what: str, patterns: list[str]) -> None:
    found = [line for name, text in texts() for line in matches(patterns, name, text)]
    assert found == [], f"{what} does not belong here"


def test_nothing_is_left_unfinished() -> None:
    found = [
        line
        for name, text in texts()
        if name.endswith((".py", ".html", ".js", ".css", ".sql"))
        for line in matches([rf"\b{word}\b" for word in UNFINISHED], name, text)
    ]
    assert found == []


def test_no_conflict_was_left_in() -> None:
    found = [line for name, text in texts() for line in matches([r"^(<{7}|>{7}) "], name, text)]
    assert found == []


def test_no_tracked_file_is_large() -> None:
    large = {path.name: size for path in tracked() if (size := path.stat().st_size) > MAX_BYTES}
    assert large == {}, "data and weights do not belong here"


def test_no_data_set_is_tracked() -> None:
    names = {path.name for path in tracked()}
    assert names.isdisjoint({"u.data", "u.item", "u.user", "ml-100k.zip", "ml-100k.inter", "ml-100k.item"})
    assert not any(
        name.endswith((".safetensors", ".bin", ".pt", ".pth", ".pkl", ".sqlite3")) for name in names
    )


def test_no_module_is_a_drawer_for_everything() -> None:
    drawers = {"utils.py", "util.py", "helpers.py", "misc.py", "common.py"}
    assert [str(path.relative_to(REPOSITORY)) for path in tracked() if path.name in drawers] == []


def test_no_module_is_longer_than_a_reader_can_hold() -> None:
    long = {
        name: lines
        for name, text in texts()
        if name.endswith((".py", ".html", ".js", ".css"))
        and "/vendor/" not in name
        and (lines := text.count("\n")) > (MAX_LINES_OF_TESTS if name.startswith("tests/") else MAX_LINES)
    }
    assert long == {}, "one responsibility each"


def test_every_test_module_can_fail() -> None:
    idle = [
        name
        for name, text in texts()
        if re.match(r"tests/.*/test_\w+\.py$", name) and not re.search(r"\bassert\b|pytest\.raises", text)
    ]
    assert idle == []


def test_text_files_end_with_one_line_feed() -> None:
    ragged = [
        name
        for name, text in texts()
        if text
        and "/vendor/" not in name
        and (not text.endswith("\n") or text.endswith("\n\n") or "\r" in text)
    ]
    assert ragged == []
