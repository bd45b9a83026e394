from __future__ import annotations

from analytics.lake.place import Place
from analytics.lake.store import Access, reason_of


def test_how_a_store_is_reached_never_shows_what_opens_it() -> None:
    shown = repr(Place(url="s3://b", access=Access(key="AKIA1", secret="hush", region="eu-central-1")))

    assert "eu-central-1" in shown
    assert "AKIA1" not in shown
    assert "hush" not in shown


def test_of_a_tracebacks_text_the_cause_is_said() -> None:
    text = 'Traceback:\n  File "x.py"\nTimeoutError: slow\n\nOSError: [Errno 121] Internal Server Error\n\nLINE 1: ...'

    assert reason_of(RuntimeError(text)) == "OSError: [Errno 121] Internal Server Error"
    assert reason_of(RuntimeError("no such file\nLINE 1")) == "no such file"
