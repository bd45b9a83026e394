"""A candidate that fails costs its users nothing, and its figures everything; nothing multiplies what fails.

One installation with a rollout for each fault. Of the requests that reach a candidate, it fails the first, fourth and
seventh of every ten; what it failed is counted where it happened, and held against the records and the report.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tests.acceptance.harness import Installation, installed, until
from tests.fakes.misbehaviour import DELTA, DONE, ERROR, EVENTS, FINISH, JSON
from tests.fakes.peer import Peer, head
from tests.fakes.plain import PLAIN
from tests.fakes.upstream import CHUNKED, Script, chunk, closed_port, hanging_listener, serving

log = logging.getLogger("faults")
FAILING = frozenset({0, 3, 6})
"""Of ten requests that reach a candidate."""
PERCENT = 40
REQUESTS = 120
STALLING = frozenset({"timeout", "silent-stream", "mixed"})
"""Of these, half as many, since each stall is waited for."""
ANSWER_S, CONNECT_S = 2.5, 0.3
"""Long enough for who is only slow, on a busy machine."""
AT_ONCE = 6
BASE, BASE_USD = "gpt", 5e-6
USAGE = b'"usage":{"prompt_tokens":3,"completion_tokens":1}'
WHOLE = b'{"id":"c1","choices":[{"index":0,"message":{"content":"word"},"finish_reason":"stop"}],' + USAGE + b"}"
USAGE_CHUNK = b'data: {"id":"c1","choices":[],' + USAGE + b"}\n\n"


async def healthy(peer: Peer) -> None:
    if b'"stream":true' in peer.requests[-1].body:
        said = (DELTA, FINISH, USAGE_CHUNK, DONE)
        await peer.send(head(EVENTS, CHUNKED) + b"".join(map(chunk, said)) + chunk(b""))
    else:
        await peer.answer(WHOLE, JSON)


def refusing(status: bytes) -> Script:
    async def script(peer: Peer) -> None:
        await peer.answer(b'{"error":{"message":"no"}}', JSON, status=status)

    return script


async def error_event(peer: Peer) -> None:
    await peer.send(head(EVENTS, CHUNKED) + chunk(b"data: " + ERROR + b"\n\n") + chunk(b""))


async def resetting(peer: Peer) -> None:
    peer.reset()
    await peer.gone()


async def silent_after_its_head(peer: Peer) -> None:
    await peer.send(head(EVENTS, CHUNKED))
    await peer.gone()


KINDS: dict[str, tuple[Sequence[Script], str]] = {
    "http-500": ([refusing(b"500 Internal Server Error")], "upstream_error"),
    "http-503": ([refusing(b"503 Service Unavailable")], "upstream_error"),
    "http-429": ([refusing(b"429 Too Many Requests")], "upstream_error"),
    "http-401": ([refusing(b"401 Unauthorized")], "upstream_error"),
    "http-404": ([refusing(b"404 Not Found")], "upstream_error"),
    "timeout": ([Peer.gone], "timeout"),
    "silent-stream": ([silent_after_its_head], "timeout"),
    "error-event": ([error_event], "upstream_error"),
    "reset": ([resetting], "upstream_error"),
}
MIXED = [script for scripts, _ in KINDS.values() for script in scripts]
STREAMED = frozenset({"error-event", "silent-stream"})
"""What only streams do; of the others, every other request is streamed."""
SCRIPTS: dict[str, Sequence[Script]] = {**{name: scripts for name, (scripts, _) in KINDS.items()}, "mixed": MIXED}
ALWAYS: dict[str, Script] = {
    "busy": refusing(b"429 Too Many Requests"),
    "broken": refusing(b"503 Service Unavailable"),
    "resets": resetting,
}
"""Rollouts of which both arms fail, always."""
REVOKED: dict[str, Script] = {
    "revoked": refusing(b"401 Unauthorized"),
    "deleted": refusing(b"404 Not Found"),
    "throttled": refusing(b"429 Too Many Requests"),
}
"""Rollouts of which the candidate refuses everybody, which opens no circuit, while base is well."""


@dataclass(kw_only=True)
class Servers:
    """The model servers behind one address, told apart by their path: what they took, and what of it they failed."""

    seen: Counter[str] = field(default_factory=Counter[str])
    failed: Counter[str] = field(default_factory=Counter[str])
    bodies: Counter[tuple[str, bytes]] = field(default_factory=Counter[tuple[str, bytes]])
    is_down: bool = False
    """Whether `down` fails everything."""

    async def serve(self, peer: Peer) -> None:
        while True:
            name = (await peer.read()).target.split("/")[1]
            number = self.seen[name]
            self.seen[name] += 1
            self.bodies[name, peer.requests[-1].body] += 1
            failing = self._failing(name, number)
            self.failed[name] += failing is not None
            await (failing or healthy)(peer)

    def _failing(self, name: str, number: int) -> Script | None:
        if name in SCRIPTS and number % 10 in FAILING:
            return SCRIPTS[name][self.failed[name] % len(SCRIPTS[name])]
        if name == "down" and self.is_down:
            return ALWAYS["broken"]
        return ALWAYS.get(name.removesuffix("-base")) or REVOKED.get(name)


def configured(port: int, elsewhere: dict[str, int]) -> str:
    """Return a configuration with one rollout, and one candidate, for each fault."""
    text = "[server]\nport = 0\nconsole_port = 0\nmetrics_port = 0\nworkers = 1\n"
    text += "[lake]\nseal_every_s = 0.2\n[applications.default]\n"
    bases = {name: f"{name}-base" for name in ALWAYS}
    for name in [*SCRIPTS, *ALWAYS, *REVOKED, "down", *elsewhere, BASE, *bases.values()]:
        at = f"127.0.0.1:{elsewhere.get(name, port)}/{name}/v1"
        text += f'[upstreams."{name}"]\nbase_url = "http://{at}"\n[models."model-{name}"]\nupstream = "{name}"\n'
        text += "price = { input = 1.0, output = 2.0 }\n"
        text += f"first_byte_timeout_s = {ANSWER_S}\nanswer_timeout_s = {ANSWER_S}\n" if name in STALLING else ""
        text += f"connect_timeout_s = {CONNECT_S}\n" if name == "hanging" else ""
        if name not in (BASE, *bases.values()):
            text += f'[rollouts."{name}"]\nbase = "model-{bases.get(name, BASE)}"\ncandidate = "model-{name}"\n'
    return text


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The running installation and what stands behind it."""

    one: Installation
    servers: Servers
    client: httpx.Client
    storms: list[float]
    """When each storm was over: it has spent what else would pay for the next ten seconds."""

    def wait_for_budget(self) -> None:
        """Wait until what the last storm has spent is forgotten."""
        time.sleep(max(0.0, *(over_at + 11.0 - time.monotonic() for over_at in self.storms), 0.0))

    def ask(self, rollout: str, number: int, *, stream: bool = False) -> httpx.Response:
        """Send one request of one of 500 users."""
        body = {"model": rollout, "user": f"user-{number % 500}", "seed": number, "stream": stream, "messages": []}
        return self.client.post("/chat/completions", json=body)

    def ask_many(self, rollout: str, count: int, *, streams: Sequence[bool] = (False,)) -> list[httpx.Response]:
        """Send many requests, a few at once, and every other one streamed if that is asked for."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            asked = [pool.submit(self.ask, rollout, at, stream=streams[at % len(streams)]) for at in range(count)]
            return [each.result() for each in asked]

    def records(self, rollout: str) -> list[dict[str, Any]]:
        """Return what was recorded of a rollout's requests, in their order."""
        return self.one.lake(f"SELECT * FROM records WHERE rollout = '{rollout}' ORDER BY seq")

    def errors(self, rollout: str) -> tuple[int, int]:
        """Return how many errors the report counts, of base and of the candidate."""
        report = self.one.ask("GET", f"reports/compare?rollout={rollout}").raise_for_status().json()
        return report["base"]["errors"], report["candidate"]["errors"]


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setting]:
    servers = Servers()
    with serving(servers.serve) as fake, hanging_listener() as hanging:
        config = configured(fake.port, {"refusing": closed_port(), "hanging": hanging})
        with installed(tmp_path_factory.mktemp("fallback"), config=config, simulated={}) as one:
            for name in [*SCRIPTS, *ALWAYS, *REVOKED, "down", "refusing", "hanging"]:
                one.set_percent(PERCENT if name in SCRIPTS else 100, name)
            headers = {"authorization": f"Bearer {one.keys['application']}"}
            sent: dict[str, Any] = {"base_url": one.base_url, "headers": headers, "timeout": 30.0}
            with httpx.Client(**sent, trust_env=False, verify=PLAIN) as client:
                yield Setting(one=one, servers=servers, client=client, storms=[])


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the callers of one rollout got, and what was recorded of it."""

    answers: list[httpx.Response]
    rows: list[dict[str, Any]]


@pytest.fixture(scope="module")
def seen(setting: Setting) -> dict[str, Seen]:
    """Ask all rollouts of which the candidate fails now and then."""
    setting.wait_for_budget()
    answers: dict[str, list[httpx.Response]] = {}
    for name in SCRIPTS:
        streams = [True] if name in STREAMED else [False, True]
        answers[name] = setting.ask_many(name, REQUESTS // (1 + (name in STALLING)), streams=streams)
    rows = setting.one.lake()
    return {name: Seen(answers=answers[name], rows=[row for row in rows if row["rollout"] == name]) for name in SCRIPTS}


@pytest.mark.parametrize("name", SCRIPTS)
def test_callers_see_no_error_and_the_candidates_are_recorded_exactly(
    setting: Setting, seen: dict[str, Seen], name: str
):
    answers, rows = seen[name].answers, seen[name].rows

    assert {answer.status_code for answer in answers} == {200}
    assert not [answer.text for answer in answers if "error" in answer.text or "word" not in answer.text]
    assert {row["outcome"] for row in rows} == {"ok"}
    candidates = [row for row in rows if row["arm_assigned"] == "candidate"]
    rescued = [row for row in candidates if row["fallback_reason"] is not None]
    assert (len(rows), len(candidates)) == (len(answers), setting.servers.seen[name])
    assert 0 < len(rescued) == setting.servers.failed[name] < len(candidates)
    reasons = {row["fallback_reason"] for row in rescued}
    assert reasons == ({KINDS[name][1]} if name in KINDS else {"upstream_error", "timeout"})
    served = {answer.headers["x-request-id"]: answer.headers["x-turnout-arm"] for answer in answers}
    assert all(served[str(row["request_id"])] == row["arm_served"] for row in rows)


@pytest.mark.parametrize("name", SCRIPTS)
def test_both_tries_are_recorded_with_their_time_and_their_cost(seen: dict[str, Seen], name: str):
    rescued = [row for row in seen[name].rows if row["fallback_reason"] is not None]

    assert rescued
    for row in rescued:
        first, second = row["attempts"]
        assert (row["arm_served"], first["arm"], second["arm"]) == ("base", "candidate", "base")
        assert second["cost_usd"] == pytest.approx(BASE_USD)
        assert first["cost_usd"] in {0.0, None}
        assert row["cost_usd"] == (None if first["cost_usd"] is None else pytest.approx(BASE_USD))
        assert row["latency_ms"] >= first["upstream_ms"] + second["upstream_ms"]


def test_the_report_counts_them_as_the_candidates_errors(setting: Setting, seen: dict[str, Seen]):
    assert seen["mixed"].rows
    assert setting.errors("mixed") == (0, setting.servers.failed["mixed"])


def test_a_candidate_that_is_down_is_left_alone_and_comes_back_when_it_is_well(setting: Setting):
    setting.wait_for_budget()
    setting.servers.is_down = True
    for at in range(40):
        assert setting.ask("down", at).status_code == 200
    asked_while_down = setting.servers.seen["down"]
    setting.servers.is_down = False
    answers = 40

    def is_back() -> bool:
        nonlocal answers
        answers += 1
        answer = setting.ask("down", answers)
        assert answer.status_code == 200
        return answer.headers["x-turnout-arm"] == "candidate"

    waited_s = until(is_back, "the candidate is asked again", pause_s=0.2)
    again = setting.ask("down", 0)

    log.info("asked %d times while it was down, and again %.1f s later", asked_while_down, waited_s)
    assert again.headers["x-turnout-arm"] == "candidate"
    rows = setting.records("down")
    reasons = Counter(row["fallback_reason"] for row in rows)
    assert (reasons["upstream_error"], reasons[None]) == (asked_while_down, 2)
    assert asked_while_down < 20 <= reasons["circuit_open"]
    assert {len(row["attempts"]) for row in rows if row["fallback_reason"] == "circuit_open"} == {1}
    assert setting.errors("down") == (0, len(rows) - 2)


@pytest.mark.parametrize("name", REVOKED)
def test_a_candidate_that_refuses_everybody_costs_nobody_an_answer(setting: Setting, name: str):
    setting.wait_for_budget()

    answers = setting.ask_many(name, 200, streams=[False, True])

    assert {(answer.status_code, answer.headers["x-turnout-arm"]) for answer in answers} == {(200, "base")}
    assert {row["fallback_reason"] for row in setting.records(name)} == {"upstream_error"}
    assert setting.errors(name) == (0, 200)


@pytest.mark.parametrize(
    ("name", "error_class", "count"), [("hanging", "connect_timeout", 14), ("refusing", "connect_refused", 3)]
)
def test_a_candidate_that_cannot_be_reached_is_waited_for_as_long_as_connecting_may_take(
    setting: Setting, name: str, error_class: str, count: int
):
    setting.wait_for_budget()

    answers = [setting.ask(name, at) for at in range(count)]

    assert {(answer.status_code, answer.headers["x-turnout-arm"]) for answer in answers} == {(200, "base")}
    rows = setting.records(name)
    tried = [row for row in rows if row["fallback_reason"] != "circuit_open"]
    assert len(rows) == count
    assert len(tried) == count if name == "refusing" else 10 <= len(tried) < count
    for row in tried:
        *failed, last = row["attempts"]
        assert [(one["error_class"], one["cost_usd"]) for one in failed] == [(error_class, 0.0)] * len(failed)
        assert len(failed) == (2 if name == "refusing" else 1)
        assert last["arm"] == "base"
        assert row["cost_usd"] == pytest.approx(BASE_USD)
        assert name == "refusing" or row["latency_ms"] >= CONNECT_S * 1000


@pytest.mark.parametrize("name", ALWAYS)
def test_when_everything_fails_no_storm_comes_of_it_and_nothing_is_sent_to_an_arm_twice(setting: Setting, name: str):
    began = time.monotonic()
    before = sum(setting.servers.seen.values())

    answers = setting.ask_many(name, 400)

    took_s = time.monotonic() - began
    setting.storms.append(time.monotonic())
    sent = setting.servers.seen[name] + setting.servers.seen[f"{name}-base"]
    log.info("%s: %d requests became %d (%.2f) in %.1f s", name, 400, sent, sent / 400, took_s)
    assert 400 <= sent <= 400 + max(0.2 * (400 + before), 3 * (took_s + 10))
    assert not {answer.status_code for answer in answers} & {200}
    arms = {name, f"{name}-base"}
    assert {times for (at, _), times in setting.servers.bodies.items() if at in arms} == {1}
