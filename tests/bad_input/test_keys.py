"""Callers without a key, with a wrong one, or with a key that may not do this."""

from __future__ import annotations

import pytest

from gateway.settings.secrets import derived
from rollout.keys import compose, fingerprint
from tests.acceptance.harness import SECRET
from tests.bad_input.front import CANARY, Front

FOREIGN = {
    "a word": CANARY,
    "OpenAI's form": f"sk-proj-{CANARY}",
    "our form, unknown": compose("app", "ffffffffffff", CANARY),
    "no secret": "tn_app_ffffffffffff_",
    "no id": f"tn_app__{CANARY}",
    "no role": f"tn__ffffffffffff_{CANARY}",
    "an invented role": f"tn_root_ffffffffffff_{CANARY}",
    "SQL": f"' OR 1=1 -- {CANARY}",
    "a very long one": CANARY * 3000,
}


def test_a_request_without_a_key_is_refused_with_the_remedy(front: Front):
    answer = front.post(key=None)

    front.assert_refused(answer, 401, "invalid_api_key")
    assert "Authorization: Bearer" in answer.error["message"]
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("key", FOREIGN.values(), ids=FOREIGN)
def test_an_unknown_or_malformed_key_is_refused(front: Front, key: str):
    front.assert_refused(front.post(key=key), 401, "invalid_api_key")


def test_a_key_with_one_character_changed_is_refused(front: Front):
    for at in (0, 5, 12, 20, len(front.key) - 1):
        other = "A" if front.key[at] != "A" else "B"
        front.assert_refused(front.post(key=front.key[:at] + other + front.key[at + 1 :]), 401, "invalid_api_key")


@pytest.mark.parametrize("header", ["Basic {key}", "{key}", "Bearer", "Bearer:{key}", "Token {key}"])
def test_another_scheme_than_bearer_is_refused(front: Front, header: str):
    sent = header.format(key=front.key)

    front.assert_refused(front.post(key=None, authorization=sent), 401, "invalid_api_key")


def test_a_key_in_another_header_is_no_key(front: Front):
    front.assert_refused(
        front.post(key=None, x_api_key=front.key, api_key=front.key, cookie=front.key), 401, "invalid_api_key"
    )


def test_a_key_in_the_query_is_no_key(front: Front):
    answer = front.post(key=None, path=f"/v1/chat/completions?api_key={front.key}&key={front.key}")

    front.assert_refused(answer, 401, "invalid_api_key")


def test_a_revoked_key_is_refused(front: Front):
    key = front.installation.new_key("default")
    key_id = key.split("_")[2]
    front.installation.ask("POST", f"keys/{key_id}/revoke").raise_for_status()
    front.installation.wait_for_workers()

    front.assert_refused(front.post(key=key), 401, "invalid_api_key")


@pytest.mark.parametrize("role", ["ops", "analyst", "rater", "admin"])
def test_a_key_of_another_role_is_no_applications_key(front: Front, role: str):
    made = front.installation.ask("POST", "keys", {"role": role, "label": "test"}).raise_for_status().json()
    front.installation.wait_for_workers()

    front.assert_refused(front.post(key=made["key"]), 401, "invalid_api_key")


def test_the_first_admin_key_is_no_applications_key(front: Front):
    front.assert_refused(front.post(key=front.installation.keys["admin"]), 401, "invalid_api_key")


def test_the_fingerprint_of_a_key_is_no_key(front: Front):
    kept = fingerprint(derived(SECRET.encode()).pepper, front.key)

    front.assert_refused(front.post(key=kept), 401, "invalid_api_key")


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/sales-companion"])
def test_models_are_not_listed_without_a_key(front: Front, path: str):
    answer = front.raw(first=f"GET {path} HTTP/1.1".encode(), body=b"", length=False)
    assert answer.status == 200

    refused = front.bytes(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    front.assert_refused(refused, 401, "invalid_api_key", is_recorded=False)


def test_the_key_is_not_shown_in_any_answer(running: Front):
    answer = running.post()

    assert running.key.encode() not in answer.body
    assert running.key not in f"{answer.headers}"
