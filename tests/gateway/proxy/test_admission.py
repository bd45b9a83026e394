from __future__ import annotations

import pytest

from gateway.errors import ApiError, BadRequestError, ForbiddenError, ShedError, UnauthorizedError
from gateway.proxy.admission import admit, check_path, check_repeated, purpose, tags
from gateway.proxy.snapshot import Caller
from gateway.settings.schema import Application
from tests.fakes.proxy import KEY, decisions

ANY = Caller(name="shop", application=Application())


@pytest.mark.parametrize(
    "path",
    [
        "/v1/..",
        "/v1/../x",
        "/v1/./x",
        "/v1/%2e%2e/x",
        "/v1/%2E./x",
        "/v1/.%2e",
        "/v1/a%2f..%2fb",
        "/v1/a%2F%2e%2E",
        "/v1/a%5c..%5cb",
        "/v1/a\\..\\b",
        "/v1/..;x=1/a",
        "/v1/..?x",
        "..",
    ],
)
def test_a_dot_segment_is_refused_in_every_disguise(path: str):
    with pytest.raises(BadRequestError) as refused:
        check_path(path)
    assert refused.value.code == "bad_path"


@pytest.mark.parametrize(
    "path",
    ["/v1/chat/completions", "/v1/models/ft:gpt-4o-mini:acme::x", "/v1/models/gpt-4.1", "/v1/models/a%2Fb", "/v1/..."],
)
def test_dots_within_a_name_are_no_dot_segment(path: str):
    check_path(path)


@pytest.mark.parametrize("header", [f"Bearer {KEY}", f"bearer {KEY}", f"BEARER   {KEY} "])
def test_a_bearer_key_is_admitted(header: str):
    assert admit(decisions(), {b"authorization": header.encode()}).name == "shop"


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", f"Basic {KEY}", KEY, f"Bearer\t{KEY}"])
def test_whoever_sends_no_key_is_told_how(header: str):
    with pytest.raises(UnauthorizedError, match="No API key was sent"):
        admit(decisions(), {b"authorization": header.encode()})


@pytest.mark.parametrize(
    "token", [b"sk-canary", b"tn_app_x_canary", b"canary\xff\xfe", KEY.encode() + b", Bearer canary"]
)
def test_an_unknown_key_is_refused_and_not_repeated(token: bytes):
    with pytest.raises(UnauthorizedError, match=r"turnout key create|More than one API key") as refused:
        admit(decisions(), {b"authorization": b"Bearer " + token})
    assert (refused.value.status, refused.value.code) == (401, "invalid_api_key")
    assert "canary" not in refused.value.message


def test_an_issued_key_is_asked_to_come_again_while_nobody_has_told_of_keys():
    unaware = decisions(epoch=0, version=0, keys=())

    with pytest.raises(ShedError, match="does not know all keys") as refused:
        admit(unaware, {b"authorization": b"Bearer " + KEY.encode()})
    assert (refused.value.status, refused.value.error_class) == (503, "keys_unknown")
    assert any(name == b"retry-after" for name, _ in refused.value.headers)
    with pytest.raises(UnauthorizedError):
        admit(unaware, {b"authorization": b"Bearer sk-canary"})


def test_every_request_is_live_until_it_says_something_else():
    assert purpose(ANY, {}) == "live"
    assert purpose(ANY, {b"x-turnout-purpose": b"live"}) == "live"


def test_a_purpose_needs_the_applications_permission():
    allowed = Caller(name="lab", application=Application(purposes=("live", "eval")))

    assert purpose(allowed, {b"x-turnout-purpose": b"eval"}) == "eval"
    with pytest.raises(ForbiddenError) as refused:
        purpose(allowed, {b"x-turnout-purpose": b"shadow"})
    assert (refused.value.code, refused.value.param) == ("purpose_not_permitted", "x-turnout-purpose")


@pytest.mark.parametrize("headers", [{}, {b"x-turnout-purpose": b"live"}])
def test_a_live_request_needs_permission_too_whether_it_says_so_or_not(headers: dict[bytes, bytes]):
    lab = Caller(name="lab", application=Application(purposes=("eval", "judge")))

    with pytest.raises(ForbiddenError, match="eval, judge alone"):
        purpose(lab, headers)


@pytest.mark.parametrize("asked", [b"", b"LIVE", b"eval ", b"\xff", b"live, live"])
def test_a_purpose_that_does_not_exist_is_refused(asked: bytes):
    with pytest.raises(BadRequestError) as refused:
        purpose(ANY, {b"x-turnout-purpose": asked})
    assert refused.value.code == "invalid_purpose"


def test_tags_are_read():
    assert tags({}) == {}
    assert tags({b"x-turnout-tags": b""}) == {}
    assert tags({b"x-turnout-tags": "team = sales,x=y=z, stadt=Köln".encode()}) == {
        "team": "sales",
        "x": "y=z",
        "stadt": "Köln",
    }
    assert len(tags({b"x-turnout-tags": b",".join(b"t%d=%s" % (n, b"v" * 64) for n in range(16))})) == 16


@pytest.mark.parametrize(
    "text",
    [
        b"a",
        b"=b",
        b"a=",
        b"a=b,",
        b",",
        b"a=b,a=c",
        b"a=b, a =c",
        b"a=\x01",
        b"a=\xff",
        b"a=\xe2\x80\xa8",
        b"a=" + b"x" * 65,
        b"x" * 65 + b"=a",
        b",".join(b"t%d=v" % n for n in range(17)),
    ],
)
def test_bad_tags_are_refused(text: bytes):
    with pytest.raises(BadRequestError) as refused:
        tags({b"x-turnout-tags": text})
    assert (refused.value.param, refused.value.code) == ("x-turnout-tags", "invalid_tags")


@pytest.mark.parametrize(
    ("name", "application"),
    [
        ("authorization", Application()),
        ("content-encoding", Application()),
        ("idempotency-key", Application()),
        ("x-turnout-purpose", Application()),
        ("x-turnout-tags", Application()),
        ("x-user-id", Application(user_header="x-user-id")),
        ("x-visit", Application(anonymous="session", session_header="x-visit")),
    ],
)
def test_a_header_that_decides_something_may_stand_once(name: str, application: Application):
    with pytest.raises(ApiError) as refused:
        check_repeated(Caller(name="shop", application=application), {name.encode(), b"accept"})
    assert (refused.value.status, refused.value.code, refused.value.param) == (400, "repeated_header", name)


def test_other_headers_may_be_repeated():
    check_repeated(ANY, {b"accept", b"cookie", b"openai-beta", b"x-user-id", b"x-session-id", b"x-forwarded-for"})
