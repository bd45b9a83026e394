"""Forms on their way: what is kept, what passes, what is refused in the middle; all byte for byte but for the model."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequestError, ShedError, TooLargeError
from gateway.proxy.caller import Connection, GoneError, Header
from gateway.proxy.form_body import FormBody, spliced
from gateway.proxy.limits import Room
from tests.fakes.forms import KIND, field, file, form
from tests.fakes.proxy import Caller, Moments

pytestmark = pytest.mark.anyio
SOUND = b"\x00\r\n--" * 20_000
EARLY = form(field("model", "sales"), field("user", "ann"), file(SOUND), field("language", "en"))
LATE = form(file(SOUND), field("user", "ann"), field("model", "sales"))


class Sent:
    """One form as its caller sends it, in pieces of 10,000 bytes."""

    def __init__(
        self, body: bytes, *, room_bytes: int = 10_000_000, is_cut: bool = False, declares: bool = True
    ) -> None:
        self.pieces = [body[at : at + 10_000] for at in range(0, len(body), 10_000)]
        length: Header = (b"content-length", b"%d" % len(body)) if declares else (b"transfer-encoding", b"chunked")
        caller = Caller(Moments(), *self.pieces, headers=[(b"content-type", KIND), length], is_cut=is_cut)
        self.connection: Connection = caller.connection()
        self.room = Room(room_bytes)
        self.body = FormBody(self.connection, 10_000_000, self.room)

    def key(self) -> bytes | None:
        user = self.body.text("user")
        return user.encode() if user else None

    async def rest(self) -> bytes:
        pieces: list[bytes] = []
        while piece := await self.body.piece():
            pieces.append(piece)
        return b"".join(pieces)


async def test_a_form_whose_model_comes_first_is_read_to_its_file_and_passed_on():
    sent = Sent(EARLY)

    await sent.body.read(lambda: True, lambda: None)
    assert (sent.body.model, sent.body.text("user"), sent.room.held_bytes) == ("sales", "ann", 10_000)
    assert sent.body.sent_as("tuned-model", is_split=True) is sent.body
    size_bytes = sent.body.size_bytes
    passed = await sent.rest()

    assert passed == EARLY.replace(b"sales", b"tuned-model")
    assert size_bytes == len(passed)
    assert (sent.room.held_bytes, sent.connection.buffered_bytes) == (0, 0)


@pytest.mark.parametrize("declares", [True, False])
async def test_a_form_whose_model_comes_last_is_kept_to_its_end(*, declares: bool):
    sent = Sent(LATE, declares=declares)

    await sent.body.read(lambda: True, lambda: None)
    assert sent.room.held_bytes == len(LATE)
    sent.body.sent_as("t", is_split=True)
    size_bytes = sent.body.size_bytes
    passed = await sent.rest()

    assert passed == LATE.replace(b"sales", b"t")
    assert size_bytes == (len(passed) if declares else None)
    assert sent.room.held_bytes == 0


async def test_a_form_that_is_not_decided_at_its_file_is_kept_to_its_end():
    sent = Sent(EARLY)

    await sent.body.read(lambda: False, lambda: None)

    assert sent.room.held_bytes == len(EARLY)


async def test_a_short_form_goes_out_in_one_piece():
    whole = form(field("model", "sales"), file(b"sound"))
    sent = Sent(whole)

    await sent.body.read(lambda: False, lambda: None)

    assert sent.body.sent_as("tuned", is_split=False) == whole.replace(b"sales", b"tuned")


async def test_more_than_a_worker_may_hold_needs_the_model_first():
    with pytest.raises(TooLargeError, match="send them first"):
        await Sent(LATE, room_bytes=50_000).body.read(lambda: True, lambda: None)


async def test_a_form_waits_for_no_room():
    sent = Sent(LATE, room_bytes=len(LATE))
    sent.room.take(1)

    with pytest.raises(ShedError) as shed:
        await sent.body.read(lambda: True, lambda: None)
    assert shed.value.error_class == "buffers_full"


async def test_a_field_that_names_another_user_after_the_file_comes_too_late_where_users_decide():
    body = form(field("model", "sales"), file(SOUND), field("language", "en"), field("user", "bob"))
    split, plain, same = Sent(body), Sent(body), Sent(body)

    for sent, is_split in ((split, True), (plain, False), (same, True)):
        key = by_header if sent is same else sent.key
        await sent.body.read(lambda: True, key)
        sent.body.sent_as("sales", is_split=is_split)

    with pytest.raises(BadRequestError) as late:
        await split.rest()
    assert (late.value.code, late.value.param) == ("late_field", "user")
    assert await plain.rest() == await same.rest() == body


def by_header() -> bytes:
    return b"ann"


async def test_what_stands_behind_the_file_is_not_known_however_short_the_form_is():
    sent = Sent(form(field("model", "m"), file(b"x"), field("n", "3"), field("stream", "true")))
    await sent.body.read(lambda: True, sent.key)
    before = (sent.body.is_whole, sent.body.count("n"), sent.body.stream)
    body = sent.body.sent_as("m", is_split=True)

    assert isinstance(body, bytes)
    assert before == (sent.body.is_whole, sent.body.count("n"), sent.body.stream) == (False, 0, False)


async def test_what_stands_before_the_file_is_known():
    sent = Sent(form(field("model", "m"), field("n", "3"), field("stream", "true"), file(SOUND)))
    await sent.body.read(lambda: True, sent.key)

    assert (sent.body.is_whole, sent.body.count("n"), sent.body.stream) == (False, 3, True)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (form(field("model", "a"), file(SOUND), field("model", "b")), "duplicate_field"),
        (EARLY[:-4], "invalid_multipart"),
        (EARLY + b"more", "invalid_multipart"),
    ],
)
async def test_a_form_that_breaks_on_its_way_raises_before_its_last_byte(body: bytes, code: str):
    sent = Sent(body)
    await sent.body.read(lambda: True, lambda: None)
    sent.body.sent_as("a", is_split=False)

    with pytest.raises(BadRequestError) as broken:
        await sent.rest()
    assert broken.value.code == code


async def test_a_caller_that_leaves_in_the_middle_raises():
    sent = Sent(EARLY[:50_000], is_cut=True, declares=False)
    await sent.body.read(lambda: True, lambda: None)
    sent.body.sent_as("a", is_split=False)

    with pytest.raises(GoneError):
        await sent.rest()


async def test_a_form_without_a_model_is_refused():
    with pytest.raises(BadRequestError) as refused:
        await Sent(form(file(b"x"))).body.read(lambda: True, lambda: None)
    assert refused.value.code == "missing_model"


@pytest.mark.parametrize(("text", "count"), [("3", 3), ("0", 1), ("x", 0), ("", 0), ("99999", 0), ("²", 0)])
async def test_a_count_is_a_small_number_or_not_known(text: str, count: int):
    sent = Sent(form(field("model", "m"), field("n", text)))
    await sent.body.read(lambda: True, lambda: None)

    assert sent.body.count("n") == count
    assert sent.body.count("other") == 1
    assert (sent.body.stream, sent.body.continues(), sent.body.metadata_text("user_id")) == (False, None, None)


@given(st.lists(st.binary(max_size=5), max_size=8), st.integers(0, 40), st.integers(0, 40), st.binary(max_size=3))
def test_splicing_pieces_is_splicing_their_join(pieces: list[bytes], start: int, length: int, inserted: bytes):
    whole = b"".join(pieces)
    start = min(start, max(0, len(whole) - 1))
    end = min(start + length, len(whole))
    if not whole:
        return

    assert b"".join(spliced(pieces, start, end, inserted)) == whole[:start] + inserted + whole[end:]
