from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.settings.check import check
from gateway.settings.schema import Configuration
from gateway.settings.webhooks import address_fault, webhook_problems

SECRET = {"env": "HOOK_SECRET"}
SLACK = "https://hooks.slack.com/services/T/B/x"


def found(**keys: Any) -> list[tuple[str, str]]:
    configuration = msgspec.convert({"webhooks": {"ops": keys}}, type=Configuration)
    return [(one.severity, f"{one.path}: {one.message}") for one in webhook_problems(configuration)]


@pytest.mark.parametrize(
    "keys",
    [
        {"url": "https://hooks.example.com/turnout", "secret": SECRET},
        {"url": "https://hooks.example.com/turnout?team=a", "secret": SECRET, "events": ["rolled_back"]},
        {"url": "http://127.0.0.1:9000", "secret": {"file": "/run/secrets/hook"}},
        {"url_from": {"env": "SLACK_URL"}, "format": "slack"},
    ],
)
def test_a_webhook_may_be_named_in_the_file_or_by_a_reference(keys: dict[str, Any]):
    assert not found(**keys)


@pytest.mark.parametrize(
    ("keys", "place", "message"),
    [
        ({"secret": SECRET}, "webhooks.ops", "exactly one of url and url_from"),
        (
            {"url": "https://a/b", "url_from": SECRET, "secret": SECRET},
            "webhooks.ops",
            "exactly one of url and url_from",
        ),
        ({"url": "hooks.example.com", "secret": SECRET}, "webhooks.ops.url", "does not begin with https://"),
        ({"url": "file:///etc/passwd", "secret": SECRET}, "webhooks.ops.url", "does not begin with https://"),
        ({"url": "https://u:canary@a.b/c", "secret": SECRET}, "webhooks.ops.url", "carries a user name or password"),
        ({"url": "https://a.b/c?d#e", "secret": SECRET}, "webhooks.ops.url", "has a fragment (#)"),
        ({"url": "https://a.b/c#e", "secret": SECRET}, "webhooks.ops.url", "has a fragment (#)"),
        ({"url": "https://a.b/c d", "secret": SECRET}, "webhooks.ops.url", "holds a space"),
        ({"url": "https://a.b/c"}, "webhooks.ops.secret", "generic JSON is signed"),
        ({"url": "https://a.b/c", "secret": SECRET, "events": []}, "webhooks.ops.events", "an empty list"),
        ({"url": SLACK, "secret": SECRET}, "webhooks.ops.format", 'write format = "slack"'),
    ],
)
def test_one_that_nobody_could_be_told_by_is_refused(keys: dict[str, Any], place: str, message: str):
    errors = [said for severity, said in found(**keys) if severity == "error"]

    assert [said for said in errors if said.startswith(f"{place}: ") and message in said]
    assert "canary" not in str(errors)


def test_what_others_could_read_is_warned_of():
    assert [severity for severity, _ in found(url="http://a.b/c", secret=SECRET)] == ["warning"]
    assert [severity for severity, _ in found(url=SLACK, format="slack")] == ["warning"]


def test_there_is_an_end_to_how_many_there_may_be():
    webhooks = {f"w{number}": {"url": "https://a.b/c", "secret": SECRET} for number in range(17)}
    [problem] = webhook_problems(msgspec.convert({"webhooks": webhooks}, type=Configuration))

    assert "17 webhooks are more than the 16" in str(problem)


def test_a_name_of_a_webhook_and_its_secrets_are_judged_as_others_are():
    webhook = {"url_from": {"env": "lower"}, "format": "slack"}
    problems = check(msgspec.convert({"webhooks": {"a b": webhook}}, type=Configuration), None)

    assert [one for one in problems if one.path == 'webhooks."a b"' and "a name has" in one.message]
    assert [one for one in problems if one.path == 'webhooks."a b".url_from']


def test_an_address_without_fault_has_none():
    assert address_fault("https://a.b/c?d=e") is None
