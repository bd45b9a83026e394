from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rollout.sources.foreign import FlagSource, Poll, Seen, SourceError, Wanted, opened, percent_of
from tests.fakes.foreign_flags import Client
from tests.fakes.webhook_receiver import until

FLAG = Wanted(provider="somewhere:provider", flag="percent", refresh_s=0.01)


class Polled:
    """A poll of a client's flag, with a clock of the test's."""

    def __init__(self, **values: Any) -> None:
        self.client = Client(values=values)
        self.now_s = 0.0
        self.poll = Poll(FLAG, lambda: FlagSource(self.client, "percent"), clock=lambda: self.now_s)

    def until(self, seen: Seen) -> None:
        until(lambda: self.poll.look() == seen)


@pytest.fixture
def polled() -> Iterator[type[Polled]]:
    made: list[Polled] = []

    class Ended(Polled):
        def __init__(self, **values: Any) -> None:
            super().__init__(**values)
            made.append(self)

    yield Ended
    for one in made:
        assert one.poll.end()


@pytest.mark.parametrize("value", [0, 0.0, 5, 12.5, 0.01, 100, 100.0])
def test_a_percent_is_a_float_or_a_whole_number(value: float):
    assert FlagSource(Client(values={"percent": value}), "percent").read() == value


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("FLAG_NOT_FOUND", "answers FLAG_NOT_FOUND"),
        ("x" * 99, f"answers {'x' * 40}"),
        (-1.0, "has no value for it"),
        (-0.5, "percent -0.5 is outside 0 to 100"),
        (100.01, "percent 100.01 is outside 0 to 100"),
        (33.333, "finer than a bucket"),
        (1e-7, "finer than a bucket"),
        (float("nan"), "has a value that cannot be taken"),
        (float("inf"), "has a value that cannot be taken"),
        (1e300, "has a value that cannot be taken"),
        (10**30, "has a value that cannot be taken"),
    ],
)
def test_what_is_no_percent_is_refused(value: object, words: str):
    with pytest.raises(SourceError, match=words):
        FlagSource(Client(values={"percent": value}), "percent").read()


@pytest.mark.parametrize("value", [True, "5", None, [5.0]])
def test_a_value_that_is_no_number_is_refused_by_its_type_alone(value: object):
    with pytest.raises(SourceError, match=f"has a {type(value).__name__} for it, which is no number"):
        percent_of(value)


def test_a_poll_follows_the_flag_and_keeps_the_last_good_percent(polled: type[Polled]):
    one = polled(percent=5.0)
    one.until(Seen(percent=5.0))
    one.client.values["percent"] = 10.0
    one.until(Seen(percent=10.0))
    one.client.values["percent"] = ConnectionError("http://user:canary@flags")
    one.until(Seen(percent=10.0, trouble="failed (ConnectionError)"))
    one.client.values["percent"] = 101.0
    one.until(Seen(percent=10.0, trouble="has a value that cannot be taken: percent 101.0 is outside 0 to 100"))
    one.client.values["percent"] = SystemExit(1)
    one.until(Seen(percent=10.0, trouble="failed (SystemExit)"))
    one.client.values["percent"] = 20
    one.until(Seen(percent=20.0))


def test_a_provider_that_hangs_is_said_and_holds_nobody(polled: type[Polled]):
    one, let_go = polled(percent=5.0), threading.Event()
    one.until(Seen(percent=5.0))
    one.client.values["percent"] = let_go
    until(lambda: one.poll._asked_at is not None)  # noqa: SLF001 - when the read that hangs has begun
    one.now_s = 12.0
    one.until(Seen(percent=5.0, trouble="has not answered for 12 s"))

    assert not one.poll.end()
    let_go.set()


def test_a_source_that_cannot_be_opened_is_tried_again():
    tries: list[int] = []

    def open_() -> FlagSource:
        tries.append(1)
        if len(tries) < 3:
            message = "lacks a secret"
            raise SourceError(message)
        return FlagSource(Client(values={"percent": 7.0}), "percent")

    poll = Poll(FLAG, open_)
    until(lambda: poll.look() == Seen(percent=7.0))

    assert poll.end()
    assert len(tries) == 3


def test_nothing_is_known_before_the_first_answer():
    let_go = threading.Event()
    poll = Poll(FLAG, lambda: FlagSource(Client(values={"percent": let_go}), "percent"))

    assert poll.look() == Seen(trouble="has not been asked yet")
    let_go.set()
    poll.end()


MODULE = """
from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider

def made(start, token="none"):
    return InMemoryProvider({"percent": InMemoryFlag("on", {"on": start}), "off": InMemoryFlag("on", {})})

def failing():
    raise RuntimeError("canary")

class Unwilling(InMemoryProvider):
    def initialize(self, evaluation_context):
        raise RuntimeError("canary")

class Place:
    ready = made(25.0)

unwilling = Unwilling({})
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    pytest.importorskip("openfeature", reason="not exercised: OpenFeature's SDK is not installed")
    (tmp_path / "flags_of_a_test.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield "flags_of_a_test"
    sys.modules.pop("flags_of_a_test", None)


@pytest.mark.parametrize(
    ("attribute", "options", "percent"),
    [("made", {"start": 12.5, "token": "t"}, 12.5), ("made", {"start": 7}, 7.0), ("Place.ready", {}, 25.0)],
)
def test_any_provider_of_openfeature_is_asked(module: str, attribute: str, options: dict[str, Any], percent: float):
    wanted = Wanted(provider=f"{module}:{attribute}", flag="percent", options=options)

    assert opened(wanted, f"test {attribute} {percent}").read() == percent


@pytest.mark.parametrize(
    ("provider", "words"),
    [
        ("missing_module:x", r"cannot be made of missing_module:x \(ModuleNotFoundError\)"),
        ("MODULE:missing", r"cannot be made of MODULE:missing \(AttributeError\)"),
        ("MODULE:failing", r"cannot be made of MODULE:failing \(RuntimeError\)"),
        ("MODULE:made", r"cannot be made of MODULE:made \(TypeError\)"),
        ("MODULE:unwilling", "could not begin its work"),
    ],
)
def test_a_provider_that_cannot_be_made_is_said_in_our_words(module: str, provider: str, words: str):
    with pytest.raises(SourceError, match=words.replace("MODULE", module)) as raised:
        opened(Wanted(provider=provider.replace("MODULE", module), flag="percent"), "test")

    assert "canary" not in str(raised.value)


def test_a_flag_that_the_provider_does_not_have_is_said(module: str):
    wanted = Wanted(provider=f"{module}:made", flag="other", options={"start": 1.0})

    with pytest.raises(SourceError, match="answers FLAG_NOT_FOUND"):
        opened(wanted, "test other").read()


def test_without_the_sdk_the_remedy_is_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "openfeature", None)

    with pytest.raises(SourceError, match=r"pip install 'turnout\[openfeature\]'"):
        opened(FLAG, "test")
