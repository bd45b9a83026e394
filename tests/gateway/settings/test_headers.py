from __future__ import annotations

import pytest

from gateway.settings.headers import forwarding_problems, has_meaning
from gateway.settings.schema import Configuration, Upstream


def found(*headers: str) -> list[str]:
    upstream = Upstream(base_url="http://127.0.0.1:9/v1", forward_headers=headers)
    return [str(problem) for problem in forwarding_problems(Configuration(upstreams={"own": upstream}))]


def test_headers_of_an_installation_s_own_may_be_forwarded():
    assert found("x-tenant", "user-agent", "tracestate") == []


@pytest.mark.parametrize(
    "header",
    [
        *("authorization", "x-api-key", "api-key", "cookie", "host", "connection", "te", "content-length"),
        *("content-encoding", "accept-encoding", "traceparent", "x-request-id", "forwarded"),
        *("x-turnout-purpose", "x-forwarded-for", "proxy-authorization", "sec-fetch-mode"),
    ],
)
def test_what_is_never_taken_from_a_caller_is_refused(header: str):
    assert found(header) == [f'upstreams.own.forward_headers[0]: "{header}" is never taken from a caller; leave it out']
    assert has_meaning(header)


def test_what_is_passed_on_already_is_refused():
    assert found("accept", "x-a", "x-a") == [
        'upstreams.own.forward_headers[0]: "accept" is passed on already; leave it out',
        'upstreams.own.forward_headers[2]: "x-a" is passed on already; leave it out',
    ]


def test_a_header_of_users_has_no_other_meaning():
    assert not has_meaning("x-user-id")
    assert has_meaning("user-agent")
    assert has_meaning("accept")
