from __future__ import annotations

from datetime import UTC, datetime, timedelta

from gateway.cli.narrowing import since_of


def test_some_time_ago_is_counted_from_now():
    asked_at = datetime.now(UTC)
    moment = datetime.fromisoformat(since_of("90m"))

    assert asked_at - timedelta(minutes=90) <= moment <= datetime.now(UTC) - timedelta(minutes=90)
    assert since_of("2026-11-22") == "2026-11-22"
