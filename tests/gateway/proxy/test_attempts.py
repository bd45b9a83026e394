"""What may be tried after a try that failed: a table."""

from __future__ import annotations

import pytest

from gateway.proxy.attempts import Failure, refused, unknown


@pytest.mark.parametrize(
    ("status", "to_base", "opens"),
    [
        (400, False, False),
        (401, True, False),
        (402, False, False),
        (403, True, False),
        (404, True, False),
        (408, False, False),
        (409, False, False),
        (413, False, False),
        (422, False, False),
        (429, True, False),
        (451, False, False),
        (500, True, True),
        (502, True, True),
        (503, True, True),
        (504, True, True),
        (599, True, True),
    ],
)
def test_a_refusal_is_tried_at_base_where_the_caller_did_nothing_wrong(status: int, *, to_base: bool, opens: bool):
    failure = refused(status)

    assert failure is not None
    assert (failure.may_go_to_base, failure.opens_circuit, failure.may_be_repeated) == (to_base, opens, False)
    assert (failure.outcome, failure.error_class, failure.is_free) == ("upstream_error", f"http_{status}", True)


@pytest.mark.parametrize("status", [200, 204, 301, 399])
def test_an_answer_is_no_failure(status: int):
    assert refused(status) is None


@pytest.mark.parametrize(
    ("error_class", "to_base", "again", "opens", "free"),
    [
        ("connect_refused", True, True, True, True),
        ("connect_timeout", True, False, True, True),
        ("unknown_host", True, False, True, True),
        ("tls_not_trusted", True, False, True, True),
        ("connection_lost", True, False, True, False),
        ("closed_early", True, False, True, False),
        ("broken_http", True, False, True, False),
        ("first_byte_timeout", True, False, True, False),
        ("answer_timeout", True, False, True, False),
        ("idle_timeout", True, False, True, False),
        ("error_event", True, False, True, True),
        ("total_timeout", False, False, False, False),
        ("not_sendable", False, False, False, False),
    ],
)
@pytest.mark.parametrize("status", [0, 200])
def test_a_fault_is_tried_again_where_that_may_help(
    error_class: str, *, to_base: bool, again: bool, opens: bool, free: bool, status: int
):
    failure = Failure(outcome="upstream_error", error_class=error_class, status=status)

    assert (failure.may_go_to_base, failure.may_be_repeated) == (to_base, again)
    assert (failure.opens_circuit, failure.is_free) == (opens, free)


def test_what_is_kept_elsewhere_costs_nothing():
    assert unknown(404) == Failure(outcome="client_error", error_class="http_404", status=404)
    assert unknown(404).is_free
