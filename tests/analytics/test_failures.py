from __future__ import annotations

from datetime import datetime
from typing import Any

from analytics.failures import failure_report
from analytics.narrowing import Narrowing

AT = datetime(1970, 1, 1, 0, 1, tzinfo=None)  # noqa: DTZ001 - as the lake has it: UTC, without a zone
COUNTS = ("requests", "failed", "client_errors", "refused", "rescued_by_fallback", "rescued_by_another_try")


def test_a_group_has_its_share_of_all_requests():
    own = dict.fromkeys(("arm", "model", "upstream", "error_class", "status", "endpoint", "rescued_by"))
    counts = {name: number for number, name in enumerate(COUNTS, 40)}
    whole: dict[str, Any] = {"is_whole": True, "first_at": AT, "last_at": AT, "groups": 9, **counts}
    whole |= {"left_out_forced": 1, "left_out_not_live": 2}
    group: dict[str, Any] = {"is_whole": False, **own, "outcome": "timeout", "failures": 12, "users": 3}
    group |= {"requests": 10, "first_at": AT, "last_at": AT, "examples": ["a", "b"]}
    found = failure_report([whole, group], asked=Narrowing(), as_of=7)

    assert [getattr(found, name) for name in COUNTS] == list(range(40, 46))
    assert (found.group_count, found.first_at, found.left_out_forced) == (9, 60_000_000, 1)
    [one] = found.groups
    assert (one.share, one.failures, one.requests, one.examples, one.last_at) == (0.25, 12, 10, ["a", "b"], 60_000_000)
