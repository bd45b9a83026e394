from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.settings.logs import JsonLines

CANARY = "what a caller said"


def logged(message: str, *arguments: object, exception: BaseException | None = None, **extra: object) -> str:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines("worker-0"))
    error = (type(exception), exception, exception.__traceback__) if exception is not None else None
    log = logging.Logger("turnout.test")  # noqa: LOG001 - below no root, whose handlers report what no report may carry
    log.addHandler(handler)
    log.warning(message, *arguments, exc_info=error, extra=extra)
    return stream.getvalue()


def read(line: str) -> dict[str, Any]:
    assert line.endswith("\n")
    return json.loads(line)


def test_a_line_says_when_where_how_bad_and_what():
    line = read(logged("%d of %s", 3, "many", path=Path("/x"), count=7))

    assert line == {
        "at": line["at"],
        "level": "warning",
        "process": "worker-0",
        "event": "3 of many",
        "path": "/x",
        "count": 7,
    }
    assert len(line["at"]) == len("2026-01-01T00:00:00.000Z")
    assert line["at"].endswith("Z")


@given(st.text(st.characters(), max_size=50), st.text(max_size=50))
def test_whatever_is_logged_is_one_line_without_control_characters(event: str, reason: str):
    line = logged("%s", event, reason=reason)

    assert line.count("\n") == 1
    assert not [character for character in line[:-1] if character < " " or "\x7f" <= character <= "\x9f"]
    assert not {"\u2028", "\u2029"} & set(line)
    assert read(line)["event"] == event
    assert read(line)["reason"] == reason


def test_text_that_is_no_unicode_is_logged_all_the_same():
    assert read(logged("%s", "half \ud800", path="/tmp/\udcff"))["path"] == "/tmp/\udcff"


def read_number(text: str) -> int:
    """Fail with the text in two exceptions, one the cause of the other."""
    try:
        return int(text)
    except ValueError as error:
        raise KeyError(text) from error


def test_of_an_exception_type_and_place_are_logged_and_never_its_text():
    with pytest.raises(KeyError) as caught:
        read_number(CANARY)

    text = logged("it failed", exception=caught.value)

    line = read(text)
    assert line["exception"] == "KeyError"
    assert "ValueError" in line["traceback"]
    assert "in read_number" in line["traceback"]
    assert CANARY not in text


def test_a_process_logs_to_standard_error_alone():
    program = "import logging; from gateway.settings.logs import configure; configure('console'); logging.info('hello')"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == ""
    assert read(done.stderr)["process"] == "console"


def test_uvicorns_everyday_words_are_left_out():
    program = (
        "import logging; from gateway.settings.logs import configure; configure('console');"
        "logging.getLogger('uvicorn.error').info('Started'); logging.getLogger('uvicorn.error').warning('Bad')"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert [read(f"{line}\n")["event"] for line in done.stderr.splitlines()] == ["Bad"]


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize("odd", [Unprintable(), [Unprintable()], {"key": Unprintable()}])
def test_a_value_that_cannot_even_be_printed_leaves_the_rest_of_its_line(odd: object):
    line = read(logged("said", found=odd, count=3, reason="here"))

    assert (line["event"], line["count"], line["reason"]) == ("said", 3, "here")


def test_a_value_without_any_text_is_told_by_its_type():
    assert read(logged("said", found=Unprintable()))["found"] == "<Unprintable>"


def test_a_value_that_contains_itself_does_not_break_its_line():
    circle: list[object] = []
    circle.append(circle)

    assert read(logged("said", found=circle))["found"] == "[[...]]"


def test_a_cause_that_was_suppressed_is_not_told():
    error = ValueError()
    error.__context__ = KeyError()
    error.__suppress_context__ = True

    assert read(logged("said", exception=error))["traceback"] == "ValueError\n"


def test_exceptions_that_cause_each_other_end():
    one, other = ValueError(), KeyError()
    one.__cause__, other.__cause__ = other, one

    assert read(logged("said", exception=one))["traceback"] == "ValueError\nKeyError\n"


def test_no_exception_at_all_adds_nothing():
    record = logging.makeLogRecord({"msg": "said", "exc_info": (None, None, None)})

    assert "exception" not in json.loads(JsonLines("worker-0").format(record))
