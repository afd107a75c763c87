"""Everything on one machine: the embedded default behind ``make up``."""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import sys
import time
from pathlib import Path
from urllib.parse import quote

import httpx

from cli.addresses import gateway_url, require_free_port
from cli.children import Children
from cli.failures import CommandError
from cli.holding import hold
from cli.state_folder import drop_address, environment_of, keep_address, keep_key, kept_key
from cli.stopping import TOLD_TO_STOP, leave_when_told

READY_SECONDS = 120.0
_SAY_EVERY_SECONDS = 10.0
# In place of an id of the operator's own users.
_SOMEBODY = "USER"


def run_all(state: Path, *, host: str | None, port: int | None, data: Path | None, seed: int) -> None:
    """Set up what is missing, start gateway and worker, and restart them if they die, until told to stop.

    Raises:
        CommandError: the port is taken, a folder cannot be used, or a process keeps dying.
        SystemExit: the process was told to stop, or a command failed and has printed why.
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
        # An earlier `lethe up` that was killed has left its gateway's address.
        drop_address(state)
        children.run("migrate")
        # Levels are made later, so that the first recommendation does not wait for them.
        init = children.begin("init", "--no-levels", "--name-example", *source)
        children.pass_on(init)
        url = gateway_url(host, port)
        print(
            f"starting the gateway at {url}: it loads the base model and builds the live version", flush=True
        )
        children.start()
        # Do this while the gateway loads; `init` looks for an example meanwhile.
        key = _demo_key(state, children)
        _wait_until_ready(url, children)
        keep_address(state, url)
        user = children.finish(init)
        # What is no terminal may be a log, and nothing erases an id from that.
        _introduce(url, key, state, user if data is None or sys.stdout.isatty() else _SOMEBODY)
        children.start_levels()
        while True:
            children.keep_alive()
            time.sleep(0.5)
    except SystemExit as ended:
        if ended.code == TOLD_TO_STOP:
            print("\nstopping", flush=True)
        raise
    finally:
        try:
            drop_address(state)
        finally:
            children.stop()


def _listening(environment: dict[str, str]) -> tuple[str, int]:
    """Check all settings. Returns the host and the port of the gateway.

    Raises:
        pydantic.ValidationError, CommandError: a setting is wrong.
    """
    from app.settings import get_settings

    os.environ.update(environment)
    settings = get_settings()
    require_free_port(settings.host, settings.port)
    return settings.host, settings.port


def _environment(state: Path, host: str | None, port: int | None) -> dict[str, str]:
    """The folder's settings. The caller's variables take precedence, so that single parts can be replaced."""
    options = {
        "LETHE_HOST": host,
        "LETHE_PORT": None if port is None else str(port),
    }
    given = {name: value for name, value in options.items() if value is not None}
    return {**environment_of(state), **os.environ, **given}


def _demo_key(state: Path, children: Children) -> str:
    key = kept_key(state)
    if key is None:
        name = f"demo-{secrets.token_hex(4)}"
        key = children.finish(children.begin("keys", "issue", name, "--scope", "all", "--until-revoked"))
        keep_key(state, key)
    return key


def _wait_until_ready(url: str, children: Children) -> None:
    """Wait for the gateway. Print what it still lacks whenever that changes, and again after a while."""
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
    """What the gateway still lacks to be ready; None if nothing."""
    try:
        # A proxy set in the environment is meant for other machines.
        answer = httpx.get(f"{url}/readyz", timeout=2, trust_env=False)
    except httpx.TransportError:
        return "the gateway: torch and the base model are being loaded"
    if answer.status_code == 200:
        return None
    failing = ", ".join(name for name, holds in answer.json().items() if not holds)
    names = {"serving": "the live version: it is being read, checked and built"}
    return names.get(failing, f"the gateway's {failing}")


def _introduce(url: str, key: str, state: Path, user: str) -> None:
    in_address = quote(user, safe="")
    command, options = _own_command(), _where(state)
    with_user = ", with the id of somebody in your data as USER" if user == _SOMEBODY else ""
    in_shell = ("-- " if user.startswith("-") else "") + shlex.quote(user)
    bearer = '-H "Authorization: Bearer $LETHE_API_KEY"'
    print(
        f"""
Lethe is up at {url}
  dashboard   {url}/  (log in with the key below)
  API         {url}/docs
  key         {key}
  state       {state}

Next, in another terminal{with_user}:
  {command} recommend{options} {in_shell}
  {command} forget --wait{options} {in_shell}
  {command} status{options}
  {command} doctor{options}

The same without this command line, once LETHE_API_KEY is set to the key:
  curl {bearer} '{url}/recommend?user_id={in_address}&k=5'
  curl {bearer} -X POST '{url}/users/{in_address}/forget'
  curl {bearer} '{url}/runs'

Ctrl-C stops everything; the next start goes on where this one was.
""",
        flush=True,
    )


def _own_command() -> str:
    """How the user called this command: by name, by a path, or as a module."""
    used = Path(sys.argv[0])
    if used.name != "lethe":
        return f"{shlex.quote(sys.executable)} -m cli.main"
    found = shutil.which("lethe")
    if found is not None and used.is_file() and Path(found).samefile(used):
        return "lethe"
    return shlex.quote(str(used))


def _where(state: Path) -> str:
    return "" if state == Path(".lethe").resolve() else f" --state {shlex.quote(str(state))}"
