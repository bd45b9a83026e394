from __future__ import annotations

import socket
from pathlib import Path

import pytest

from rollout.stores.ledger import LEDGER_FILE
from tests.fakes.console import SALES, RunningConsole, definitions, opened, serving


def test_the_description_lists_every_route_and_loads_nothing_from_elsewhere(console: RunningConsole):
    with console.client(console.keys.admin) as client:
        answer = client.get("/api/v1/openapi.json")

    described = answer.json()
    assert answer.headers["content-type"].startswith("application/vnd.oai.openapi+json")
    assert set(described["paths"]["/api/v1/rollouts/{name}/forced"]) == {"put", "delete"}
    assert described["paths"]["/api/v1/rollouts"]["get"]["description"] == "List the configured rollouts."
    assert "//cdn" not in answer.text


@pytest.mark.parametrize("path", ["/nothing", "/api/v1/nothing", "/api/v2/rollouts"])
def test_an_unknown_path_gets_the_envelope(console: RunningConsole, path: str):
    with console.client(console.keys.admin) as client:
        answer = client.get(path)

    assert answer.status_code == 404
    assert answer.json() == {
        "error": {
            "message": f"there is no GET {path}; /api/v1/openapi.json lists what there is",
            "type": "invalid_request_error",
            "param": None,
            "code": "unknown_url",
        }
    }


def test_a_wrong_method_gets_the_envelope_and_the_right_ones(console: RunningConsole):
    with console.client(console.keys.admin) as client:
        answer = client.post("/api/v1/rollouts")

    assert answer.status_code == 405
    assert "GET" in answer.headers["allow"]
    assert answer.json()["error"]["code"] == "method_not_allowed"


def test_every_answer_forbids_caching_and_sniffing(console: RunningConsole):
    with console.client(console.keys.admin) as client:
        answers = [client.get("/api/v1/rollouts"), client.get("/nothing"), client.get("/healthz")]

    assert {answer.headers["cache-control"] for answer in answers} == {"no-store"}
    assert {answer.headers["x-content-type-options"] for answer in answers} == {"nosniff"}


def test_a_body_that_is_too_large_is_refused(console: RunningConsole):
    with console.client(console.keys.admin) as client:
        answer = client.put(f"/api/v1/rollouts/{SALES}/percent", content=b" " * 70_000)

    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "request_too_large"
    assert answer.json()["error"]["message"].startswith("the body is larger than 64 KiB")


def test_a_body_that_is_no_text_is_refused(console: RunningConsole):
    with console.client(console.keys.admin) as client:
        body = b'{"percent":1,"version":1,"reason":"\xff"}'
        answer = client.put(f"/api/v1/rollouts/{SALES}/percent", content=body)

    assert answer.status_code == 400
    assert "no UTF-8" in answer.json()["error"]["message"]


def test_a_ledger_that_went_away_gets_503_with_the_remedy(tmp_path: Path, console: RunningConsole):
    (tmp_path / LEDGER_FILE).unlink()
    with console.client(console.keys.admin) as client:
        answer = client.get("/api/v1/rollouts")

    assert answer.status_code == 503
    assert "restart Turnout" in answer.json()["error"]["message"]


def test_a_failure_of_ours_tells_the_caller_nothing_of_its_cause(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    def broken() -> list:
        message = "the secret cause"
        raise RuntimeError(message)

    with (
        opened(tmp_path, definitions(), workers=broken) as control,
        serving(control) as console,
        console.client(console.keys.admin) as client,
    ):
        answer = client.get("/api/v1/status")

    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "internal_error"
    assert "secret" not in answer.text
    assert "GET /api/v1/status failed" in caplog.text


@pytest.mark.parametrize(
    "head", [b"GET / HTTP/1.1\r\n\r\n", b"nonsense\r\n\r\n", b"PUT /%ff HTTP/1.1\r\nhost: x\r\n\r\n"]
)
def test_a_strange_head_never_ends_the_console(console: RunningConsole, head: bytes):
    host, port = console.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(head)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(4096).startswith(b"HTTP/1.1 4")

    with console.client(None) as client:
        assert client.get("/healthz").json() == {"status": "ok"}
