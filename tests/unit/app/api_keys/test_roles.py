"""R-46: roles are sets of scopes."""

from app.api_keys.roles import SCOPES_OF, Role
from app.api_keys.service import Scope


def test_r46_no_scope_is_left_to_nobody_but_an_admin() -> None:
    others = {scope for role, scopes in SCOPES_OF.items() if role is not Role.ADMIN for scope in scopes}
    assert others == {*Scope} == SCOPES_OF[Role.ADMIN]


def test_r46_watching_changes_nothing() -> None:
    assert all(str(scope).endswith(":read") for scope in SCOPES_OF[Role.VIEWER] | SCOPES_OF[Role.AUDITOR])
    assert SCOPES_OF[Role.VIEWER] < SCOPES_OF[Role.AUDITOR]


def test_r46_whoever_approves_does_not_ask() -> None:
    assert Scope.FORGET_CREATE not in SCOPES_OF[Role.APPROVER]
    assert Scope.FORGET_APPROVE not in SCOPES_OF[Role.OPERATOR] | SCOPES_OF[Role.SERVICE]
