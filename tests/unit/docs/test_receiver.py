"""The receiver that the page on webhooks shows takes what is signed, and nothing else."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from app.webhooks.signing import Signer, answers_challenge
from tests.documents import DOCS

SIGNER = Signer(b"a key of thirty-two bytes for tests")
Receive = Callable[[str, dict[str, str], bytes], tuple[int, bytes]]


def shown(folder: Path) -> Receive:
    """The function as it stands on the page."""
    [code] = re.findall(
        r"```python\n(.*?)```", (DOCS / "how-to/webhooks.md").read_text(encoding="utf-8"), re.DOTALL
    )
    file = folder / "receiver.py"
    file.write_text(code, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("receiver", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.receive  # type: ignore[no-any-return]


def test_it_answers_the_challenge_and_takes_events(tmp_path: Path) -> None:
    receive, secret = shown(tmp_path), SIGNER.secret("we_1")
    challenge = json.dumps({"type": "webhook.challenge", "data": {"challenge": "abc"}})
    status, answer = receive(
        secret, SIGNER.headers("we_1", "wd_1", datetime.now(UTC), challenge), challenge.encode()
    )
    assert status == 200
    assert answers_challenge(answer, "abc")
    event = json.dumps({"type": "forget.completed", "sequence": 1, "data": {}})
    assert receive(secret, SIGNER.headers("we_1", "evt_1", datetime.now(UTC), event), event.encode()) == (
        204,
        b"",
    )


def test_it_refuses_what_is_changed_old_or_signed_by_another(tmp_path: Path) -> None:
    receive, secret, body = shown(tmp_path), SIGNER.secret("we_1"), '{"type": "forget.completed"}'
    now = datetime.now(UTC)
    good = SIGNER.headers("we_1", "evt_1", now, body)
    for headers, sent in (
        (good, body + " "),
        ({**good, "webhook-id": "evt_2"}, body),
        (SIGNER.headers("we_2", "evt_1", now, body), body),
        (SIGNER.headers("we_1", "evt_1", now - timedelta(hours=1), body), body),
        ({}, body),
    ):
        assert receive(secret, headers, sent.encode()) == (400, b"")
