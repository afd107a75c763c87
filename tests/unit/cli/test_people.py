"""Which installation a command means: what was typed wins over what the environment says."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.failures import CommandError
from cli.people import people
from cli.state_folder import keep_address, keep_key
from tests.ports import free_port


def refused(*arguments: str) -> str:
    result = CliRunner().invoke(people, [*arguments])
    assert isinstance(result.exception, CommandError), result.output
    return str(result.exception)


def test_a_folder_on_the_command_line_is_never_lost_to_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LETHE_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("LETHE_API_KEY", "lethe_elsewhere")
    assert "lethe up runs none" in refused("forget", "--state", str(tmp_path), "user-1")
    of_the_folder = f"http://127.0.0.1:{free_port()}"
    keep_address(tmp_path, of_the_folder)
    keep_key(tmp_path, "lethe_of_the_folder")
    assert of_the_folder in refused("forget", "--state", str(tmp_path), "user-1")
    assert of_the_folder in refused("recommend", "--state", str(tmp_path), "user-1")
    assert "two gateways" in refused("forget", "--state", str(tmp_path), "--url", of_the_folder, "user-1")
    monkeypatch.setenv("LETHE_STATE", str(tmp_path))
    assert of_the_folder not in refused("forget", "user-1")


def test_an_id_that_is_none_and_a_missing_package_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_address(tmp_path, f"http://127.0.0.1:{free_port()}")
    keep_key(tmp_path, "lethe_of_the_folder")
    assert "undecodable" in refused("forget", "--state", str(tmp_path), "\udcff")
    assert "undecodable" in refused("recommend", "--state", str(tmp_path), "\udcff")
    monkeypatch.setitem(sys.modules, "httpx", None)
    assert "httpx is not installed" in refused("forget", "user-1")
