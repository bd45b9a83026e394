"""Errors that callers see: OpenAI's envelope, so that official clients raise what they raise today."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.record import Outcome
from gateway import errors
from gateway.errors import ApiError, BadRequestError, NotFoundError, ShedError, UnauthorizedError, UpstreamTimeoutError


def tree(kind: type[ApiError]) -> Iterator[type[ApiError]]:
    for child in kind.__subclasses__():
        yield child
        yield from tree(child)


KINDS = [kind for kind in tree(ApiError) if kind.__module__ == errors.__name__]


@given(message=st.text(), param=st.none() | st.text())
def test_the_envelope_is_openais(message: str, param: str | None):
    envelope = json.loads(BadRequestError(message, param=param).envelope())

    assert envelope == {
        "error": {"message": message, "type": "invalid_request_error", "param": param, "code": "invalid_request"}
    }


def test_a_code_given_is_the_code():
    error = NotFoundError("No such model.", code="model_not_found", param="model")

    assert json.loads(error.envelope())["error"]["code"] == "model_not_found"
    assert error.error_class == "model_not_found"
    assert NotFoundError("No such path.").code == "unknown_url"


def test_a_report_may_group_more_finely_than_the_caller_sees():
    error = BadRequestError("Not JSON.", error_class="bad_json")

    assert error.error_class == "bad_json"
    assert error.code == "invalid_request"


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_has_an_http_status_and_an_outcome_that_records_know(kind: type[ApiError]):
    error = kind("Something.")

    assert 400 <= error.status <= 599
    assert error.outcome in get_args(Outcome)
    usual = f"{'invalid_request' if error.status < 500 else 'server'}_error"
    assert error.type in {429: {"requests", "insufficient_quota"}}.get(error.status, {usual})
    assert error.error_class


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_is_drawn_in_the_tree(kind: type[ApiError]):
    drawn = re.search(rf"── {kind.__name__} +(\d+) +(\w+)", errors.__doc__ or "")

    assert drawn
    assert (int(drawn[1]), drawn[2]) == (kind.status, kind.type)


def test_headers_say_what_to_do_next():
    assert (b"www-authenticate", b"Bearer") in UnauthorizedError("No key.").headers
    assert (b"retry-after", b"1") in ShedError("Full.").headers


def test_a_timeout_is_an_upstreams_failure_of_its_own_kind():
    error = UpstreamTimeoutError("Too late.")

    assert (error.status, error.outcome, error.code) == (504, "timeout", "upstream_timeout")
