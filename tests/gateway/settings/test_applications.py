"""Applications: keys that lead to one of them, and headers that may name a user."""

from __future__ import annotations

import pytest

from gateway.settings.applications import application_problems
from gateway.settings.schema import Application, Configuration, SecretRef

KEY = SecretRef(env="WEB_KEY")


def found(**applications: Application) -> list[str]:
    return [str(problem) for problem in application_problems(Configuration(applications=applications))]


def test_the_defaults_are_sound():
    assert found(web=Application(), batch=Application(accept=(KEY,), user_header="x-user-id")) == []


TAKEN = """authorization content-type host cookie connection transfer-encoding traceparent x-turnout-user
    x-forwarded-for proxy-authorization x-request-id openai-beta idempotency-key"""


@pytest.mark.parametrize("header", TAKEN.split())
def test_a_header_with_a_meaning_of_its_own_names_no_user(header: str):
    message = f'"{header}" has a meaning of its own in HTTP or in Turnout; use another, such as x-user-id'

    assert found(web=Application(user_header=header)) == [f"applications.web.user_header: {message}"]
    assert found(web=Application(session_header=header)) == [f"applications.web.session_header: {message}"]


def test_sessions_and_users_have_headers_of_their_own():
    application = Application(anonymous="session", user_header="x-id", session_header="x-id")

    assert found(web=application) == [
        'applications.web.session_header: "x-id" is the user_header too; a session needs a header of its own'
    ]


def test_no_source_makes_every_request_anonymous():
    assert found(web=Application(user_sources=()))[0].startswith(
        "warning: applications.web.user_sources: an empty list"
    )


def test_a_daily_cost_knows_what_to_take_for_a_cost_that_nobody_knows():
    assert found(web=Application(daily_cost_usd=5.0, unknown_cost_usd=0.05)) == []
    assert found(web=Application(daily_cost_usd=5.0)) == [
        (
            "applications.web.daily_cost_usd: needs unknown_cost_usd beside it: what a request is charged whose cost "
            "nobody knows, such as 0.05"
        )
    ]
    assert found(web=Application(unknown_cost_usd=0.05)) == [
        "applications.web.unknown_cost_usd: has no meaning without daily_cost_usd; add that, or leave this out"
    ]
    assert found(web=Application(daily_cost_usd=0.5, unknown_cost_usd=1.0)) == [
        (
            "applications.web.unknown_cost_usd: 1 is set aside for each request, more than daily_cost_usd (0.5): "
            "none would pass"
        )
    ]


def test_a_source_is_tried_once():
    assert found(web=Application(user_sources=("user", "user"))) == [
        "applications.web.user_sources: names a source twice; the order is the order in which they are tried"
    ]


def test_a_header_that_is_never_read_is_a_warning():
    assert found(web=Application(user_header="x-user-id", user_sources=("user",))) == [
        (
            "warning: applications.web.user_sources: user_header is set (x-user-id) but never read; "
            'add "header" to user_sources'
        )
    ]


def test_no_purpose_permits_nothing():
    assert found(web=Application(purposes=())) == [
        'applications.web.purposes: an empty list permits no request at all; write ["live"], or leave the key out'
    ]


def test_a_key_leads_to_one_application():
    assert found(web=Application(accept=(KEY,)), batch=Application(accept=(KEY,))) == [
        (
            'applications.batch.accept[0]: application "web" accepts the same key; a key leads to one application: '
            "take it out of one"
        )
    ]
