"""Workers that may open few files: more callers than they have room for are bounded, and those who ask are answered."""

from __future__ import annotations

import resource
import signal
import socket
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from tests.acceptance.harness import CONFIG, installed, until
from tests.bad_input.front import Front, encoded

FILES = 200
CROWD = 400
ASKED = 40
ONE_WORKER = CONFIG.replace("workers = 2", "workers = 1")


def test_silent_callers_make_way_for_those_who_ask(tmp_path: Path):
    with installed(tmp_path, config=ONE_WORKER) as one, ExitStack() as held:
        (former,) = (page.pid for page in one.pages().values())
        resource.prlimit(one.process.pid, resource.RLIMIT_NOFILE, (FILES, FILES))
        one.process.send_signal(signal.SIGHUP)
        until(lambda: former not in {page.pid for page in one.pages().values()}, "the worker is replaced")
        client = held.enter_context(httpx.Client(trust_env=False, timeout=20))
        front = Front(one, client)
        address = urlsplit(one.gateway)
        crowd = [
            held.enter_context(socket.create_connection((address.hostname or "", address.port or 0), timeout=20))
            for _ in range(CROWD)
        ]

        answers = [front.bytes(_request(front)) for _ in range(ASKED)]

        assert [answer.status for answer in answers] == [200] * ASKED
        assert sum(_is_closed(connection) for connection in crowd) >= CROWD - FILES
        said = [line for line in one.log() if "made_way" in line.get("codes", {})]
        assert sum(line["codes"]["made_way"] for line in said) >= CROWD - FILES
        assert one.settle().outcomes == {"ok": ASKED}


def _request(front: Front) -> bytes:
    body = encoded()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {front.key}\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body


def _is_closed(connection: socket.socket) -> bool:
    connection.settimeout(0.01)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True
