from __future__ import annotations

import socket
import threading
import time

import pytest
from opentelemetry.sdk.metrics.export import MetricsData
from opentelemetry.sdk.resources import Resource

from analytics.telemetry.points import metrics_of
from analytics.telemetry.post import Backend, Fate
from tests.fakes.otlp_backend import OtlpBackend, otlp_backend, plain
from tests.fakes.upstream import CERTIFICATE

NOTHING = MetricsData([])


def send(url: str, **headers: str) -> Fate:
    return Backend(url, headers, timeout_s=10).send_spans([])


def test_both_signals_are_sent_compressed_with_the_headers_that_are_wanted() -> None:
    with otlp_backend() as backend:
        assert send(backend.url, **{"authorization": "Bearer x", "content-type": "text/plain"}) == "taken"
        assert Backend(backend.url + "/", {}).send_metrics(NOTHING) == "taken"

    first, second = [{name.lower(): value for name, value in headers.items()} for headers in backend.headers]
    assert (first["authorization"], first["content-type"]) == ("Bearer x", "application/x-protobuf")
    assert first["content-encoding"] == second["content-encoding"] == "gzip"
    assert "authorization" not in second
    assert (len(backend.traces), len(backend.metrics)) == (1, 1)


@pytest.mark.parametrize(("status", "fate"), [(429, "away"), (503, "away"), (500, "refused"), (400, "refused")])
def test_a_status_says_whether_it_is_worth_another_try_and_it_is_not_made_here(status: int, fate: str) -> None:
    with otlp_backend() as backend:
        backend.status = status
        target = Backend(backend.url, {})

        assert (target.send_spans([]), target.send_metrics(NOTHING)) == (fate, fate)
    assert backend.asked == 2


def test_a_redirection_is_not_followed_and_no_success() -> None:
    with otlp_backend() as backend:
        backend.status = 307

        assert send(backend.url) == "refused"
    assert backend.asked == 1


def test_a_backend_that_comes_back_gets_what_is_sent_then() -> None:
    with otlp_backend() as backend:
        target = Backend(backend.url, {})
        backend.status = 503
        assert target.send_spans([]) == "away"
        backend.status = 200
        assert target.send_spans([]) == "taken"


def test_nobody_there_is_away() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    assert send(f"http://127.0.0.1:{port}") == "away"


def test_a_backend_that_never_answers_is_away_after_its_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"

        assert Backend(url, {}, timeout_s=0.5).send_spans([]) == "away"


@pytest.mark.parametrize(("status", "fate"), [("200 OK", "taken"), ("307 Elsewhere", "refused"), ("500 No", "refused")])
def test_an_answer_without_end_is_not_read(status: str, fate: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        writing = threading.Thread(target=answer_for_ever, args=(server, status), daemon=True)
        writing.start()

        assert send(f"http://127.0.0.1:{server.getsockname()[1]}") == fate
        writing.join(20)
    assert not writing.is_alive()


def answer_for_ever(server: socket.socket, status: str) -> None:
    connection, _ = server.accept()
    with connection:
        connection.recv(65_536)
        head = f"HTTP/1.1 {status}\r\nlocation: http://127.0.0.1:1/\r\ntransfer-encoding: chunked\r\n\r\n"
        connection.sendall(head.encode())
        try:
            while True:
                connection.sendall(b"4000\r\n" + bytes(0x4000) + b"\r\n")
        except OSError:
            return


def test_a_backend_whose_certificate_nobody_trusts_gets_nothing() -> None:
    with otlp_backend(CERTIFICATE) as backend:
        assert send(backend.url.replace("http://", "https://")) == "away"
    assert not backend.traces


def test_a_backend_whose_certificate_the_system_trusts_gets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    with otlp_backend(CERTIFICATE) as backend:
        assert send(backend.url.replace("http://", "https://")) == "taken"


def test_the_environment_sends_nothing_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    with otlp_backend() as backend, otlp_backend() as other:
        for name in ("", "_TRACES", "_METRICS"):
            monkeypatch.setenv(f"OTEL_EXPORTER_OTLP{name}_ENDPOINT", other.url)
            monkeypatch.setenv(f"OTEL_EXPORTER_OTLP{name}_COMPRESSION", "none")
            monkeypatch.setenv(f"OTEL_EXPORTER_OTLP{name}_TIMEOUT", "0")
            monkeypatch.setenv(f"OTEL_EXPORTER_OTLP{name}_CERTIFICATE", "/nowhere")
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, other.url)
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "canary=canary")
        target = Backend(backend.url, {})

        assert (target.send_spans([]), target.send_metrics(of_nobody())) == ("taken", "taken")
    assert other.asked == 0
    assert resource_of(backend) == {"service.name": "turnout"}


def of_nobody() -> MetricsData:
    return metrics_of([], Resource({"service.name": "turnout"}), since_ns=1, now_ns=2)


def resource_of(backend: OtlpBackend) -> dict[str, str]:
    return plain(backend.metrics[0].resource_metrics[0].resource.attributes)


def test_failures_are_counted_elsewhere_and_nothing_is_printed(caplog: pytest.LogCaptureFixture) -> None:
    with otlp_backend() as backend:
        for status in (503, 500):
            backend.status = status
            send(backend.url)
    send(backend.url)

    assert not caplog.records


def test_a_closed_one_ends_at_once_and_sends_no_more() -> None:
    with otlp_backend() as backend:
        target = Backend(backend.url, {})
        target.close()
        began_s = time.monotonic()

        assert (target.send_spans([]), target.send_metrics(NOTHING)) == ("refused", "refused")
        assert time.monotonic() - began_s < 10
    assert backend.asked == 0
