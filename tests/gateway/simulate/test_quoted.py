from __future__ import annotations

import pytest

from gateway.simulate.quoted import keys, quoted, taken_up

PERSON = {
    "properties": {
        "name": {"type": "string"},
        "mail": {"type": "string", "format": "email"},
        "age": {"type": "integer"},
        "town": {"type": "string"},
    }
}


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("with 'setup' and \"the end\"", ["setup", "the end"]),
        ("that's the customers' and isn't quoted", []),
        ([{"type": "text", "text": "'a'"}, {"type": "image_url"}, "'b'", {"type": "text", "text": "'c'"}], ["a", "c"]),
        (None, []),
        ({"text": "'a'"}, []),
    ],
)
def test_what_stands_in_quotation_marks_is_found(content: object, found: list[str]):
    assert quoted(content) == found


def test_keys_are_the_different_names_among_quotes():
    assert keys(["setup", "two words", "setup", "end"]) == ["setup", "end"]
    assert keys(["two words"]) == ["answer"]


def test_free_texts_are_replaced_in_order():
    made = {"name": "x", "mail": "buyer@example.com", "age": 3, "town": "y"}

    assert taken_up(made, PERSON, ["Ada", "Paris", "more"]) == {**made, "name": "Ada", "town": "Paris"}
    assert taken_up(made, PERSON, ["Ada"]) == {**made, "name": "Ada"}
    assert taken_up(made, {}, ["Ada"]) == made
    assert taken_up([1], PERSON, ["Ada"]) == [1]
