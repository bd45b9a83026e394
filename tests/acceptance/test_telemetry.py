"""What is measured of a real installation, as Prometheus and an OTLP backend get it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from analytics.trace import attempt_span_id
from tests.acceptance.harness import BASE, CONFIG, PATIENCE_S, ROLLOUT, Installation, installed, until
from tests.fakes.otlp_backend import OtlpBackend, otlp_backend, plain
from tests.fakes.peer import Peer
from tests.fakes.plain import PLAIN
from tests.fakes.upstream import FakeUpstream, closed_port, serving

INVENTED = "sk-canary-not-a-model"
USER = "canary-user@example.com"
WORDS = "canary words of a prompt"


TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
ANSWER = b'{"id":"chatcmpl-1","choices":[{"index":0,"finish_reason":"stop","message":{"content":"Hi."}}]}'
PUSHED = """
[telemetry]
otlp_url = "{otlp}"
otlp_headers = {{ authorization = {{ env = "OTLP" }} }}
sample = 0
slow_s = 86400
metrics_every_s = 0.5

[upstreams.heard]
base_url = "{heard}/v1"

[models.heard]
upstream = "heard"

[upstreams.gone]
base_url = "http://127.0.0.1:{gone}/v1"

[models.gone]
upstream = "gone"
"""


ENVIRONMENT = {
    "OTLP": "b1",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "authorization=canary,x-canary=canary",
    "OTEL_RESOURCE_ATTRIBUTES": "canary=canary",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "canary",
}
"""A secret that the file refers to, and what OpenTelemetry's SDK reads by itself, which changes nothing."""


async def answering(peer: Peer) -> None:
    while True:
        await peer.read()
        await peer.answer(ANSWER)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """An installation that pushes to a backend, and a model server that keeps what it is asked."""

    one: Installation
    backend: OtlpBackend
    heard: FakeUpstream


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with otlp_backend() as backend, serving(answering) as heard:
        config = CONFIG + PUSHED.format(otlp=backend.url, heard=heard.url, gone=closed_port())
        with installed(tmp_path_factory.mktemp("telemetry"), config=config, environment=ENVIRONMENT) as one:
            yield Stage(one=one, backend=backend, heard=heard)


@pytest.fixture
def running(stage: Stage) -> Installation:
    return stage.one


def metrics_url(running: Installation) -> str:
    return json.loads((running.state_dir / "addresses.json").read_text())["metrics"] + "/metrics"


def page(running: Installation) -> str:
    answer = httpx.get(metrics_url(running), trust_env=False, verify=PLAIN, timeout=PATIENCE_S)
    return answer.raise_for_status().text


def total(text: str, name: str, **labels: str) -> float:
    wanted = [f'{label}="{value}"' for label, value in labels.items()]
    lines = [line for line in text.splitlines() if re.match(rf"{name}(\{{|\s)", line)]
    return sum(float(line.rpartition(" ")[2]) for line in lines if all(one in line for one in wanted))


def ask(running: Installation, model: str = ROLLOUT, *, stream: bool = False, trace: str | None = None) -> int:
    body = {"model": model, "user": USER, "stream": stream, "messages": [{"role": "user", "content": WORDS}]}
    headers = {"authorization": f"Bearer {running.keys['application']}"}
    headers |= {"traceparent": trace} if trace is not None else {}
    url = f"{running.base_url}/chat/completions"
    sent = {"json": body, "headers": headers, "timeout": PATIENCE_S}
    return httpx.post(url, **sent, trust_env=False, verify=PLAIN).status_code


def test_requests_are_counted_as_they_end_and_once_whatever_becomes_of_the_shipper(running: Installation) -> None:
    for _ in range(5):
        assert ask(running) == 200
        assert ask(running, BASE, stream=True) == 200
    assert ask(running, INVENTED) == 404

    # A worker appends an answer's record before its last byte, so that whoever has the answer finds it counted.
    first = page(running)
    assert total(first, "turnout_requests_total", outcome="ok", rollout=ROLLOUT, arm="base", model=BASE) == 10
    assert total(first, "turnout_requests_total", outcome="rejected", model="") == 1
    assert total(first, "turnout_time_to_first_token_seconds_count", arm="base") >= 5
    assert total(first, "turnout_cost_usd_count") == 10
    assert total(first, "turnout_in_flight_requests") == 0
    assert not re.search(f"{INVENTED}|{USER}|{WORDS}", first)

    running.kill("shipper")
    for _ in range(3):
        assert ask(running) == 200
    assert total(page(running), "turnout_requests_total") == 3

    (row,) = running.lake("SELECT count(*) AS requests, sum(output_tokens) AS output_tokens FROM records")
    assert row == {"requests": 14, "output_tokens": total(first, "turnout_tokens_sum", type="output") + more(running)}


def more(running: Installation) -> float:
    return total(page(running), "turnout_tokens_sum", type="output")


def test_workers_and_shipper_tell_of_themselves(running: Installation) -> None:
    assert ask(running) == 200
    running.settle()
    text = page(running)

    for worker in ("worker-0", "worker-1"):
        assert total(text, "turnout_snapshot_source", worker=worker, source="ledger") == 1
        assert total(text, "turnout_snapshot_version", worker=worker) >= 1
        assert total(text, "turnout_worker_page_age_seconds", worker=worker) < PATIENCE_S
    assert total(text, "turnout_journal_trouble") == total(text, "turnout_journal_lost_frames_total") == 0
    assert total(text, "turnout_shipper_rows_total", dataset="records") >= 1
    assert total(text, "turnout_lake_away") == 0
    assert total(text, "turnout_telemetry_trouble_total") == 0
    assert total(text, "turnout_heartbeat_timestamp_seconds") > 0
    assert float(total(text, "turnout_shipper_waiting_bytes")) >= 0


def test_one_trace_goes_from_the_caller_through_us_to_the_model_server(stage: Stage) -> None:
    assert ask(stage.one, "heard", trace=f"00-{TRACE}-{PARENT}-01") == 200
    until(lambda: len(spans_of(stage, TRACE)) == 2, "both spans have arrived")

    request, attempt = spans_of(stage, TRACE)
    assert (request.name, request.parent_span_id.hex()) == ("chat heard", PARENT)
    assert attempt.parent_span_id == request.span_id
    assert attempt.span_id.hex() == attempt_span_id(request.span_id.hex(), 1)
    told = dict(stage.heard.requests[-1].headers)["traceparent"]
    assert told == f"00-{TRACE}-{attempt.span_id.hex()}-01"
    about = plain(request.attributes)
    assert about["gen_ai.response.finish_reasons"] == ["stop"]
    record = stage.one.record(about["turnout.request_id"])
    assert (record["trace_id"], record["span_id"]) == (TRACE, request.span_id.hex())
    assert record["parent_span_id"] == PARENT
    assert {headers["authorization"] for headers in stage.backend.headers} == {"Bearer b1"}
    assert "canary" not in str([headers.values() for headers in stage.backend.headers])
    resource = stage.backend.traces[-1].resource_spans[0].resource
    assert set(plain(resource.attributes)) == {"service.name", "service.version", "service.instance.id"}


def spans_of(stage: Stage, trace_id: str) -> list[Span]:
    return [span for span in stage.backend.spans() if span.trace_id.hex() == trace_id]


def test_failed_requests_are_told_and_of_the_others_those_that_are_sampled(stage: Stage) -> None:
    assert ask(stage.one, "heard") == 200
    assert ask(stage.one, "gone") == 502
    until(lambda: any(span.name == "chat gone" for span in stage.backend.spans()), "the failed one has arrived")

    names = {span.name for span in stage.backend.spans() if span.trace_id.hex() != TRACE}
    assert names == {"chat gone"}
    failed = next(span for span in stage.backend.spans() if span.name == "chat gone")
    assert plain(failed.attributes)["error.type"] == "connect_refused"
    assert not failed.parent_span_id
    assert not re.search(f"{WORDS}|{USER}", str(stage.backend.traces))


def test_metrics_arrive_under_the_conventions_names(stage: Stage) -> None:
    assert ask(stage.one) == 200

    def counted() -> float:
        metrics = stage.backend.last_metrics() if stage.backend.metrics else {}
        duration = metrics.get("gen_ai.client.operation.duration")
        points = duration.histogram.data_points if duration is not None else []
        return sum(one.count for one in points if plain(one.attributes).get("gen_ai.response.model") == BASE)

    until(lambda: counted() >= 1, "the request is counted")
    assert "turnout.in_flight_requests" in stage.backend.last_metrics()


def test_a_backend_that_fails_changes_nothing_but_its_counts(stage: Stage) -> None:
    stage.backend.status = 500
    try:
        refused = {"signal": "metrics", "fate": "refused"}
        until(lambda: total(page(stage.one), "turnout_telemetry_pushed_total", **refused) >= 1, "a push is refused")
        assert ask(stage.one) == 200
    finally:
        stage.backend.status = 200
