"""R-7: the headers by which a caller follows a request: Location, ETag and the trace."""

from __future__ import annotations

from fastapi.testclient import TestClient

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_r7_a_request_is_read_again_only_if_something_has_changed(client: TestClient) -> None:
    asked = client.post("/users/user-1/forget", headers={"traceparent": PARENT})
    assert asked.headers["Operation-Location"] == asked.headers["Location"]
    assert asked.headers["traceparent"] == PARENT
    path = asked.headers["Location"]
    first = client.get(path, headers={"traceparent": "00-user-1"})
    assert "traceparent" not in first.headers
    assert first.json()["predicted_completion"] is None
    tag = first.headers["ETag"]
    again = client.get(path, headers={"If-None-Match": tag})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
    assert again.headers["Retry-After"]
    assert client.post(f"{path}/cancel").status_code == 200
    changed = client.get(path, headers={"If-None-Match": tag})
    assert (changed.status_code, changed.json()["status"]) == (200, "cancelled")
    assert changed.headers["ETag"] != tag
