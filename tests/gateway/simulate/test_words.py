from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.simulate.words import OPENING, WRAP, answer_tokens, prompt, tokens

places = st.integers(0, WRAP - 1)


@given(st.integers(0, 30_000), places)
def test_a_text_of_n_tokens_has_n_tokens(count: int, start: int):
    assert len(tokens(count, start)) == count
    assert len(answer_tokens(count, start)) == count


@given(st.integers(2, 50), places)
def test_every_answer_says_that_it_is_simulated(count: int, start: int):
    assert "".join(answer_tokens(count, start)).startswith("".join(OPENING))


@given(st.integers(0, 300_000), places)
def test_a_prompt_has_the_asked_size_in_bytes(size_bytes: int, start: int):
    assert len(prompt(size_bytes, start).encode()) == size_bytes
