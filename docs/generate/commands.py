"""Every command of `lethe`: what its own `--help` says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import typer.main

from benchmarks.commands import bench_app
from cli.main import app
from docs.generate.markdown import paragraph, table

_HEAD = """# Commands

Written by `make docs` from the commands' own `--help`. Exit codes: 0 done, or stopped where the command would have run
on; 1 the command ran and the answer is no; 2 it could not run, and one line on standard error says why; 130
interrupted by Ctrl-C.
"""


def commands_page() -> str:
    """One section for each command, with its options; hidden commands are left out."""
    service = typer.main.get_command(app)
    benchmarks = typer.main.get_command(bench_app)
    lines = [_HEAD, *_described(service, "lethe"), *_described(benchmarks, "lethe bench")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


def _described(command: Any, name: str) -> Iterator[str]:
    commands = getattr(command, "commands", None)
    if commands is None:
        yield from _one(command, name)
        return
    if name not in ("lethe", "lethe keys", "lethe audit"):
        yield from ("", f"## {name}", "", paragraph(command.help or ""))
    for sub, described in commands.items():
        if not described.hidden:
            yield from _described(described, f"{name} {sub}")


def _one(command: Any, name: str) -> Iterator[str]:
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option" and not one.hidden]
    level = "###" if name.startswith("lethe bench ") else "##"
    usage = " ".join([name, *(["[OPTIONS]"] if options else []), *map(_metavar, arguments)])
    yield from ("", f"{level} {name}", "", f"`{usage}`", "", paragraph(command.help or ""), "")
    if options:
        yield from table(["option", "", "default"], map(_option, options))


def _option(option: Any) -> list[str]:
    names = ", ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts])
    default = None if callable(option.default) or isinstance(option.default, bool) else option.default
    shown = "" if default in (None, "", (), []) else f"`{default}`"
    return [names, _sentence(option), "needed" if option.required else shown]


def _sentence(option: Any) -> str:
    told = paragraph(option.help or "")
    if option.envvar:
        told = f"{told} (`{option.envvar}`)".strip()
    return told


def _metavar(argument: Any) -> str:
    name = str(argument.name).upper()
    repeated = "…" if argument.nargs == -1 else ""
    return f"{name}{repeated}" if argument.required else f"[{name}{repeated}]"
