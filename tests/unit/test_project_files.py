"""Makefile, pins, hooks and CI: what a newcomer and a machine run."""

import re
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path, PurePath

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


def test_a_missing_python_is_one_clear_line(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_text(read(name))
    done = subprocess.run(
        ["make", "setup", "PYTHON=python9.9"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[0].startswith("python9.9 not found. Install it (Debian: apt-get install")


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
