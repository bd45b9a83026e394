"""What is measured of a real installation, as Prometheus gets it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import httpx
import pytest

from tests.acceptance.harness import BASE, PATIENCE_S, ROLLOUT, Installation, installed
from tests.fakes.plain import PLAIN

INVENTED = "sk-canary-not-a-model"
USER = "canary-user@example.com"
WORDS = "canary words of a prompt"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installed(tmp_path_factory.mktemp("telemetry")) as one:
        yield one


def metrics_url(running: Installation) -> str:
    return json.loads((running.state_dir / "addresses.json").read_text())["metrics"] + "/metrics"


def page(running: Installation) -> str:
    answer = httpx.get(metrics_url(running), trust_env=False, verify=PLAIN, timeout=PATIENCE_S)
    return answer.raise_for_status().text


def total(text: str, name: str, **labels: str) -> float:
    wanted = [f'{label}="{value}"' for label, value in labels.items()]
    lines = [line for line in text.splitlines() if re.match(rf"{name}(\{{|\s)", line)]
    return sum(float(line.rpartition(" ")[2]) for line in lines if all(one in line for one in wanted))


def ask(running: Installation, model: str = ROLLOUT, *, stream: bool = False) -> int:
    body = {"model": model, "user": USER, "stream": stream, "messages": [{"role": "user", "content": WORDS}]}
    headers = {"authorization": f"Bearer {running.keys['application']}"}
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
