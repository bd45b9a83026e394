from __future__ import annotations

import msgspec
import pytest

from gateway.errors import BadRequestError
from gateway.simulate.strict import convert, decode


class Order(msgspec.Struct):
    name: str
    count: int = 1


DECODER = msgspec.json.Decoder(Order)


def test_a_good_body_is_read():
    assert decode(b'{"name": "gr\xc3\xbc\xc3\x9fe"}', DECODER, "order") == Order("grüße")


@pytest.mark.parametrize(
    ("body", "param"),
    [(b"{}", "name"), (b'{"name": 3}', "name"), (b"[]", None), (b"{", None), (b'{"name": "\xff"}', None)],
)
def test_a_bad_body_is_refused_by_the_name_of_the_field(body: bytes, param: str | None):
    with pytest.raises(BadRequestError) as caught:
        decode(body, DECODER, "order")

    assert caught.value.param == param


def test_the_fields_of_a_form_are_read_from_text():
    assert convert({"name": "a", "count": "3"}, Order, "order") == Order("a", 3)

    with pytest.raises(BadRequestError) as caught:
        convert({"name": "a", "count": "three"}, Order, "order")

    assert caught.value.param == "count"
