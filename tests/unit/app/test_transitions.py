"""No status of a request or a run is written but by the tables: read off the source itself."""

import ast
import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

import pytest

from app.transitions import IllegalTransition, Transitions

REPOSITORY = Path(__file__).parents[3]
ROOMS = ("app", "worker", "cli", "benchmarks")
TABLES = {"REQUESTS.after", "RUNS.after"}
# What a row begins with; it stands beside the table.
FIRST = {"ACCEPTED", "CREATED"}
ROWS = {"Run", "ForgetRequest"}
STATEMENTS = {"values", "update", "insert"}
COLUMNS = ("'status'", "Run.status", "ForgetRequest.status", "Run.status.key", "ForgetRequest.status.key")
RAW = re.compile(r"update\s+(runs|forget_requests)\b.*\bstatus\s*=", re.IGNORECASE | re.DOTALL)


class Lamp(StrEnum):
    OFF = "off"
    ON = "on"


class Press(StrEnum):
    PRESSED = "pressed"


def test_what_the_table_does_not_hold_is_an_error() -> None:
    lamp = Transitions(Lamp, {(Lamp.OFF, Press.PRESSED): Lamp.ON})
    assert lamp.after("off", Press.PRESSED) is Lamp.ON
    assert lamp.before(Press.PRESSED) == (Lamp.OFF,)
    with pytest.raises(IllegalTransition, match="pressed cannot happen to what is on"):
        lamp.after("on", Press.PRESSED)


def by_table(value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and ast.unparse(value.func) in TABLES


def targets(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.Tuple | ast.List):
        for element in node.elts:
            yield from targets(element)
    else:
        yield node


def is_status(node: ast.expr) -> bool:
    """Of a row; what an object calls its own status is not."""
    return isinstance(node, ast.Attribute) and node.attr == "status" and ast.unparse(node.value) != "self"


def writes(source: str) -> Iterator[str]:
    """Every write of a status that passes by the tables."""
    tree = ast.parse(source)
    # An UPDATE names its table: a document with a status, where no row is known, is an answer.
    has_rows = any(isinstance(node, ast.Name) and node.id in ROWS for node in ast.walk(tree))
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=left, value=value):
                found = [target for one in left for target in targets(one) if is_status(target)]
                if found and not (isinstance(left[0], ast.Attribute) and by_table(value)):
                    yield ast.unparse(node)
            case ast.AnnAssign(target=target) | ast.AugAssign(target=target) if is_status(target):
                yield ast.unparse(node)
            case ast.Call(func=ast.Name(id="setattr"), args=[_, ast.Constant(value="status"), *_]):
                yield ast.unparse(node)
            case ast.Call(func=called, keywords=keywords):
                name = ast.unparse(called).rpartition(".")[2]
                given = [word.value for word in keywords if word.arg == "status"]
                if name in ROWS and any(ast.unparse(value) not in FIRST for value in given):
                    yield ast.unparse(node)
                if name in STATEMENTS and not all(by_table(value) for value in given):
                    yield ast.unparse(node)
            case ast.Dict(keys=keys, values=values) if has_rows:
                names = [None if key is None else ast.unparse(key) for key in keys]
                found_here = dict(zip(names, values, strict=True))
                if any(name in found_here and not by_table(found_here[name]) for name in COLUMNS):
                    yield ast.unparse(node)
            case ast.Constant(value=str(text)) if RAW.search(text):
                yield ast.unparse(node)


@pytest.mark.parametrize(
    "source",
    [
        "run.status = 'completed'",
        "run.status, run.stage = RUNS.after(run.status, e), 'done'",
        "request.status += 'x'",
        "setattr(run, 'status', 'queued')",
        "update(Run).values(status='queued')",
        "update(Run).values({'status': 'queued'})",
        "update(Run).values({Run.status: 'queued'})",
        "changes = {'status': RunStatus.RUNNING, 'claims': Run.claims + 1}",
        "session.execute(text('UPDATE runs SET status = 1'))",
        "Run(id=1, status='running')",
        "session.add(ForgetRequest(status=RequestStatus.COMPLETED))",
    ],
)
def test_a_write_past_the_tables_would_be_found(source: str) -> None:
    assert list(writes(source))


def test_writes_by_the_tables_are_let_through() -> None:
    assert not list(
        writes(
            "run.status = RUNS.after(run.status, RunEvent.CLAIMED)\n"
            "changes = {'status': RUNS.after(run.status, RunEvent.CLAIMED)}\n"
            "update(Run).where(Run.status == 'queued').values(changes)\n"
            "Run(status=CREATED)\n"
            "self.status = status\n"
            "RunView(status=run.status)\n"
        )
    )


def test_r4_a_requests_status_is_written_in_one_place_with_since_when_it_is_there() -> None:
    """What sets a status by the table and not by `move_on` would leave the time of the state before."""
    found = {
        str(path.relative_to(REPOSITORY))
        # Benchmarks write whole rows, and the time with them.
        for room in ("app", "worker", "cli")
        for path in sorted((REPOSITORY / room).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if writes_by(node, "REQUESTS.after")
    }
    assert found == {"app/forget_requests/moves.py"}


def writes_by(node: ast.AST, table: str) -> bool:
    """Whether the node writes what this table says."""
    match node:
        case ast.Assign(value=value) | ast.keyword(value=value):
            given: list[ast.expr] = [value]
        case ast.Dict(values=values):
            given = values
        case _:
            return False
    return any(isinstance(one, ast.Call) and ast.unparse(one.func) == table for one in given)


@pytest.mark.parametrize("room", ROOMS)
def test_every_status_is_written_by_the_tables(room: str) -> None:
    found = [
        f"{path.relative_to(REPOSITORY)}: {write}"
        for path in sorted((REPOSITORY / room).rglob("*.py"))
        for write in writes(path.read_text(encoding="utf-8"))
    ]
    assert found == []
