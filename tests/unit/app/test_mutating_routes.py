"""R-10: every route that changes something takes an `Idempotency-Key`."""

from app.idempotency.once import _keyed_once, _once
from app.main import create_app
from app.settings import Settings
from tests.routes import depends_on, routes_of

_WITHOUT = {
    # They answer questions that are too long for an address.
    "POST /forget-batches/dry-run",
    "POST /recommend",
    # The answer holds a secret, which must not be kept.
    "POST /webhook-endpoints",
}
# A page sends forms, and each belongs to a session.
_FORMS = ("POST /login", "POST /dashboard/")


def test_r10_every_route_that_changes_something_takes_a_key() -> None:
    app = create_app(Settings(environment="development", _env_file=None))  # type: ignore[call-arg]
    changing = {
        f"{method} {route.path_format}": depends_on(route.dependant, _once)
        or depends_on(route.dependant, _keyed_once)
        for route in routes_of(app)
        for method in route.methods - {"GET", "HEAD", "OPTIONS"}
    }
    assert "POST /users/{user_id}/forget" in changing
    without = {name for name, takes_key in changing.items() if not takes_key and not name.startswith(_FORMS)}
    assert without == _WITHOUT
