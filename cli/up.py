"""Everything on one machine: the embedded default behind ``make up``."""

from __future__ import annotations

import json
import os
import secrets
import time
from pathlib import Path
from urllib.parse import quote

import httpx

from cli.addresses import gateway_url, require_free_port
from cli.children import Children
from cli.failures import CommandError
from cli.holding import hold
from cli.stopping import TOLD_TO_STOP, leave_when_told

READY_SECONDS = 120.0
_SAY_EVERY_SECONDS = 10.0


def run_all(state: Path, *, host: str | None, port: int | None, data: Path | None, seed: int) -> None:
    """Set up what is missing, start gateway and worker, and watch over them until told to stop.

    Raises:
        CommandError: the port is taken, a folder cannot be used, or a process keeps dying.
        SystemExit: told to stop, or a command failed and has said why.
    """
    leave_when_told()
    if data is not None and not data.exists():
        raise CommandError(f"--data {data} is not there")
    state = state.resolve()
    environment = _environment(state, host, port)
    lock = hold(state)
    host, port = _listening(environment)
    source = ["--seed", str(seed), *(["--data", str(data)] if data else [])]
    children = Children(environment, lock)
    try:
        children.run("migrate")
        # Levels come after the first recommendation: whoever waits for it need not wait for them.
        children.run("init", "--no-levels", *source)
        url = gateway_url(host, port)
        print(
            f"starting the gateway at {url}: it loads the base model and builds the live version", flush=True
        )
        children.start()
        # While it loads: neither needs it.
        user = children.begin("example-user", *source)
        key = _demo_key(state, children)
        _wait_until_ready(url, children)
        _introduce(url, key, state, children.finish(user))
        children.start_levels()
        while True:
            children.keep_alive()
            time.sleep(0.5)
    except SystemExit as ended:
        if ended.code == TOLD_TO_STOP:
            print("\nstopping", flush=True)
        raise
    finally:
        children.stop()


def _listening(environment: dict[str, str]) -> tuple[str, int]:
    """Where the gateway will listen, once all settings have been looked at.

    Raises:
        pydantic.ValidationError, CommandError: one of them is wrong.
    """
    from app.settings import get_settings

    os.environ.update(environment)
    settings = get_settings()
    require_free_port(settings.host, settings.port)
    return settings.host, settings.port


def _environment(state: Path, host: str | None, port: int | None) -> dict[str, str]:
    """The caller's variables win, so that one part can be moved elsewhere without giving up the rest."""
    defaults = {
        "LETHE_ENVIRONMENT": "production",
        "LETHE_DATABASE_URL": f"sqlite:///{state}/lethe.sqlite3",
        "LETHE_BROKER_URL": f"filesystem://{state}/broker",
        "LETHE_STORE_URL": str(state / "store"),
        "LETHE_BASE": str(state / "base"),
        # One machine, and a person watching: a killed worker's run is taken up again within seconds.
        "LETHE_LEASE_SECONDS": "15",
        "LETHE_HEARTBEAT_SECONDS": "3",
        "LETHE_SWEEP_SECONDS": "2",
        "LETHE_REDISPATCH_SECONDS": "10",
        **_secrets(state),
    }
    options = {
        "LETHE_HOST": host,
        "LETHE_PORT": None if port is None else str(port),
    }
    return {**defaults, **os.environ, **{name: value for name, value in options.items() if value is not None}}


def _secrets(state: Path) -> dict[str, str]:
    """Drawn once and kept with mode 0600; losing them would orphan every subject in the database."""
    path = state / "secrets.json"
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            drawn = {f"LETHE_{name}_KEY": secrets.token_hex(32) for name in ("SUBJECT", "AUDIT")}
            _write_privately(path, json.dumps(drawn))
        stored = json.loads(path.read_text())
        return {f"LETHE_{name}_KEY": str(stored[f"LETHE_{name}_KEY"]) for name in ("SUBJECT", "AUDIT")}
    except OSError as error:
        raise CommandError(
            f"cannot use {state}: {error.strerror}; choose another folder with --state or LETHE_STATE"
        ) from error
    except (ValueError, TypeError, KeyError) as error:
        raise CommandError(f"{path} does not hold the two secrets any more; put back a copy of it") from error


def _demo_key(state: Path, children: Children) -> str:
    path = state / "demo-key"
    try:
        if not path.exists():
            name = f"demo-{secrets.token_hex(4)}"
            key = children.finish(children.begin("keys", "issue", name, "--scope", "all"))
            _write_privately(path, key)
        return path.read_text()
    except OSError as error:
        raise CommandError(f"cannot use {path}: {error.strerror}") from error


def _write_privately(path: Path, text: str) -> None:
    # Written beside its place and moved there whole: half of it would be taken for all of it next time.
    building = path.with_name(path.name + ".building")
    building.unlink(missing_ok=True)
    descriptor = os.open(building, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    building.rename(path)


def _wait_until_ready(url: str, children: Children) -> None:
    """Say what is waited for whenever that changes, and that it still is now and then."""
    started = time.monotonic()
    said, said_at = "", started
    while (now := time.monotonic()) - started < READY_SECONDS:
        children.restart_the_dead()
        missing = _missing(url)
        if missing is None:
            return
        if missing != said or now - said_at >= _SAY_EVERY_SECONDS:
            print(f"waiting for {missing} ({now - started:.0f} s)", flush=True)
            said, said_at = missing, now
        time.sleep(0.2)
    raise CommandError(f"the gateway was not ready within {READY_SECONDS:.0f} seconds; its log is above")


def _missing(url: str) -> str | None:
    """What of a ready gateway is still missing, None if nothing is."""
    try:
        # A proxy of the environment is for other machines.
        answer = httpx.get(f"{url}/readyz", timeout=2, trust_env=False)
    except httpx.TransportError:
        return "the gateway: torch and the base model are being loaded"
    if answer.status_code == 200:
        return None
    failing = ", ".join(name for name, holds in answer.json().items() if not holds)
    names = {"serving": "the live version: it is being read, checked and built"}
    return names.get(failing, f"the gateway's {failing}")


def _introduce(url: str, key: str, state: Path, user: str) -> None:
    # As it stands in an address; nothing of it can end the quotation.
    user = quote(user, safe="")
    print(
        f"""
Lethe is up at {url}
  dashboard   {url}/  (any user name; the key below is the password)
  API         {url}/docs
  key         {key}
  state       {state}

  curl -H 'Authorization: Bearer {key}' '{url}/recommend?user_id={user}&k=5'
  curl -H 'Authorization: Bearer {key}' -X POST '{url}/users/{user}/forget'
  curl -H 'Authorization: Bearer {key}' '{url}/jobs'

Ctrl-C stops everything; the next start goes on where this one was.
""",
        flush=True,
    )
