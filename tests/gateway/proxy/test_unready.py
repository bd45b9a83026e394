from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from analytics.journal.status import StatusPage
from gateway.proxy.unready import Unready, another_serves, answer_to
from tests.fakes.plain import PLAIN

PATIENCE_S = 20.0


def nobody() -> bool:
    return False


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        yield bound


@pytest.fixture
def client(listener: socket.socket) -> Iterator[httpx.Client]:
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with httpx.Client(base_url=url, trust_env=False, verify=PLAIN, timeout=PATIENCE_S) as made:
        yield made


def test_who_asks_while_there_is_no_snapshot_is_answered_at_once(listener: socket.socket, client: httpx.Client):
    unready = Unready(listener, nobody, patience_s=0.0)
    unready.tell("Redis is away")
    try:
        ready, alive = client.get("/readyz"), client.get("/healthz")
        chat = client.post("/v1/chat/completions", content=b"x" * 300_000)
    finally:
        unready.end()

    assert (ready.status_code, ready.text) == (503, "not ready: Redis is away")
    assert (alive.status_code, alive.text) == (200, "ok")
    assert (chat.status_code, chat.headers["retry-after"], chat.json()["error"]["code"]) == (503, "1", "overloaded")


def test_after_its_end_it_takes_nobody_and_the_port_is_open_still(listener: socket.socket):
    unready = Unready(listener, nobody, patience_s=0.0)
    unready.tell("nothing is known")
    unready.end()

    with socket.create_connection(listener.getsockname(), timeout=PATIENCE_S):
        listener.settimeout(PATIENCE_S)
        taken, _ = listener.accept()
        taken.close()


def test_a_worker_that_never_waits_starts_nothing(listener: socket.socket):
    Unready(listener, nobody).end()


def test_while_another_worker_serves_the_port_its_callers_are_left_to_it(listener: socket.socket):
    asked: list[bool] = []
    unready = Unready(listener, lambda: not asked.append(True), patience_s=0.0)
    unready.tell("nothing is known")
    with socket.create_connection(listener.getsockname(), timeout=PATIENCE_S):
        while len(asked) < 3:
            time.sleep(0.01)
        unready.end()

        listener.settimeout(PATIENCE_S)
        taken, _ = listener.accept()
        taken.close()


def test_who_serves_has_a_fresh_page_and_lives(tmp_path: Path):
    own, other = (
        StatusPage.create(tmp_path / f"{name}.status", boot="b", pid=os.getpid()) for name in ("worker-0", "worker-1")
    )
    own.updated_at = 10_000_000
    (tmp_path / "worker-2.status").write_bytes(b"of another version")

    assert not another_serves(tmp_path, "worker-0", now_us=10_000_000), "worker-1 has no snapshot yet"
    other.updated_at = 10_000_000
    assert another_serves(tmp_path, "worker-0", now_us=11_900_000)
    assert not another_serves(tmp_path, "worker-0", now_us=12_100_000), "worker-1 stands still"

    dead = subprocess.Popen(["true"])
    dead.wait()
    other = StatusPage.create(tmp_path / "worker-1.status", boot="b", pid=dead.pid)
    other.updated_at = 10_000_000
    assert not another_serves(tmp_path, "worker-0", now_us=10_000_000)


@pytest.mark.parametrize("sent", [b"", b"GET", b"NONSENSE\r\n\r\n", b"\xff \xfe \xfd\r\n\r\n"])
def test_who_sends_no_request_is_ended_or_refused(listener: socket.socket, sent: bytes):
    unready = Unready(listener, nobody, patience_s=0.0)
    unready.tell("nothing is known")
    try:
        with socket.create_connection(listener.getsockname(), timeout=PATIENCE_S) as caller:
            caller.sendall(sent)
            caller.shutdown(socket.SHUT_WR)
            got = b"".join(iter(lambda: caller.recv(65536), b""))
    finally:
        unready.end()

    assert got == b"" or got.startswith(b"HTTP/1.1 503 ")


def test_a_path_is_known_with_its_query_and_the_answer_carries_an_id():
    assert answer_to(b"GET /healthz?full HTTP/1.1\r\n\r\n", "", str).startswith(b"HTTP/1.1 200 OK\r\n")
    told = answer_to(b"GET /v1/models HTTP/1.1\r\n\r\n", "", lambda: "an-id")

    assert b"x-request-id: an-id\r\n" in told
    assert json.loads(told.partition(b"\r\n\r\n")[2])["error"]["type"] == "server_error"
