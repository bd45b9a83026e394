"""OpenFeature on both sides: its public client reads a gateway's flags, and a provider of its own rules a percent."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import Reason

from tests.acceptance.harness import BASE, CANDIDATE, CONFIG, PATIENCE_S, ROLLOUT, Installation, installed, until
from tests.fakes.plain import PLAIN
from tests.fakes.webhook_receiver import Receiver, receiving

RULED = "support"
FLAGS = "/ofrep/v1/evaluate/flags"
PROVIDER = """
from pathlib import Path

from openfeature.flag_evaluation import FlagResolutionDetails
from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider


def made(path, token):
    assert token == "flags-token"

    def told(flag, context):
        return FlagResolutionDetails(value=float(Path(path).read_text()))

    return InMemoryProvider({"support_percent": InMemoryFlag("on", {"on": 0.0}, context_evaluator=told)})
"""
ADDED = f"""
[rollouts.{RULED}]
base = "{BASE}"
candidate = "{CANDIDATE}"
flag = "support_rollout"

[rollouts.{RULED}.percent_from]
provider = "flags_of_a_test:made"
flag = "support_percent"
options = {{ path = "@PATH@" }}
secrets = {{ token = {{ env = "FLAGS_TOKEN" }} }}
refresh_s = 0.1

[webhooks.ops]
url = "@HOOK@"
secret = {{ env = "HOOK_SECRET" }}
events = ["percent_source"]
"""


@dataclass(kw_only=True)
class Ruled:
    """An installation, the file in which the foreign flag's percent stands, and who is told."""

    one: Installation
    percent: Path
    receiver: Receiver

    @property
    def shown(self) -> dict[str, Any]:
        return self.one.show(RULED)


@pytest.fixture(scope="module")
def ruled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ruled]:
    folder = tmp_path_factory.mktemp("openfeature")
    percent = folder / "percent"
    percent.write_text("0")
    (folder / "flags_of_a_test.py").write_text(PROVIDER)
    environment = {"PYTHONPATH": str(folder), "FLAGS_TOKEN": "flags-token", "HOOK_SECRET": "hook-secret"}
    with receiving() as receiver:
        config = CONFIG + ADDED.replace("@PATH@", str(percent)).replace("@HOOK@", receiver.url)
        with installed(folder, config=config, environment=environment) as one:
            yield Ruled(one=one, percent=percent, receiver=receiver)


@pytest.fixture
def flags(ruled: Ruled) -> Iterator[OpenFeatureClient]:
    provider = OFREPProvider(
        ruled.one.gateway, headers_factory=lambda: {"authorization": f"Bearer {ruled.one.keys['application']}"}
    )
    provider.session.trust_env = False
    api.set_provider_and_wait(provider)
    yield api.get_client()
    api.shutdown()
    provider.session.close()


def served(one: Installation, user: str, model: str = ROLLOUT) -> tuple[str, str]:
    """Return model and arm as a chat request's answer tells them."""
    answer = httpx.post(
        f"{one.base_url}/chat/completions",
        json={"model": model, "user": user, "messages": [{"role": "user", "content": "Hello"}]},
        headers={"authorization": f"Bearer {one.keys['application']}"},
        trust_env=False,
        verify=PLAIN,
        timeout=PATIENCE_S,
    ).raise_for_status()
    return answer.headers["x-turnout-model"], answer.headers["x-turnout-arm"]


def post(one: Installation, path: str, context: dict[str, Any], **headers: str) -> httpx.Response:
    sent = {"x-api-key": one.keys["application"], **headers}
    return httpx.post(f"{one.gateway}{path}", json={"context": context}, headers=sent, trust_env=False, verify=PLAIN)


def test_the_public_client_reads_what_requests_get(ruled: Ruled, flags: OpenFeatureClient):
    ruled.one.set_percent(40)
    users = [f"user-{number}" for number in range(40)] + ["\u00fcml\u00e4ut", "a b", "\U0001f600"]

    arms: dict[str, str] = {}
    for user in users:
        told = flags.get_string_details("finetuned_model", "none", EvaluationContext(user, {"plan": "gold", "n": 1}))
        assert (told.value, told.variant) == served(ruled.one, user)
        assert (told.reason, told.error_code) == (Reason.SPLIT, None)
        arms[user] = told.variant or ""

    assert set(arms.values()) == {"base", "candidate"}
    assert flags.get_float_value("finetuned_model_rollout", -1.0) == 40.0


def test_the_public_client_is_told_who_is_pinned_and_what_is_wrong(ruled: Ruled, flags: OpenFeatureClient):
    ruled.one.force("vip", "candidate")
    pinned = flags.get_string_details("finetuned_model", "none", EvaluationContext("vip"))
    unnamed = flags.get_string_details("finetuned_model", "none")
    unknown = flags.get_string_details("nothing", "none", EvaluationContext("vip"))
    long = flags.get_string_details("finetuned_model", "none", EvaluationContext("x" * 513))

    assert (pinned.value, pinned.variant, pinned.reason) == (CANDIDATE, "candidate", Reason.TARGETING_MATCH)
    assert served(ruled.one, "vip") == (CANDIDATE, "candidate")
    assert (unnamed.value, unnamed.error_code) == ("none", ErrorCode.TARGETING_KEY_MISSING)
    assert (unknown.value, unknown.error_code) == ("none", ErrorCode.FLAG_NOT_FOUND)
    assert (long.value, long.error_code) == ("none", ErrorCode.INVALID_CONTEXT)


def test_all_flags_are_sent_again_only_when_they_changed_and_tell_no_salt(ruled: Ruled):
    first = post(ruled.one, FLAGS, {"targetingKey": "alice"})
    again = post(ruled.one, FLAGS, {"targetingKey": "alice"}, **{"if-none-match": first.headers["etag"]})
    percent = 41.5 if ruled.one.show()["percent"] != 41.5 else 42.5
    ruled.one.set_percent(percent)
    changed = post(ruled.one, FLAGS, {"targetingKey": "alice"}, **{"if-none-match": first.headers["etag"]})

    assert (first.status_code, again.status_code, again.content, changed.status_code) == (200, 304, b"", 200)
    values = {flag["key"]: flag["value"] for flag in changed.json()["flags"]}
    assert values["finetuned_model_rollout"] == values[f"{ROLLOUT}:finetuned_model_rollout"] == percent
    assert values["finetuned_model"] in {BASE, CANDIDATE}
    for name in (ROLLOUT, RULED):
        assert ruled.one.show(name)["salt"] not in first.text + changed.text


def test_a_provider_in_memory_drives_a_percent_and_whoever_wants_is_told_of_its_trouble(ruled: Ruled):
    ruled.percent.write_text("25")
    until(lambda: ruled.shown["percent"] == 25.0, "the flag's percent is taken")
    ruled.one.wait_for_workers()
    told = post(ruled.one, f"{FLAGS}/support_rollout", {}).json()
    assert (told["value"], told["reason"]) == (25.0, "STATIC")

    body = {"percent": 50, "version": ruled.shown["version"]}
    refused = ruled.one.ask("PUT", f"rollouts/{RULED}/percent", body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "ruled_elsewhere")
    assert "flag support_percent of flags_of_a_test:made" in refused.json()["error"]["message"]

    ruled.percent.write_text("150")
    [notice] = ruled.receiver.await_count(1)
    assert notice.sent["data"]["rollout"] == RULED
    assert "percent 150.0 is outside 0 to 100" in notice.sent["data"]["words"]
    signed = f"{notice.headers['webhook-id']}.{notice.headers['webhook-timestamp']}.".encode() + notice.body
    expected = base64.b64encode(hmac.new(b"hook-secret", signed, hashlib.sha256).digest()).decode()
    assert notice.headers["webhook-signature"] == f"v1,{expected}"
    assert ruled.shown["percent"] == 25.0
    assert any("is outside 0 to 100" in warning for warning in ruled.shown["warnings"])

    ruled.percent.write_text("30")
    until(lambda: ruled.shown["percent"] == 30.0, "the flag's percent is taken again")
    until(lambda: not ruled.shown["warnings"], "nothing is warned of any more")
