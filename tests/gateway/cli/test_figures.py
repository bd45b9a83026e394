from __future__ import annotations

import pytest

from gateway.cli.figures import usd


@pytest.mark.parametrize(
    ("dollars", "text"),
    [
        (0.0, "$0"),
        (0.00021334, "$0.0002133"),
        (0.0000001234, "$0.0000001234"),
        (0.5, "$0.5"),
        (1234.567, "$1,234.57"),
    ],
)
def test_dollars_show_digits_that_say_something(dollars: float, text: str):
    assert usd(dollars) == text
