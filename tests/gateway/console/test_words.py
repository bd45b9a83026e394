from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.console.words import plain_words, user_key_bytes
from gateway.errors import BadRequestError


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=120))
def test_a_user_key_is_its_bytes_unchanged(text: str):
    assert user_key_bytes(text) == text.encode()


def test_a_user_key_may_have_512_bytes_and_not_one_more():
    assert len(user_key_bytes("é" * 256)) == 512
    with pytest.raises(BadRequestError, match="513 bytes; the limit is 512"):
        user_key_bytes("x" * 513)


def test_words_are_returned_as_they_are():
    assert plain_words("because: zoë said so", "reason") == "because: zoë said so"
    assert plain_words("", "reason") == ""
