"""Paths and methods that lead nowhere, or would lead somewhere else."""

from __future__ import annotations

import pytest

from tests.bad_input.front import Front

DOTS = [
    "/v1/../v1/chat/completions",
    "/v1/./chat/completions",
    "/v1/chat/../chat/completions",
    "/v1/chat/completions/.",
    "/v1/chat/completions/..",
    "/v1/%2e%2e/v1/chat/completions",
    "/v1/%2E%2e/chat/completions",
    "/v1/.%2e/chat/completions",
    "/v1/%2e/chat/completions",
    "/v1/a%2f..%2fchat/completions",
    "/v1/a%5c..%5cchat/completions",
    "/v1/a\\..\\chat/completions",
    "/v1/models/../chat/completions",
    "/v1/models/%2e%2e",
    "/v1/..;/chat/completions",
]


@pytest.mark.parametrize("path", DOTS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_dot_segment_is_refused_in_every_disguise(front: Front, method: str, path: str):
    answer = front.raw(first=f"{method} {path} HTTP/1.1".encode())

    front.assert_refused(answer, 400, "bad_path", is_recorded=False)


OUTSIDE = [
    "/../x",
    "/..",
    "/%2e%2e/v1/models",
    "/",
    "/v1",
    "/v1/",
    "/v11",
    "/v11/chat/completions",
    "/V1/models",
    "/v2/x",
]
UNKNOWN = [
    "/v1/chat/completions/",
    "/v1//chat/completions",
    "//v1/chat/completions",
    "/v1/chat%2fcompletions",
    "/v1/chat/completions%00",
    "/v1/chat/completions;x=1",
    "/v1/files",
    "/v1/batches",
    "/v1/assistants",
    "/v1/fine_tuning/jobs",
    "/v1/realtime/client_secrets",
    "/v1/responses/resp_1/cancel",
    "/v1/%252e%252e/chat/completions",
]


@pytest.mark.parametrize("path", [*OUTSIDE, *UNKNOWN])
def test_an_unknown_path_is_said_and_not_forwarded(front: Front, path: str):
    answer = front.raw(first=f"POST {path} HTTP/1.1".encode())

    assert (answer.status, answer.error["code"], answer.error["type"]) == (404, "unknown_url", "invalid_request_error")
    assert not answer.rest


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE"])
def test_another_method_is_refused_with_the_one_that_is_possible(front: Front, method: str):
    answer = front.raw(first=f"{method} /v1/chat/completions HTTP/1.1".encode())

    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    if method != "HEAD":
        front.assert_refused(answer, 405, "method_not_allowed", is_recorded=False)


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/sales-companion"])
def test_models_can_only_be_read(front: Front, path: str):
    front.assert_refused(
        front.raw(first=f"DELETE {path} HTTP/1.1".encode()), 405, "method_not_allowed", is_recorded=False
    )


@pytest.mark.parametrize(
    "target",
    [
        "http://elsewhere.example/v1/chat/completions",
        "http://u:p@localhost:1/v1/chat/completions",
        "ftp://localhost/v1/chat/completions",
    ],
)
def test_a_target_that_names_another_server_is_refused(front: Front, target: str):
    answer = front.raw(first=f"POST {target} HTTP/1.1".encode())

    front.assert_refused(answer, 400, "invalid_target", is_recorded=False)


def test_a_target_that_names_this_server_is_its_path(running: Front):
    assert running.raw(first=b"POST http://localhost:80/v1/chat/completions HTTP/1.1").status == 200


def test_a_query_goes_on_and_a_fragment_does_not(running: Front):
    assert running.raw(first=b"POST /v1/chat/completions?a=%2e%2e%2f&b=/../c#x HTTP/1.1").status == 200


def test_options_of_everything_is_refused(front: Front):
    front.assert_refused(front.raw(first=b"OPTIONS * HTTP/1.1"), 400, "invalid_target", is_recorded=False)
