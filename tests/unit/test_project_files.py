"""Makefile, pins, hooks and CI: what a newcomer and a machine run."""

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from itertools import chain
from pathlib import Path, PurePath

import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]


def read(name: str) -> str:
    return (REPOSITORY / name).read_text()


def test_the_hooks_run_tools_of_the_environment_only() -> None:
    repositories = yaml.safe_load(read(".pre-commit-config.yaml"))["repos"]
    assert {repository["repo"] for repository in repositories} == {"local"}
    hooks = [hook for repository in repositories for hook in repository["hooks"]]
    assert {hook["language"] for hook in hooks} == {"system"}
    assert {hook["entry"].split()[0] for hook in hooks} == {
        f".venv/bin/{tool}" for tool in ("ruff", "mypy", "lint-imports")
    }


def test_what_is_pinned_in_both_places_is_pinned_alike() -> None:
    constraints = dict(
        line.lower().replace("_", "-").split("==")
        for line in read("constraints.txt").splitlines()
        if line and not line.startswith("#")
    )
    project = tomllib.loads(read("pyproject.toml"))["project"]
    wanted = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    for requirement in wanted:
        name, version = requirement.split("==")
        name = re.sub(r"\[.*\]", "", name).lower().replace("_", "-")
        assert constraints.get(name) == version, requirement


def test_what_is_not_code_is_packaged_too() -> None:
    """An image holds an installed package, and a file that no pattern names is not in it."""
    tool = tomllib.loads(read("pyproject.toml"))["tool"]["setuptools"]
    rooms = [name.removesuffix("*") for name in tool["packages"]["find"]["include"]]
    listed = subprocess.run(
        ["git", "ls-files", "-z", *rooms], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout
    left_out = [
        name
        for name in filter(None, listed.split("\0"))
        if not name.endswith(".py")
        and not any(
            PurePath(name).match(f"{room}/{pattern}")
            for room, patterns in tool["package-data"].items()
            for pattern in patterns
        )
    ]
    assert left_out == []


def test_the_constraints_hold_versions_and_nothing_else() -> None:
    for line in read("constraints.txt").splitlines():
        assert line.startswith("#") or re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line), line
        assert not re.match(r"(nvidia|cuda|triton)", line), line


def test_help_names_every_command_that_is_meant_for_people() -> None:
    makefile = read("Makefile")
    phony = set(re.findall(r"^\.PHONY: (\S+)$", makefile, re.MULTILINE))
    documented = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    assert phony == documented
    listed = subprocess.run(
        ["make", "help"], cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert all(re.search(rf"^  {command} ", listed, re.MULTILINE) for command in documented)
    assert documented >= {
        "setup", "lint", "types", "walls", "test", "test-unit", "test-integration", "test-acceptance", "test-gpu",
        "migrate", "up", "clean",
    }  # fmt: skip


def test_ci_runs_what_a_person_runs() -> None:
    assert re.search(r"^make test$", read(".ci/run"), re.MULTILINE)
    planned = subprocess.run(
        ["make", "--dry-run", "test"], cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    for tool in ("ruff check", "ruff format --check", "mypy", "lint-imports", "pytest"):
        assert f"/{tool}" in planned or f" {tool} " in planned, tool
    assert (REPOSITORY / ".ci" / "run").stat().st_mode & 0o111


@pytest.fixture
def pythons(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the search where only these interpreters are; each exits with the given status whatever it is asked."""
    folder = tmp_path / "bin"
    folder.mkdir()
    bash = shutil.which("bash")
    assert bash is not None
    (folder / "bash").symlink_to(bash)

    def search(*arguments: str, **statuses: int) -> subprocess.CompletedProcess[str]:
        for name, status in statuses.items():
            interpreter = folder / name.replace("_", ".")
            interpreter.write_text(f"#!{bash}\nexit {status}\n")
            interpreter.chmod(0o755)
        return subprocess.run(
            [bash, REPOSITORY / ".ci" / "find-python", *arguments],
            env={"PATH": str(folder)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return search


@pytest.mark.parametrize(
    ("there", "found"),
    [
        ({"python3_11": 0}, "python3.11"),
        ({"python3_13": 0}, "python3.13"),
        ({"python3_11": 0, "python3_14": 0}, "python3.14"),
        # A version manager's stand-in for a version that is not active; an old one called python3.
        ({"python3_13": 127, "python3_12": 0, "python3": 1}, "python3.12"),
        ({"python3": 1, "python": 0}, "python"),
    ],
)
def test_whatever_python_runs_and_is_new_enough_is_found(
    pythons: Callable[..., subprocess.CompletedProcess[str]], there: dict[str, int], found: str
) -> None:
    done = pythons(**there)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip().endswith(f"/bin/{found}")


def test_a_python_that_is_named_is_the_one(pythons: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    assert pythons("python3.12", python3_14=0, python3_12=0).stdout.strip().endswith("/python3.12")
    refused = pythons("python3.9", python3_9=1)
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
    assert "older than Python 3.11" in refused.stderr


def test_no_python_at_all_is_one_line_that_says_what_to_install(
    pythons: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    done = pythons(python3=1)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "apt-get install python3 python3-venv" in done.stderr


def test_the_search_tells_versions_apart() -> None:
    """With this interpreter, and what it is asked: not only with a status."""
    done = subprocess.run(
        [REPOSITORY / ".ci" / "find-python", sys.executable], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == sys.executable


def test_a_missing_python_is_one_clear_line(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml", "constraints.txt", ".ci/find-python", ".ci/make-venv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(REPOSITORY / name, tmp_path / name)
    done = subprocess.run(
        ["make", "setup", "PYTHON=python9.9"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[0].startswith("PYTHON=python9.9 is not there")


def test_an_environment_is_made_without_the_pip_that_debian_splits_off(tmp_path: Path) -> None:
    """A Python without ensurepip makes one with whatever pip or virtualenv it has; without either, one line."""
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "ensurepip.py").write_text("raise ImportError")
    make = [REPOSITORY / ".ci" / "make-venv", sys.executable, tmp_path / "venv"]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(hidden)}
    subprocess.run(make, env=environment, capture_output=True, check=True, timeout=120)
    subprocess.run(
        [tmp_path / "venv" / "bin" / "python", "-m", "pip", "--version"], check=True, capture_output=True
    )
    for name in ("pip", "virtualenv"):
        (hidden / f"{name}.py").write_text("raise ImportError")
    done = subprocess.run(make, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert re.search(r"apt-get install python3\.\d+-venv", done.stderr)


def test_missing_services_are_one_clear_line_without_passwords() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.services"],
        cwd=REPOSITORY,
        env={
            "PATH": "/usr/bin:/bin",
            "LETHE_TEST_POSTGRES_URL": "postgresql+psycopg://somebody:hush@127.0.0.1:1/nothing",
            "LETHE_TEST_REDIS_URL": "redis://:hush@127.0.0.1:1/0",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1
    for part in ("PostgreSQL", "LETHE_TEST_POSTGRES_URL", "Redis", "LETHE_TEST_REDIS_URL", "make test-unit"):
        assert part in done.stderr
    assert "hush" not in done.stderr
