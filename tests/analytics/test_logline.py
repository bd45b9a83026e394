from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.logline import LEVELS, LogLevel, as_json, as_short, passes

LINE = {"at": "2026-05-01T12:34:56.789Z", "level": "warning", "process": "worker-0", "event": "it happened"}
HARMFUL = {*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0)), "\u2028", "\u2029"}


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(("least", "passing"), [("debug", 5), ("info", 4), ("warning", 3), ("error", 2)])
def test_a_level_lets_itself_and_what_is_worse_pass(least: LogLevel, passing: int):
    assert [level for level in LEVELS if passes(level, least)] == list(LEVELS[-passing:])


def test_programs_get_the_fields():
    assert json.loads(as_json({**LINE, "lost": 3, "reason": None})) == {**LINE, "lost": 3, "reason": None}


def test_people_get_the_time_of_day_and_what_matters():
    assert as_short(LINE) == "12:34:56 warning worker-0: it happened"
    assert as_short({**LINE, "lost": 3, "reason": "full"}) == (
        "12:34:56 warning worker-0: it happened (lost=3 reason=full)"
    )


def test_a_traceback_stands_below_its_line():
    short = as_short({**LINE, "exception": "KeyError", "traceback": "KeyError\n  File x\n"})

    assert short.splitlines() == [
        "12:34:56 warning worker-0: it happened (exception=KeyError)",
        "    KeyError",
        "      File x",
    ]


@given(st.text(max_size=30), st.text(max_size=30) | st.lists(st.text(max_size=5)))
def test_whatever_the_fields_hold_it_is_one_harmless_line(event: str, value: Any):
    for line in (as_json({**LINE, "event": event, "value": value}), as_short({**LINE, "event": event, "value": value})):
        assert not HARMFUL & set(line)
        line.encode()


def test_text_that_is_no_unicode_is_shown_all_the_same():
    for render in (as_json, as_short):
        assert "udcff" in render({**LINE, "path": "/\udcff"}).encode().decode()


@pytest.mark.parametrize("render", [as_json, as_short])
@pytest.mark.parametrize("value", [Unprintable(), [Unprintable()]])
def test_a_value_that_cannot_be_printed_leaves_the_rest(render: Any, value: object):
    line = render({**LINE, "found": value, "count": 3})

    assert "Unprintable" in line
    assert "3" in line
