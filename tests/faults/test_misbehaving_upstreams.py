"""Whatever a model server does wrong ends in time, is told to the caller as specified, and leaves nothing behind.

Each case is asked for whole and streamed, of an installation with short limits, each of another length, so that the
time tells which one ended it. Every model may do one request at once: a slot that is not given back fails the next.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.acceptance.harness import Installation, installed, until
from tests.fakes import misbehaviour as wrong
from tests.fakes.misbehaviour import DELTA, DONE, ERROR, EVENTS, FINISH, HTML, JSON, LARGE_BYTES, PAGE
from tests.fakes.peer import Peer, head
from tests.fakes.upstream import CHUNKED, Script, chunk, closed_port, hanging_listener, serving

log = logging.getLogger("faults")
LIMITS_S = {"connect": 0.5, "first_byte": 0.9, "idle": 0.7, "answer": 1.3, "total": 1.8}
LATE_S = 8.0
"""Room for a busy machine; the log tells the real figures."""
LONG_BODY_BYTES = 12 * 1024 * 1024
PATIENCE_S = 30.0
HEALTHY = "healthy"
ROOMY = frozenset({"large", HEALTHY})
"""Models whose limits are as by default."""
BUSY = frozenset({"large", "flooding", "endless-line", "never-reading"})
AT_ONCE = 10
RECORDS = "SELECT request_id::VARCHAR AS request_id, status, outcome, error_class, attempts FROM records"
POOLED = 5
"""Connections that wait to be used again, at most; a leak would be of one for each of the cases that break."""


@dataclass(frozen=True, kw_only=True)
class End:
    """How a request ends: status, the error's code (None: there is none), and what is recorded.

    `limit` names the limit that ends it, None: at once. `body` is what is passed on as it came.
    """

    status: int
    outcome: str
    error_class: str | None
    code: str | None = None
    limit: str | None = None
    body: bytes | None = None
    closes: bool = True


def stalled(limit: str, *, begun: bool = False) -> End:
    """Return the end by a limit, before or after the answer began."""
    name = f"{limit}_timeout"
    status = 200 if begun else 504
    return End(status=status, outcome="timeout", error_class=name, code="upstream_timeout", limit=limit)


def broken(error_class: str, outcome: str = "upstream_error", *, begun: bool = False, closes: bool = True) -> End:
    """Return the end by a break, before or after the answer began."""
    status = 200 if begun else 502
    return End(status=status, outcome=outcome, error_class=error_class, code="upstream_error", closes=closes)


def passed(status: int, outcome: str, error_class: str | None, body: bytes | None, *, closes: bool = False) -> End:
    """Return the end of an answer that came whole and is passed on."""
    return End(status=status, outcome=outcome, error_class=error_class, body=body, closes=closes)


def unreadable(*, begun: bool = False) -> End:
    """Return the end by bytes that are no HTTP."""
    return broken("broken_http", "malformed", begun=begun)


MANY = [b"x-%d: y" % number for number in range(200)]
CASES: Mapping[str, tuple[Script, End | None, End | None]] = {
    "silent": (Peer.gone, stalled("answer"), stalled("first_byte")),
    "silent-after-head": (wrong.silent_after_the_head, stalled("idle"), stalled("first_byte")),
    "silent-in-mid-chunk": (wrong.silent_in_mid_chunk, stalled("idle"), stalled("idle", begun=True)),
    "trickling": (wrong.trickling, stalled("answer"), stalled("total", begun=True)),
    "trickling-one-event": (wrong.trickling_one_event, None, stalled("total", begun=True)),
    "trickling-head": (wrong.trickling_its_head, stalled("answer"), stalled("first_byte")),
    "announcing": (wrong.announcing_for_ever, stalled("answer"), stalled("first_byte")),
    "never-reading": (wrong.never_reading, stalled("answer"), stalled("first_byte")),
    "flooding": (wrong.flooding, None, stalled("total", begun=True)),
    "html": (
        wrong.sending(head(HTML, b"content-length: %d" % len(PAGE)) + PAGE),
        passed(200, "malformed", "not_json", PAGE),
        passed(200, "malformed", "not_json", PAGE),
    ),
    "html-502": (
        wrong.sending(head(HTML, b"content-length: %d" % len(PAGE), status=b"502 Bad Gateway") + PAGE),
        passed(502, "upstream_error", "http_502", PAGE),
        passed(502, "upstream_error", "http_502", PAGE),
    ),
    "array": (
        wrong.sending(head(JSON, b"content-length: 3") + b"[1]"),
        passed(200, "malformed", "not_json", b"[1]"),
        passed(200, "malformed", "not_json", b"[1]"),
    ),
    "array-event": (
        wrong.sending(head(EVENTS, CHUNKED) + chunk(b"data: [1]\n\n") + chunk(FINISH + DONE) + chunk(b"")),
        None,
        passed(200, "malformed", "not_json", b"data: [1]\n\n" + FINISH + DONE),
    ),
    "empty": (
        wrong.sending(head(JSON, b"content-length: 0")),
        passed(200, "malformed", "not_json", b""),
        passed(200, "malformed", "not_json", b""),
    ),
    "redirect": (
        wrong.sending(head(b"location: /elsewhere/v1/chat/completions", b"content-length: 0", status=b"307 Moved")),
        passed(307, "upstream_error", "http_307", b""),
        passed(307, "upstream_error", "http_307", b""),
    ),
    "reset-in-mid-event": (
        wrong.breaking_off(chunk(DELTA[:9]), end="reset"),
        broken("connection_lost"),
        broken("connection_lost", begun=True),
    ),
    "closed-in-mid-event": (
        wrong.breaking_off(chunk(DELTA[:9]), end="close"),
        broken("connection_lost"),
        broken("connection_lost", begun=True),
    ),
    "ended-in-mid-event": (
        wrong.breaking_off(chunk(DELTA[:9]) + chunk(b""), end="stay"),
        None,
        broken("closed_early", begun=True, closes=False),
    ),
    "error-event-first": (
        wrong.sending(head(EVENTS, CHUNKED) + chunk(b"data: " + ERROR + b"\n\n")),
        None,
        passed(502, "upstream_error", "error_event", ERROR, closes=True),
    ),
    "closed-before-head": (wrong.sending(end="close"), broken("connection_lost"), broken("connection_lost")),
    "reset-before-head": (wrong.sending(end="reset"), broken("connection_lost"), broken("connection_lost")),
    "closed-in-head": (
        wrong.sending(b"HTTP/1.1 200 OK\r\ncontent-", end="close"),
        broken("connection_lost"),
        broken("connection_lost"),
    ),
    "closed-after-head": (
        wrong.sending(head(EVENTS, CHUNKED), end="close"),
        broken("connection_lost"),
        broken("connection_lost"),
    ),
    "shorter-than-it-said": (
        wrong.sending(head(EVENTS, b"content-length: 4000"), DELTA, end="close"),
        broken("connection_lost", begun=True),
        broken("connection_lost", begun=True),
    ),
    "shorter-object": (
        wrong.sending(head(JSON, b"content-length: 4000") + b'{"id":"c1"', end="close"),
        broken("connection_lost"),
        broken("connection_lost"),
    ),
    "200-headers": (wrong.sending(head(*MANY, JSON, b"content-length: 2") + b"{}"), unreadable(), unreadable()),
    "nul-in-header": (wrong.sending(head(b"x-a: b\0c", b"content-length: 2") + b"{}"), unreadable(), unreadable()),
    "endless-header": (wrong.sending(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000), unreadable(), unreadable()),
    "no-http": (wrong.sending(b"+OK ready\r\n\r\n"), unreadable(), unreadable()),
    "bad-chunk": (wrong.sending(head(EVENTS, CHUNKED) + b"zz\r\nabc\r\n"), unreadable(), unreadable()),
    "bad-second-chunk": (
        wrong.breaking_off(b"zz\r\nabc\r\n", end="stay"),
        unreadable(),
        unreadable(begun=True),
    ),
    "gzip": (
        wrong.sending(head(JSON, b"content-encoding: gzip", b"content-length: 5") + b"\x1f\x8bbad"),
        broken("compressed", "malformed", closes=False),
        broken("compressed", "malformed", closes=False),
    ),
    "endless-line": (wrong.endless_line, None, broken("oversized_event", "malformed")),
    "large": (wrong.large, passed(200, "ok", None, None), passed(200, "ok", None, None)),
}
ELSEWHERE: Mapping[str, tuple[End, End]] = {
    "refusing": (broken("connect_refused"), broken("connect_refused")),
    "hanging": (stalled("connect"), stalled("connect")),
}
"""Upstreams at which nothing arrives."""
ASKED = [
    *((name, stream, end) for name, (_, *ends) in CASES.items() for stream, end in enumerate(ends) if end is not None),
    *((name, stream, end) for name, ends in ELSEWHERE.items() for stream, end in enumerate(ends)),
]


def configured(ports: Mapping[str, int], port: int) -> str:
    """Return a configuration with one upstream and one model for each case."""
    text = (
        "[server]\nport = 0\nconsole_port = 0\nmetrics_port = 0\nworkers = 1\nqueue = 0\n[lake]\nseal_every_s = 0.2\n"
    )
    limits = "".join(f"{name}_timeout_s = {limit_s}\n" for name, limit_s in LIMITS_S.items())
    for name in [*CASES, *ELSEWHERE, HEALTHY]:
        at = f"127.0.0.1:{ports.get(name, port)}/{name}/v1"
        text += f'[upstreams."{name}"]\nbase_url = "http://{at}"\n[models."{name}"]\nupstream = "{name}"\n'
        text += "" if name in ROOMY else limits
        text += "" if name == HEALTHY else "max_concurrent = 1\n"
    return f"{text}[applications.default]\n"


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What came back; `is_cut` when the body ended before its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_cut: bool
    took_s: float

    def error(self) -> dict[str, Any]:
        """Return the error: the whole body's, or the last event's."""
        said = self.body
        if self.status == 200:
            *_, said = said.rstrip(b"\n").rpartition(b"data: ")
        return json.loads(said)["error"]


def ask(one: Installation, model: str, *, stream: bool) -> Seen:
    """Send one request by a connection of its own, and read whatever comes to its end."""
    target = urlsplit(one.gateway)
    text = "x" * LONG_BODY_BYTES if model == "never-reading" else "Hello"
    body = json.dumps({"model": model, "stream": stream, "messages": [{"role": "user", "content": text}]})
    sent = {"authorization": f"Bearer {one.keys['application']}", "content-type": "application/json"}
    with contextlib.closing(http.client.HTTPConnection(target.hostname or "", target.port, timeout=PATIENCE_S)) as by:
        began = time.monotonic()
        by.request("POST", "/v1/chat/completions", body, sent)
        answer = by.getresponse()
        try:
            content, is_cut = answer.read(), False
        except http.client.IncompleteRead as error:
            content, is_cut = error.partial, True
        return Seen(
            status=answer.status,
            headers={name.lower(): value for name, value in answer.getheaders()},
            body=content,
            is_cut=is_cut,
            took_s=time.monotonic() - began,
        )


def descriptors(one: Installation) -> int:
    """Return how many file descriptors the workers have open, but for one that each limit has for good."""
    if not Path("/proc").exists():
        pytest.skip("not exercised: this system does not show the descriptors of other processes")
    opened = [path for page in one.pages().values() for path in Path(f"/proc/{page.pid}/fd").iterdir()]
    return sum("/limits-" not in _linked(path) for path in opened)


def _linked(path: Path) -> str:
    try:
        return str(path.readlink())
    except FileNotFoundError:
        return "/limits-"


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One installation, its upstream's connections by case, what each case's caller saw, and descriptors before."""

    one: Installation
    peers: dict[str, list[Peer]]
    seen: dict[tuple[str, int], Seen]
    descriptors: int


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setting]:
    """Ask everything, several cases at once, those that keep the machine busy alone."""
    peers: dict[str, list[Peer]] = {}
    scripts = {name: script for name, (script, *_) in CASES.items()} | {HEALTHY: wrong.healthy}
    with serving(wrong.by_path(scripts, peers)) as fake, hanging_listener() as hanging:
        config = configured({"refusing": closed_port(), "hanging": hanging}, fake.port)
        with installed(tmp_path_factory.mktemp("misbehaving"), config=config, simulated={}) as one:
            assert {ask(one, HEALTHY, stream=number % 2 == 0).status for number in range(6)} == {200}
            before = descriptors(one)
            yield Setting(one=one, peers=peers, seen=ask_everything(one), descriptors=before)


def ask_everything(one: Installation) -> dict[tuple[str, int], Seen]:
    """Ask every case in both of its ways, one after the other, since its model does one request at once."""
    ways: dict[str, list[int]] = {}
    for name, stream, _ in ASKED:
        ways.setdefault(name, []).append(stream)
    light = [name for name in ways if name not in BUSY]

    def both(name: str) -> list[Seen]:
        return [ask(one, name, stream=bool(stream)) for stream in ways[name]]

    with ThreadPoolExecutor(AT_ONCE) as pool:
        seen = dict(zip(light, pool.map(both, light), strict=True))
    seen |= {name: both(name) for name in ways if name in BUSY}
    return {(name, stream): each for name in ways for stream, each in zip(ways[name], seen[name], strict=True)}


@pytest.fixture(scope="module")
def records(setting: Setting) -> dict[str, dict[str, Any]]:
    """Return the records of all that was asked, by request id."""
    return {row["request_id"]: row for row in setting.one.lake(RECORDS)}


@pytest.mark.parametrize(("name", "stream", "end"), ASKED, ids=[f"{name}-{'ws'[way]}" for name, way, _ in ASKED])
def test_what_a_model_server_does_wrong_ends_as_specified(
    name: str, stream: int, end: End, setting: Setting, records: dict[str, dict[str, Any]]
):
    seen = setting.seen[name, stream]

    limit_s = LIMITS_S.get(end.limit or "", 0.0)
    log.info("%s, streamed %s: %.3f s after %s (%.1f s)", name, bool(stream), seen.took_s - limit_s, end.limit, limit_s)
    assert_told(seen, end)
    row = records[seen.headers["x-request-id"]]
    assert (row["status"], row["outcome"], row["error_class"]) == (end.status, end.outcome, end.error_class)
    tries = 2 if end.error_class == "connect_refused" else 1
    assert [attempt["error_class"] for attempt in row["attempts"]] == [end.error_class] * tries
    if name not in ROOMY:
        assert limit_s * 0.9 <= seen.took_s <= limit_s + LATE_S
    if end.closes and name in CASES:
        peers = setting.peers[name]
        until(lambda: all(peer.closed_at for peer in peers), "the upstream's connections are closed", within_s=10)


def assert_told(seen: Seen, end: End) -> None:
    """Fail unless the caller got what it is to get."""
    assert seen.status == end.status, seen
    assert not seen.is_cut
    assert "location" not in seen.headers
    assert "content-encoding" not in seen.headers
    if end.code is not None:
        error = seen.error()
        assert set(error) == {"message", "type", "param", "code"}
        assert (error["code"], error["type"]) == (end.code, "server_error")
        assert end.error_class is not None
        assert end.error_class in error["message"]
        assert DONE not in seen.body
        assert b"Bad gateway" not in seen.body
    elif end.body is not None:
        assert seen.body == end.body
    else:
        assert len(seen.body) > LARGE_BYTES * 0.99


def test_a_whole_answer_without_an_end_is_cut_off_at_its_limit(setting: Setting):
    seen = ask(setting.one, "flooding", stream=False)

    assert (seen.status, seen.is_cut) == (200, True)
    assert LIMITS_S["answer"] * 0.9 <= seen.took_s <= LIMITS_S["answer"] + LATE_S
    row = setting.one.record(seen.headers["x-request-id"])
    assert (row["status"], row["outcome"], row["error_class"]) == (200, "timeout", "answer_timeout")
    until(lambda: all(peer.closed_at for peer in setting.peers["flooding"]), "the upstream's connections are closed")


def test_a_redirect_is_never_followed(setting: Setting):
    assert setting.seen["redirect", 0].status == 307
    assert "elsewhere" not in setting.peers


def test_after_all_of_this_a_hundred_requests_succeed_and_nothing_is_left(setting: Setting):
    one = setting.one

    seen = [ask(one, HEALTHY, stream=number % 2 == 0) for number in range(100)]

    assert not [answer for answer in seen if answer.is_cut or answer.status != 200]
    until(lambda: not any(page.in_flight for page in one.pages().values()), "nothing is in flight")
    until(lambda: descriptors(one) <= setting.descriptors + POOLED, "the worker's descriptors are as before")
    assert one.settle().sound
