"""A backend that takes OTLP over HTTP on a real socket, decodes it, and can be told to fail."""

from __future__ import annotations

import gzip
import ssl
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace import ReadableSpan


class OtlpBackend:
    """What it got; `status` is its answer, which it gives after `delay_s`."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.status, self.delay_s = 200, 0.0
        self.headers: list[Mapping[str, str]] = []
        self.traces: list[ExportTraceServiceRequest] = []
        self.metrics: list[ExportMetricsServiceRequest] = []
        self.asked = 0

    def take(self, path: str, headers: Mapping[str, str], body: bytes) -> int:
        """Take one request, and return the status of its answer."""
        self.asked += 1
        time.sleep(self.delay_s)
        if self.status != 200:
            return self.status
        self.headers.append(headers)
        content = gzip.decompress(body)
        if path == "/v1/traces":
            self.traces.append(ExportTraceServiceRequest.FromString(content))
        elif path == "/v1/metrics":
            self.metrics.append(ExportMetricsServiceRequest.FromString(content))
        else:
            return 404
        return 200

    def spans(self) -> list[Span]:
        """Return all spans that it has."""
        return [span for request in self.traces for span in _spans(request)]

    def last_metrics(self) -> dict[str, Metric]:
        """Return the metrics of the last push by name."""
        (resource,) = self.metrics[-1].resource_metrics
        (scope,) = resource.scope_metrics
        return {metric.name: metric for metric in scope.metrics}


def sent(spans: Iterable[ReadableSpan]) -> list[Span]:
    """Return spans as they are sent."""
    return list(_spans(encode_spans(list(spans))))


def _spans(request: ExportTraceServiceRequest) -> Iterator[Span]:
    return (span for one in request.resource_spans for scope in one.scope_spans for span in scope.spans)


def plain(attributes: Any) -> dict[str, Any]:
    """Return attributes as Python's values."""
    return {one.key: _value(one) for one in attributes}


def _value(one: KeyValue) -> Any:
    kind = one.value.WhichOneof("value")
    if kind == "array_value":
        return [inner.string_value for inner in one.value.array_value.values]
    return getattr(one.value, kind or "")


@contextmanager
def otlp_backend(certificate: Path | None = None) -> Iterator[OtlpBackend]:
    """Run one, with TLS if it has a certificate."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            self.send_response(backend.take(self.path, dict(self.headers.items()), body))
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        server.daemon_threads = True
        server.block_on_close = False
        backend = OtlpBackend(server.server_address[1])
        serving = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        serving.start()
        try:
            yield backend
        finally:
            server.shutdown()
            serving.join()
