from __future__ import annotations

import socket

import pytest

from analytics.telemetry.post import Backend
from tests.fakes.otlp_backend import otlp_backend
from tests.fakes.upstream import CERTIFICATE


def test_a_body_is_sent_compressed_with_the_headers_that_are_wanted() -> None:
    with otlp_backend() as backend:
        assert Backend(backend.url, {"authorization": "Bearer x"}).post("traces", b"") == "taken"
        assert Backend(backend.url + "/", {}).post("metrics", b"") == "taken"

    first, second = backend.headers
    assert (first["authorization"], first["content-type"]) == ("Bearer x", "application/x-protobuf")
    assert "authorization" not in second
    assert (len(backend.traces), len(backend.metrics)) == (1, 1)


@pytest.mark.parametrize(("status", "fate"), [(429, "away"), (503, "away"), (500, "refused"), (400, "refused")])
def test_a_status_says_whether_it_is_worth_another_try(status: int, fate: str) -> None:
    with otlp_backend() as backend:
        backend.status = status

        assert Backend(backend.url, {}).post("traces", b"") == fate


def test_a_redirection_is_not_followed() -> None:
    with otlp_backend() as backend:
        backend.status = 307

        assert Backend(backend.url, {}).post("traces", b"") == "refused"
    assert backend.asked == 1


def test_nobody_there_is_away() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    assert Backend(f"http://127.0.0.1:{port}", {}).post("traces", b"") == "away"


def test_a_backend_that_never_answers_is_away_after_its_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"

        assert Backend(url, {}, timeout_s=0.5).post("traces", b"") == "away"


def test_a_backend_whose_certificate_nobody_trusts_gets_nothing() -> None:
    with otlp_backend(CERTIFICATE) as backend:
        secure = backend.url.replace("http://", "https://")

        assert Backend(secure, {}).post("traces", b"") == "away"
    assert not backend.traces
