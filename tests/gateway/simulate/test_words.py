from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.simulate.words import OPENING, WRAP, answer_tokens, liked, prompt, tokens

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


@given(count=st.integers(2, 50), start=places, good=st.booleans())
def test_a_reader_tells_good_from_weak_answers_by_their_wording(count: int, start: int, *, good: bool):
    said = "".join(answer_tokens(count, start, good=good))

    assert liked(said) is good
    assert liked('{"answer":"' + said + '"}') is good


def test_of_other_texts_a_reader_has_no_opinion():
    assert [liked(text) for text in ("", "Simulated", '{"items":[]}')] == [None, None, None]
