"""Send spans and metrics to an OTLP backend by OpenTelemetry's exporters: one HTTP request each, under time limits.

The law: sending never raises, follows nothing, reads no more of an answer than its head, and takes nothing from the
environment. An exporter of itself would try again for as long as its time limit, take a redirection for a success, and
tell no more than whether it went well; so its requests go out by an adapter of ours, which makes one try and keeps what
became of it. When there is another one is the caller's business.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping, Sequence
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Literal

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics.export import MetricsData
from opentelemetry.sdk.trace import ReadableSpan
from requests import PreparedRequest, Response, Session
from requests.adapters import HTTPAdapter

Fate = Literal["taken", "refused", "away"]
"""`refused`: it would be the same the next time; `away`: nobody is there, or has no time now."""

TIMEOUT_S = 10.0
"""For connecting, and for each wait for bytes."""
_AGAIN = frozenset({408, 429, 502, 503, 504})
"""The statuses after which OTLP/HTTP lets a client try again; any other failure is the same the next time."""
_FRAMING = frozenset({"content-type", "content-encoding"})
"""Headers that say what a body is, which nobody else may."""
_TALKATIVE = ("opentelemetry", "urllib3")
"""Loggers that would write a line of their own for every failure, which is counted already."""


class Backend:
    """The backend at a base `url` such as `http://127.0.0.1:4318`; `headers` go with every request.

    One thread sends at a time.
    """

    def __init__(self, url: str, headers: Mapping[str, str], timeout_s: float = TIMEOUT_S) -> None:
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        base = url.rstrip("/")
        self._try = _OneTry(ssl.create_default_context() if base.startswith("https://") else None, timeout_s)
        sent: dict[str, Any] = {
            "headers": {name: value for name, value in headers.items() if name.lower() not in _FRAMING},
            "timeout": timeout_s,
            "compression": Compression.Gzip,
            "session": _session(self._try),
        }
        self._spans = OTLPSpanExporter(f"{base}/v1/traces", **sent)
        self._metrics: Any = OTLPMetricExporter(f"{base}/v1/metrics", **sent)  # its methods are typed by halves

    def send_spans(self, spans: Sequence[ReadableSpan]) -> Fate:
        """Send spans on a connection of their own."""
        self._try.fate = "refused"
        self._spans.export(spans)
        return self._try.fate

    def send_metrics(self, metrics: MetricsData) -> Fate:
        """Send metrics on a connection of their own."""
        self._try.fate = "refused"
        self._metrics.export(metrics)
        return self._try.fate

    def close(self) -> None:
        """Send no more."""
        self._spans.shutdown()
        self._metrics.shutdown()


class _FailedError(Exception):
    """A request failed. It is none of the errors of `requests`, after which an exporter tries again by itself."""


class _OneTry(HTTPAdapter):
    """Makes one request on a connection of its own, trusting whom `trust` does, and keeps its `fate`."""

    def __init__(self, trust: ssl.SSLContext | None, timeout_s: float) -> None:
        self._trust, self._timeout_s = trust, timeout_s
        self.fate: Fate = "refused"
        """What became of the last request; of one that was never made: it would be the same the next time."""
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **more: Any) -> None:
        """Open connections with the system's certificates rather than those that come with `requests`."""
        super().init_poolmanager(*args, **more, ssl_context=self._trust)

    def cert_verify(self, *_: Any, **__: Any) -> None:
        """Add no certificates to those."""

    def send(self, request: PreparedRequest, *_: Any, **__: Any) -> Response:
        """Send a request; an answer's body is left unread.

        Raises:
            _FailedError: the backend is away or refuses.
        """
        try:
            answer = super().send(request, stream=True, timeout=self._timeout_s)
        except OSError as error:
            self.fate = "away"
            raise _FailedError from error
        answer.close()
        if 200 <= answer.status_code < 300:
            self.fate = "taken"
            return answer
        self.fate = "away" if answer.status_code in _AGAIN else "refused"
        raise _FailedError


def _session(adapter: HTTPAdapter) -> Session:
    """Return a session that knows nothing of proxies and passwords in the environment, and keeps nothing."""
    session = Session()
    session.trust_env, session.stream = False, True
    session.headers.clear()
    session.headers["connection"] = "close"
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
    for scheme in ("http://", "https://"):
        session.mount(scheme, adapter)
    return session
