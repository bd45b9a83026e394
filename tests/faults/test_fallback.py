"""A candidate that fails costs its users nothing, and its figures everything; nothing multiplies what fails.

One installation with two rollouts for each fault, of half and of all users. Of the requests that reach a candidate, it
fails the first, fourth and seventh of every ten; what it failed is counted where it happened, and held against the
records and the report.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
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
PERCENT = 50
ALL = "all-"
"""Begins the names of the rollouts in which every user is the candidate's."""
REQUESTS, MANY_REQUESTS = 120, 600
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
ROLLOUTS = [*SCRIPTS, *(ALL + name for name in SCRIPTS)]
BRIEF = [*SCRIPTS, f"{ALL}http-401", f"{ALL}http-404", f"{ALL}http-429"]
"""What the short forms ask: of all users, what opens no circuit."""
ALWAYS: dict[str, Script] = {
    "busy": refusing(b"429 Too Many Requests"),
    "broken": refusing(b"503 Service Unavailable"),
    "resets": resetting,
}
"""Rollouts of which both arms fail, always."""


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
        if (scripts := SCRIPTS.get(kind(name))) is not None and number % 10 in FAILING:
            return scripts[self.failed[name] % len(scripts)]
        if name == "down" and self.is_down:
            return ALWAYS["broken"]
        return ALWAYS.get(name.removesuffix("-base"))


def kind(rollout: str) -> str:
    return rollout.removeprefix(ALL)


def configured(port: int, elsewhere: dict[str, int]) -> str:
    """Return a configuration with one rollout, and one candidate, for each fault."""
    text = "[server]\nport = 0\nconsole_port = 0\nmetrics_port = 0\nworkers = 1\n"
    text += "[lake]\nseal_every_s = 0.2\n[applications.default]\n"
    bases = {name: f"{name}-base" for name in ALWAYS}
    for name in [*ROLLOUTS, *ALWAYS, "down", *elsewhere, BASE, *bases.values()]:
        at = f"127.0.0.1:{elsewhere.get(name, port)}/{name}/v1"
        text += f'[upstreams."{name}"]\nbase_url = "http://{at}"\n[models."model-{name}"]\nupstream = "{name}"\n'
        text += "price = { input = 1.0, output = 2.0 }\n"
        text += f"first_byte_timeout_s = {ANSWER_S}\nanswer_timeout_s = {ANSWER_S}\n" if kind(name) in STALLING else ""
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


@contextmanager
def running(folder: Path, *names: str) -> Iterator[Setting]:
    """Run an installation; the percents of these rollouts are set."""
    servers = Servers()
    with serving(servers.serve) as fake, hanging_listener() as hanging:
        config = configured(fake.port, {"refusing": closed_port(), "hanging": hanging})
        with installed(folder, config=config, simulated={}) as one:
            for name in names:
                one.set_percent(PERCENT if name in SCRIPTS else 100, name)
            headers = {"authorization": f"Bearer {one.keys['application']}"}
            sent: dict[str, Any] = {"base_url": one.base_url, "headers": headers, "timeout": 30.0}
            with httpx.Client(**sent, trust_env=False, verify=PLAIN) as client:
                yield Setting(one=one, servers=servers, client=client, storms=[])


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setting]:
    with running(tmp_path_factory.mktemp("fallback"), *BRIEF, *ALWAYS, "down", "refusing", "hanging") as one:
        yield one


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the callers of one rollout got, and what was recorded of it."""

    answers: list[httpx.Response]
    rows: list[dict[str, Any]]


def asked(setting: Setting, names: Sequence[str], requests: int) -> dict[str, Seen]:
    """Ask rollouts of which the candidate fails now and then."""
    setting.wait_for_budget()
    answers: dict[str, list[httpx.Response]] = {}
    for name in names:
        streams = [True] if kind(name) in STREAMED else [False, True]
        answers[name] = setting.ask_many(name, requests // (1 + (kind(name) in STALLING)), streams=streams)
    rows = setting.one.lake()
    return {name: Seen(answers=answers[name], rows=[row for row in rows if row["rollout"] == name]) for name in names}


@pytest.fixture(scope="module")
def seen(setting: Setting) -> dict[str, Seen]:
    return asked(setting, BRIEF, REQUESTS)


@pytest.mark.parametrize("name", BRIEF)
def test_callers_see_no_error_and_the_candidates_are_recorded_exactly(
    setting: Setting, seen: dict[str, Seen], name: str
):
    assert_rescued(setting, name, seen[name])


def assert_rescued(setting: Setting, name: str, seen: Seen) -> None:
    answers, rows = seen.answers, seen.rows

    assert {answer.status_code for answer in answers} == {200}
    assert not [answer.text for answer in answers if "error" in answer.text or "word" not in answer.text]
    assert {row["outcome"] for row in rows} == {"ok"}
    candidates = [row for row in rows if row["arm_assigned"] == "candidate"]
    rescued = [row for row in candidates if row["fallback_reason"] is not None]
    assert (len(rows), len(candidates)) == (len(answers), setting.servers.seen[name])
    assert 0 < len(rescued) == setting.servers.failed[name] < len(candidates)
    reasons = {row["fallback_reason"] for row in rescued}
    assert reasons == ({KINDS[kind(name)][1]} if kind(name) in KINDS else {"upstream_error", "timeout"})
    served = {answer.headers["x-request-id"]: answer.headers["x-turnout-arm"] for answer in answers}
    assert all(served[str(row["request_id"])] == row["arm_served"] for row in rows)


@pytest.mark.parametrize("name", BRIEF)
def test_both_tries_are_recorded_with_their_time_and_their_cost(seen: dict[str, Seen], name: str):
    assert_both_tries_are_recorded(seen[name])


def assert_both_tries_are_recorded(seen: Seen) -> None:
    rescued = [row for row in seen.rows if row["fallback_reason"] is not None]

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


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ROLLOUTS)
def test_no_caller_of_many_sees_an_error_whatever_the_percent(name: str, tmp_path: Path):
    with running(tmp_path, name) as alone:
        seen = asked(alone, [name], MANY_REQUESTS)[name]
        assert_rescued(alone, name, seen)
        assert_both_tries_are_recorded(seen)
        assert alone.errors(name) == (0, alone.servers.failed[name])


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_candidate_that_stays_down_is_asked_once_in_five_seconds(tmp_path: Path):
    with running(tmp_path, "down") as alone:
        alone.servers.is_down = True
        began, count = time.monotonic(), 0
        while time.monotonic() - began < 31:
            assert {answer.status_code for answer in alone.ask_many("down", 60)} == {200}
            count += 60
        took_s = time.monotonic() - began
        tried = alone.servers.seen["down"]
        rows = alone.records("down")

        log.info("of %d requests in %.0f s it was asked %d", count, took_s, tried)
        assert 10 + 5 <= tried <= 10 + AT_ONCE + took_s / 5
        assert Counter(row["fallback_reason"] for row in rows) == {
            "upstream_error": tried,
            "circuit_open": count - tried,
        }
        assert {row["arm_assigned"] for row in rows} == {"candidate"}
        assert alone.errors("down") == (0, count)


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


def assert_no_storm(setting: Setting, name: str, count: int) -> None:
    """Ask so often where both arms fail; no more than a fifth is sent on top, and no body to an arm twice."""
    began = time.monotonic()

    answers = setting.ask_many(name, count)

    took_s = time.monotonic() - began
    setting.storms.append(time.monotonic())
    sent = setting.servers.seen[name] + setting.servers.seen[f"{name}-base"]
    log.info("%s: %d requests became %d (%.2f) in %.1f s", name, count, sent, sent / count, took_s)
    windows = took_s / 10 + 1
    assert count <= sent <= count + max(0.2 * count, 30 * windows) + AT_ONCE + windows
    assert not {answer.status_code for answer in answers} & {200}
    arms = {name, f"{name}-base"}
    assert {times for (at, _), times in setting.servers.bodies.items() if at in arms} == {1}


@pytest.mark.parametrize("name", ALWAYS)
def test_when_everything_fails_no_storm_comes_of_it_and_nothing_is_sent_to_an_arm_twice(setting: Setting, name: str):
    assert_no_storm(setting, name, 400)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ALWAYS)
def test_when_everything_fails_for_long_a_fifth_more_is_sent_at_most(name: str, tmp_path: Path):
    with running(tmp_path, name) as alone:
        assert_no_storm(alone, name, 5_000)
