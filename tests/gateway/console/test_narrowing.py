from __future__ import annotations

import pytest

from gateway.console.narrowing import parse_moment
from gateway.errors import BadRequestError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-02", 86_400),
        ("1970-01-01T00:00:01Z", 1),
        ("1970-01-01T02:00:01.5+02:00", 1.5),
        ("1969-12-31", -86_400),
    ],
)
def test_a_time_without_a_zone_is_utc(text: str, seconds: float):
    assert parse_moment(text, "since") == seconds * 1e6
    assert parse_moment(None, "since") is None


@pytest.mark.parametrize("text", ["", "noon", "2026-13-01", "2026-11-22T25:00", "1e9", "\ud800", "9999-99-99"])
def test_what_is_no_time_is_refused(text: str):
    with pytest.raises(BadRequestError, match="is no time"):
        parse_moment(text, "since")
