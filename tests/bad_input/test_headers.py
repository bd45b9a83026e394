"""User keys in each source, purposes, tags, codings, and headers that a caller may send twice or oddly."""

from __future__ import annotations

from typing import Any

import pytest

from tests.bad_input.front import CANARY, Front, encoded

LONG = CANARY + "u" * (513 - len(CANARY))

PLACES: dict[str, dict[str, Any]] = {
    "safety_identifier": {"safety_identifier": "HERE"},
    "user": {"user": "HERE"},
    "metadata.user_id": {"metadata": {"user_id": "HERE"}},
}


@pytest.mark.parametrize(("place", "fields"), PLACES.items(), ids=PLACES)
def test_a_user_key_of_513_bytes_is_refused_by_its_place(front: Front, place: str, fields: dict[str, Any]):
    answer = front.post(encoded(**fields).replace(b"HERE", LONG.encode()))

    front.assert_refused(answer, 400, "user_key_too_long", place)


def test_a_user_key_of_513_bytes_in_the_header_is_refused(front: Front):
    front.assert_refused(front.post(x_user_id=LONG), 400, "user_key_too_long", "x-user-id")


def test_characters_count_by_their_bytes(front: Front):
    front.assert_refused(front.post(encoded(user="é" * 257)), 400, "user_key_too_long", "user")


@pytest.mark.parametrize(("place", "fields"), PLACES.items(), ids=PLACES)
def test_a_user_key_of_512_bytes_is_taken(running: Front, place: str, fields: dict[str, Any]):
    answer = running.post(encoded(**fields).replace(b"HERE", LONG[1:].encode()))

    assert answer.status == 200
    record = running.record(answer)
    assert record.user_source == place.partition(".")[0]
    assert record.user_hash is not None


def test_a_user_key_of_512_bytes_in_the_header_is_taken(running: Front):
    assert running.record(running.post(x_user_id=LONG[1:])).user_source == "header"


@pytest.mark.parametrize(("place", "fields"), PLACES.items(), ids=PLACES)
def test_half_of_a_surrogate_pair_is_refused_in_every_place(front: Front, place: str, fields: dict[str, Any]):
    answer = front.post(encoded(**fields).replace(b"HERE", rb"\ud800"))

    assert (answer.status, answer.error["type"]) == (400, "invalid_request_error")
    front.assert_refused(answer, 400, answer.error["code"], answer.error["param"])


@pytest.mark.parametrize(("place", "fields"), PLACES.items(), ids=PLACES)
@pytest.mark.parametrize("empty", [b'""', b"null"])
def test_an_empty_user_key_is_anonymous(running: Front, place: str, fields: dict[str, Any], empty: bytes):
    record = running.record(running.post(encoded(**fields).replace(b'"HERE"', empty)))

    assert (record.user_source, record.user_hash, record.reason, record.arm_served) == ("none", None, "default", "base")


def test_an_empty_user_header_is_anonymous(running: Front):
    assert running.record(running.post(x_user_id="")).user_source == "none"


def test_a_user_header_sent_twice_is_refused(front: Front):
    answer = front.raw(b"X-User-Id: ann", b"x-user-id: " + CANARY.encode())

    front.assert_refused(answer, 400, "repeated_header", "x-user-id")


def test_two_keys_are_no_key(front: Front):
    front.assert_refused(front.raw(b"authorization: Bearer " + CANARY.encode()), 401, "invalid_api_key")


def test_a_user_header_that_is_not_configured_names_nobody(running: Front):
    answer = running.post(x_user=CANARY, x_forwarded_user=CANARY, x_session_id=CANARY)

    assert running.record(answer).user_source == "none"


@pytest.mark.parametrize("purpose", ["shadow", "eval", "judge", "probe"])
def test_a_purpose_that_is_not_permitted_is_refused(front: Front, purpose: str):
    answer = front.post(x_turnout_purpose=purpose)

    front.assert_refused(answer, 403, "purpose_not_permitted", "x-turnout-purpose")


@pytest.mark.parametrize("purpose", [CANARY, "LIVE", "live,eval", ""])
def test_a_purpose_that_does_not_exist_is_refused(front: Front, purpose: str):
    front.assert_refused(front.post(x_turnout_purpose=purpose), 400, "invalid_purpose", "x-turnout-purpose")


TAGS = {
    "no value": CANARY,
    "an empty value": "a=",
    "an empty name": f"={CANARY}",
    "a name twice": f"a={CANARY},a=2",
    "a value too long": f"a={CANARY * 10}",
    "too many": ",".join(f"t{number}=1" for number in range(17)),
    "a comma at the end": "a=b,",
}


@pytest.mark.parametrize("tags", TAGS.values(), ids=TAGS)
def test_bad_tags_are_refused(front: Front, tags: str):
    front.assert_refused(front.post(x_turnout_tags=tags), 400, "invalid_tags", "x-turnout-tags")


def test_tags_that_are_no_utf_8_are_refused(front: Front):
    front.assert_refused(front.raw(b"x-turnout-tags: a=\xff"), 400, "invalid_tags", "x-turnout-tags")


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "gzip, identity", "x"])
def test_a_compressed_body_is_refused(front: Front, coding: str):
    answer = front.post(content_encoding=coding)

    front.assert_refused(answer, 415, "unsupported_media_type")


def test_header_names_in_any_case_are_the_same_headers(running: Front):
    answer = running.raw(b"X-USER-ID: ann", b"x-TURNOUT-tags: team=a")

    record = running.record(answer)
    assert (answer.status, record.user_source, record.tags) == (200, "header", {"team": "a"})


def test_a_long_header_does_no_harm(running: Front):
    assert running.raw(b"X-Long: " + b"a" * 30_000).status == 200


def test_a_very_long_header_is_refused(front: Front):
    front.assert_refused(front.raw(b"X-Long: " + b"a" * 60_000), 431, "headers_too_large", is_recorded=False)


def test_what_a_caller_says_of_itself_is_not_believed(running: Front):
    sent = running.post(
        x_turnout_arm="candidate",
        x_turnout_model="x",
        x_request_id=CANARY,
        x_forwarded_for=CANARY,
        forwarded=f"host={CANARY}",
    )

    assert sent.status == 200
    assert sent.headers["x-turnout-arm"] == "base"
    assert CANARY not in f"{sent.headers}"
