from __future__ import annotations

import io
import json
import logging
import os
import pty
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.settings.logs import Lines

CANARY = "what a caller said"


def logged(message: str, *arguments: object, exception: BaseException | None = None, **extra: object) -> str:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Lines("worker-0"))
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


def said(program: str, *, level: str = "info") -> list[dict[str, Any]]:
    """Run a program in a process that logs, and return its lines."""
    start = f"import logging, threading; from gateway.settings.logs import configure; configure('console', '{level}')\n"
    done = subprocess.run([sys.executable, "-c", start + program], capture_output=True, text=True, check=False)
    assert done.stdout == ""
    return [json.loads(line) for line in done.stderr.splitlines()]


TALK = """
for name in ("turnout.console", "uvicorn.error", "aiohttp.client"):
    for level in ("debug", "info", "warning", "error"):
        getattr(logging.getLogger(name), level)(f"{name} {level}")
"""


@pytest.mark.parametrize(
    ("level", "ours", "theirs"), [("debug", 4, 2), ("info", 3, 2), ("warning", 2, 2), ("error", 1, 1)]
)
def test_the_level_counts_for_us_and_libraries_are_quiet_below_warnings(level: str, ours: int, theirs: int):
    events = [line["event"].split()[0] for line in said(TALK, level=level)]

    assert Counter(events) == {"turnout.console": ours, "uvicorn.error": theirs, "aiohttp.client": theirs}


def test_the_level_can_be_changed_while_a_process_runs():
    program = """
from gateway.settings.logs import set_level
log = logging.getLogger("turnout.console")
for level in ("warning", "debug", "debug", "error"):
    set_level(level)
    log.debug(f"debug at {level}")
    log.error(f"error at {level}")
"""

    events = [line["event"] for line in said(program)]

    wanted = ["error at warning", *["debug at debug", "error at debug"] * 2, "error at error"]
    assert events == wanted


def test_what_ends_a_process_or_a_thread_is_told_without_its_text():
    program = f"""
def fail():
    raise ValueError("{CANARY}")
thread = threading.Thread(target=fail, name="watch")
thread.start()
thread.join()
fail()
"""

    in_thread, at_the_end = said(program)

    assert (in_thread["level"], in_thread["exception"], in_thread["stopped"]) == ("critical", "ValueError", "watch")
    assert (at_the_end["event"], at_the_end["exception"]) == ("the process ends by an error", "ValueError")
    assert "in fail" in at_the_end["traceback"]
    assert CANARY not in f"{in_thread} {at_the_end}"


def test_a_failed_task_is_told_without_its_exceptions_text():
    program = f"""
import asyncio, gc
async def fail():
    raise ValueError("{CANARY}")
async def main():
    asyncio.create_task(fail())
    await asyncio.sleep(0.01)
    gc.collect()
asyncio.run(main())
"""

    (line,) = said(program)

    assert (line["event"], line["exception"]) == ("Task exception was never retrieved", "ValueError")
    assert CANARY not in f"{line}"


def test_a_person_at_a_terminal_reads_short_lines():
    master, slave = pty.openpty()
    program = (
        "import logging; from gateway.settings.logs import configure; configure('worker-0');"
        "logging.getLogger('turnout.proxy').warning('the disk \\x1b[31m refuses', extra={'lost': 3})"
    )
    subprocess.run([sys.executable, "-c", program], stderr=slave, check=True)
    line = os.read(master, 4096).decode()
    os.close(slave)
    os.close(master)

    assert re.fullmatch(r"\d\d:\d\d:\d\d warning worker-0: the disk \\u001b\[31m refuses \(lost=3\)\r\n", line)


def test_a_line_for_a_person_goes_the_same_way_as_it_is():
    program = "from gateway.settings.logs import configure; configure('serve')('turnout: few files')"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stderr == "turnout: few files\n"


def test_ctrl_c_is_no_error_of_ours():
    start = "from gateway.settings.logs import configure; configure('serve')\nraise KeyboardInterrupt"

    done = subprocess.run([sys.executable, "-c", start], capture_output=True, text=True, check=False)

    assert done.stderr.splitlines()[-1] == "KeyboardInterrupt"


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

    assert "exception" not in json.loads(Lines("worker-0").format(record))
