"""What the client does with failures: which error it raises, and when it asks again."""

from __future__ import annotations

import httpx
import pytest

from app.api_examples import ANSWERS
from lethe_client import (
    Client,
    Conflict,
    ConnectionFailed,
    Forbidden,
    InvalidRequest,
    LetheError,
    NeedsAttention,
    NotFound,
    ProblemError,
    Unauthenticated,
    Unavailable,
    UnexpectedAnswer,
    WaitTimeout,
)
from lethe_client.exchange import Call, failure_of, pause_before_retry

READ, WRITE = Call("GET", "/runs"), Call("POST", "/consolidations")
KEYED = Call("POST", "/consolidations", idempotency_key="k")


def problem(
    status: int, code: str = "some-code", retry_after: str | None = None, **members: object
) -> httpx.Response:
    headers = {"Content-Type": "application/problem+json"} | (
        {"Retry-After": retry_after} if retry_after else {}
    )
    document = {"title": "T", "detail": "D.", "code": code, "request_id": "r-1", "status": status, **members}
    return httpx.Response(status, json=document, headers=headers)


class Script(httpx.BaseTransport):
    """Gives these answers one after the other; an exception is raised."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def client(*answers: httpx.Response | Exception, retries: int = 3) -> tuple[Client, Script]:
    script = Script(*answers)
    return Client("https://lethe.test/prefix/", "secret-key", retries=retries, transport=script), script


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidRequest), (401, Unauthenticated), (403, Forbidden), (404, NotFound), (409, Conflict),
        (413, InvalidRequest), (418, ProblemError), (422, InvalidRequest), (429, Unavailable), (503, Unavailable),
    ],
)  # fmt: skip
def test_each_kind_of_problem_has_its_error(status: int, kind: type[ProblemError]) -> None:
    failure = failure_of(READ, problem(status, scope="runs:read"))
    assert type(failure) is kind
    assert (failure.status, failure.code, failure.detail, failure.request_id, failure.members["scope"]) == (
        status, "some-code", "D.", "r-1", "runs:read",
    )  # fmt: skip


def test_the_errors_of_single_values_are_listed() -> None:
    errors = [{"pointer": "/query/limit", "code": "less_than_equal", "message": "too much"}]
    failure = failure_of(READ, problem(422, errors=errors))
    assert isinstance(failure, InvalidRequest)
    assert failure.errors == [("/query/limit", "less_than_equal", "too much")]
    assert str(failure) == "422 some-code: D. /query/limit: too much"


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(404, text="<html>"),
        httpx.Response(302, headers={"Location": "/login"}),
        httpx.Response(404, content=b"[]", headers={"Content-Type": "application/problem+json"}),
        httpx.Response(404, content=b"{", headers={"Content-Type": "application/problem+json"}),
    ],
)
def test_what_is_no_answer_of_lethe_is_said_to_be_none(response: httpx.Response) -> None:
    assert type(failure_of(READ, response)) is UnexpectedAnswer


def test_an_answer_of_another_form_is_not_quoted() -> None:
    asking, _ = client(httpx.Response(200, json={"runs": [{"id": "a secret"}]}))
    with pytest.raises(UnexpectedAnswer, match=r"runs\.0\.kind") as refused:
        asking.list_runs()
    assert "a secret" not in str(refused.value)
    assert refused.value.__cause__ is None


LOST = ConnectionFailed("lost")
BUSY = Unavailable(503, {"code": "overloaded"})
IN_FLIGHT = Conflict(409, {"code": "idempotency-in-flight"}, 1.0)


@pytest.mark.parametrize(
    ("call", "failure", "again"),
    [
        (READ, LOST, True), (READ, BUSY, True), (KEYED, LOST, True), (KEYED, BUSY, True), (KEYED, IN_FLIGHT, True),
        (WRITE, LOST, False), (WRITE, BUSY, False), (READ, NotFound(404, {}), False),
        (KEYED, Conflict(409, {"code": "illegal-transition"}), False), (READ, UnexpectedAnswer(), False),
    ],
)  # fmt: skip
def test_only_what_is_safe_and_may_pass_is_asked_again(call: Call, failure: LetheError, again: bool) -> None:
    assert (pause_before_retry(call, failure, 0, 3) is not None) == again
    assert pause_before_retry(call, failure, 3, 3) is None


def test_pauses_grow_and_the_services_own_word_counts() -> None:
    for attempt, (low, high) in enumerate([(0.25, 0.5), (0.5, 1), (1, 2)]):
        pause = pause_before_retry(READ, LOST, attempt, 9)
        assert pause is not None
        assert low <= pause <= high
    assert pause_before_retry(READ, Unavailable(503, {}, 7.0), 0, 3) == 7
    assert pause_before_retry(READ, Unavailable(503, {}, 61.0), 0, 3) is None


def test_a_read_is_repeated_until_it_is_answered() -> None:
    asking, script = client(
        problem(503, retry_after="0"),
        httpx.ReadTimeout("slow"),
        httpx.Response(502, text="<html>", headers={"Retry-After": "0"}),
        httpx.Response(200, json={"runs": []}),
    )  # fmt: skip
    assert asking.list_runs().runs == []
    assert [str(request.url) for request in script.asked] == ["https://lethe.test/prefix/runs"] * 4


def test_a_write_is_repeated_with_its_key_only() -> None:
    asking, script = client(problem(503, retry_after="0"), httpx.Response(202, json=ANSWERS["forget"]))
    assert asking.forget("user", idempotency_key="once").status == "queued"
    assert [request.headers["Idempotency-Key"] for request in script.asked] == ["once", "once"]
    asking, script = client(problem(503, retry_after="0"))
    with pytest.raises(Unavailable):
        asking.forget("user")
    assert "Idempotency-Key" not in script.asked[0].headers


def test_no_error_has_the_address_or_the_users_id_in_it() -> None:
    asking, script = client(httpx.ConnectError("refused"))
    with pytest.raises(ConnectionFailed) as lost:
        asking.forget_in_path("alice@example.com/1")
    assert script.asked[0].url.raw_path == b"/prefix/users/alice%40example.com%2F1/forget"
    assert "alice" not in f"{lost.value}{lost.value.__context__}"


def test_a_service_that_is_not_ready_is_an_answer() -> None:
    asking, _ = client(httpx.Response(503, json={"database": False, "store": True}))
    assert asking.readiness() == {"database": False, "store": True}


def test_waiting_ends_with_the_request_a_person_or_the_time() -> None:
    waiting = ANSWERS["read_forget_request"] | {"done": False, "status": "queued"}
    attention = waiting | {"status": "needs_attention", "detail_code": "ladder_exhausted"}
    asking, _ = client(*(httpx.Response(200, json=one) for one in (waiting, ANSWERS["read_forget_request"])))
    assert asking.wait_until_done("fr_1", timeout=60, every=0).outcome == "erased"
    asking, _ = client(*(httpx.Response(200, json=one) for one in (waiting, attention)))
    with pytest.raises(NeedsAttention, match="ladder_exhausted") as needs:
        asking.wait_until_done("fr_1", timeout=60, every=0)
    assert needs.value.last.status == "needs_attention"
    asking, _ = client(httpx.Response(200, json=waiting))
    with pytest.raises(WaitTimeout, match="is queued") as late:
        asking.wait_until_done("fr_1", timeout=0, every=1)
    assert late.value.last.status == "queued"


def test_pages_follow_one_another() -> None:
    page = ANSWERS["list_forget_requests"]
    asking, script = client(
        httpx.Response(200, json=page), httpx.Response(200, json=page | {"next_cursor": None})
    )
    assert len(list(asking.each_forget_request(status=["queued"]))) == 2
    first, second = (request.url.params for request in script.asked)
    assert (first.get("cursor"), second.get("cursor")) == (None, page["next_cursor"])
    assert second.get_list("status") == ["queued"]
