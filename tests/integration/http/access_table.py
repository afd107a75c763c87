"""Who may use which route: every route of the application, and the roles that it lets through.

A new route is added here, or `test_access.py` fails. `everybody` needs no key. `user` is an end user with a token of
their own; where they are let through, it is to their own requests only.
"""

WATCHING = "viewer operator approver auditor admin"

ALLOWED = {
    "GET /": WATCHING,
    "GET /adapters": WATCHING,
    "GET /docs": WATCHING,
    "GET /forget-batches/{batch_id}": f"{WATCHING} service",
    "GET /forget-batches/{batch_id}/items": f"{WATCHING} service",
    "GET /forget-requests/{request_id}": f"{WATCHING} service user",
    "GET /healthz": "everybody",
    "GET /metrics": WATCHING,
    "GET /openapi.json": WATCHING,
    "GET /readyz": "everybody",
    "GET /recommend": "service admin",
    "GET /runs": WATCHING,
    "GET /runs/{run_id}": WATCHING,
    "POST /consolidations": "operator admin",
    "POST /forget-batches": "operator service admin",
    "POST /forget-batches/dry-run": "operator service admin",
    "POST /forget-requests": "operator service admin user",
    "POST /forget-requests/{request_id}/retry": "operator admin",
    "POST /interactions": "service admin",
    "POST /users/{user_id}/forget": "operator service admin user",
}
