"""Doing what the documents say, command by command, against a service that runs."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.acceptance.conftest import USER_PREFIX
from tests.documents import answers, commands

_ADDRESS = "127.0.0.1:8000"
# What an answer shows of the moment and of the machine; the rest of it is the same wherever it is asked for.
_TOLD_ALIKE = ("personalised", "fallback_reason", "status", "done", "outcome", "waits_for")


def follow(name: str, folder: Path, port: int) -> None:
    """Run the document's shell blocks in one shell, in a folder that holds `.lethe`.

    Every `curl` has to answer with JSON that is no problem. Where the document shows an answer, the real one has the
    same fields, and says the same in those that do not depend on the moment.
    """
    there = [line for line in commands(name) if not line.startswith("make ")]
    script = ["set -euo pipefail"]
    for line in there:
        script += [line, "echo"] if line.startswith("curl ") else [line]
    ran = subprocess.run(
        [
            "bash",
            "-c",
            "\n".join(script)
            .replace(_ADDRESS, f"127.0.0.1:{port}")
            .replace("user-0", f"{USER_PREFIX}user-0"),
        ],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if "proxy" not in name.lower()},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    given: list[dict[str, Any]] = [json.loads(line) for line in ran.stdout.splitlines() if line]
    assert len(given) == sum(line.startswith("curl ") for line in there)
    assert [answer for answer in given if "request_id" in answer] == []
    for place, block in answers(name).items():
        shown, answer = json.loads(block.text), given[place]
        assert shown.keys() == answer.keys()
        assert {key: answer.get(key) for key in _TOLD_ALIKE} == {key: shown.get(key) for key in _TOLD_ALIKE}
