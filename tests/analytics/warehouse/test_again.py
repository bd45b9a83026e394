from __future__ import annotations

from collections.abc import Iterator

import pytest

from analytics.warehouse.again import again
from analytics.warehouse.database import UnreadableLakeError


def failing(times: int) -> Iterator[str]:
    """Raise so many times what an exchanged file raises, and answer then."""
    for _ in range(times):
        yield ""
    while True:
        yield "42"


def asked(answers: Iterator[str]) -> str:
    found = next(answers)
    if not found:
        message = "Prefetch registered for bytes outside file"
        raise UnreadableLakeError(message)
    return found


def test_what_failed_a_few_times_is_answered() -> None:
    answers = failing(2)

    assert again(lambda: asked(answers)) == "42"


def test_what_fails_for_good_is_raised() -> None:
    answers = failing(5)
    with pytest.raises(UnreadableLakeError, match="Prefetch"):
        again(lambda: asked(answers))

    assert next(answers) == "42"


def test_another_error_is_raised_at_once() -> None:
    with pytest.raises(ZeroDivisionError):
        again(lambda: 1 // 0)
