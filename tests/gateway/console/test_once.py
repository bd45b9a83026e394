from __future__ import annotations

import pytest

from gateway.console.once import refuse_repeated_keys, refuse_repeated_words, refuse_text_for_version
from gateway.errors import BadRequestError
from tests.fakes.console import SALES, RunningConsole


@pytest.mark.parametrize(
    "body",
    [
        b'{"version":1,"version":2}',
        b'{"a":{"b":1,"b":1}}',
        b'{"a":[{"b":1},{"b":1,"c":2,"b":3}]}',
        b'{"b":1,"\\u0062":2}',
        b'{"a":' + b"9" * 5000 + b',"b":1,"b":2}',
    ],
)
def test_an_object_that_has_a_key_twice_is_refused_however_deep(body: bytes):
    with pytest.raises(BadRequestError, match="2 times in one object; send each field once") as refused:
        refuse_repeated_keys(body)

    assert refused.value.code == "duplicate_field"


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"a":1,"b":{"a":1}}', b'[{"a":1},{"a":1}]', b"9" * 5000])
def test_what_says_nothing_twice_or_is_no_json_is_not_refused_here(body: bytes):
    refuse_repeated_keys(body)


def test_a_body_that_is_nested_too_deep_to_be_looked_through_is_refused():
    with pytest.raises(BadRequestError, match="nested deeper than anything that is asked for here"):
        refuse_repeated_keys(b"[" * 100_000 + b"]" * 100_000)


def test_a_version_is_a_number():
    with pytest.raises(BadRequestError, match="version: '7' is text; write a number without quotes"):
        refuse_text_for_version(refuse_repeated_keys(b'{"version":"7"}'))
    for body in (b'{"version":7}', b'{"a":{"version":"7"}}', b'["version"]', b"{"):
        refuse_text_for_version(refuse_repeated_keys(body))


def test_only_what_may_be_repeated_is():
    refuse_repeated_words(["tag", "tag", "by"], "tag")
    with pytest.raises(BadRequestError, match="by is there 2 times"):
        refuse_repeated_words(["tag", "by", "by"], "tag")


def test_no_route_takes_a_word_or_a_key_twice_and_who_has_no_key_learns_nothing_of_it(console: RunningConsole):
    with console.client(console.keys.admin) as admin, console.client(None) as nobody:
        paths = ("whois?user=a&user=b", "audit?limit=1&limit=2", "sql?format=csv&format=json", "rollouts?x=1&x=2")
        asked = [admin.get(f"/api/v1/{path}") for path in paths]
        body = b'{"percent":1,"percent":99,"version":1}'
        told = admin.put(f"/api/v1/rollouts/{SALES}/percent", content=body)
        unknown = nobody.put(f"/api/v1/rollouts/{SALES}/percent", content=body)

    assert [answer.status_code for answer in asked] == [400] * 4
    assert [answer.json()["error"]["param"] for answer in asked] == ["user", "limit", "format", "x"]
    assert (told.status_code, told.json()["error"]["code"]) == (400, "duplicate_field")
    assert unknown.status_code == 401
