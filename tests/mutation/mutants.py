"""Small changes to a source text, each of which its tests should notice."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult,
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """``source`` is the whole text with one change; `what` says which, and in which line of the original."""

    line: int
    what: str
    source: str


def mutants(source: str) -> list[Mutant]:
    """Every mutant of a module, in the order of its lines. Wording, annotations, decorators and docstrings stay."""
    tree = ast.parse(source)
    found = []
    for node, field, index, new in _changes(tree):
        old = _get(node, field, index)
        shown = node.test if field == "test" else node
        before = ast.unparse(shown)
        _set(node, field, index, new)
        after = ast.unparse(new if field == "test" else node)
        found.append(Mutant(node.lineno, f"{before}  ->  {after}", ast.unparse(tree)))
        _set(node, field, index, old)
    return sorted(found, key=lambda one: one.line)


def _changes(tree: ast.AST) -> Iterator[tuple[Any, str, int | None, Any]]:
    """A node, the field of it to change, the position in that field where it is a list, and what to put there."""
    for node in _visited(tree):
        if isinstance(node, ast.Compare):
            for index, compared in enumerate(node.ops):
                yield node, "ops", index, _COMPARISONS[type(compared)]()
        elif isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
            yield node, "op", None, _ARITHMETIC[type(node.op)]()
        elif isinstance(node, ast.BoolOp):
            yield node, "op", None, ast.Or() if isinstance(node.op, ast.And) else ast.And()
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            yield node, "op", None, ast.UAdd()
        elif isinstance(node, ast.If | ast.IfExp | ast.While) and not _is_equality(node.test):
            yield node, "test", None, _negated(node.test)
        elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
            yield node, "value", None, not node.value
        elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
            yield node, "value", None, node.value + 1
            yield node, "value", None, node.value - 1
        elif isinstance(node, ast.Return) and not _is_none(node.value):
            yield node, "value", None, ast.Constant(None)


def _visited(node: ast.AST) -> Iterator[ast.AST]:
    """The node and what is below it, but for what no test is about."""
    yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "bases", "keywords") and isinstance(
            node, ast.AnnAssign | ast.arg | ast.FunctionDef | ast.ClassDef
        ):
            continue
        for child in value if isinstance(value, list) else [value]:
            # What is said to people, and what only the type checker reads.
            wording = isinstance(child, ast.JoinedStr | ast.Assert)
            if isinstance(child, ast.AST) and not wording:
                yield from _visited(child)


def _negated(test: ast.expr) -> ast.expr:
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return test.operand
    return ast.UnaryOp(ast.Not(), test)


def _is_equality(test: ast.expr) -> bool:
    """Whether the change of the comparison negates it already."""
    ordered = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
    return isinstance(test, ast.Compare) and len(test.ops) == 1 and not isinstance(test.ops[0], ordered)


def _is_none(value: ast.expr | None) -> bool:
    return value is None or (isinstance(value, ast.Constant) and value.value is None)


def _get(node: Any, field: str, index: int | None) -> Any:
    value = getattr(node, field)
    return value if index is None else value[index]


def _set(node: Any, field: str, index: int | None, value: Any) -> None:
    if index is None:
        setattr(node, field, value)
    else:
        getattr(node, field)[index] = value
