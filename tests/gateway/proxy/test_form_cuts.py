"""However the network cuts a form, its outcome is the same: what is decided, what is sent on, or why it is refused."""

from __future__ import annotations

import msgspec
import pytest

from gateway.errors import ApiError
from gateway.proxy.caller import Header
from gateway.proxy.endpoints import KNOWN
from gateway.proxy.form_body import FormBody
from gateway.proxy.identity import identify
from gateway.proxy.limits import Room
from gateway.proxy.reading import may_play, read, rewritten
from gateway.proxy.snapshot import View
from gateway.settings.schema import Application
from tests.fakes.forms import BOUNDARY, KIND, field, file, form, part
from tests.fakes.proxy import KEY, Caller, Moments, decisions

pytestmark = pytest.mark.anyio
EDITS = KNOWN["/v1/images/edits"]
SPLIT, PLAIN = field("model", "sales"), field("model", "tuned")
IMAGE = file(b"\r\n--x", "image")
USER: Header = (b"x-user-id", b"ann")

FORMS: dict[str, tuple[bytes, str | None]] = {
    "all before the file": (form(SPLIT, field("user", "bob"), field("n", "2"), field("stream", "1"), IMAGE), None),
    "all after the file": (form(IMAGE, field("n", "2"), field("stream", "1"), SPLIT), None),
    "n and stream after the file": (form(SPLIT, IMAGE, field("n", "2"), field("stream", "1")), None),
    "a lesser user after the file": (form(SPLIT, IMAGE, field("user", "bob")), None),
    "the same user after the file": (form(SPLIT, IMAGE, field("safety_identifier", "ann")), None),
    "another user after the file": (form(SPLIT, IMAGE, field("safety_identifier", "bob")), "late_field"),
    "another user, then the same": (
        form(SPLIT, IMAGE, field("safety_identifier", "bob"), field("user", "ann")),
        "late_field",
    ),
    "another user, then broken": (form(SPLIT, IMAGE, field("safety_identifier", "bob")) + b"x", "late_field"),
    "another user where none decides": (form(PLAIN, IMAGE, field("safety_identifier", "bob")), None),
    "two files": (form(IMAGE, SPLIT, IMAGE, field("n", "2")), None),
    "an unknown model, then broken": (form(field("model", "nobody"), IMAGE)[:-3], None),
    "no model": (form(IMAGE), "missing_model"),
    "two models": (form(PLAIN, IMAGE, SPLIT), "duplicate_field"),
    "a boundary behind a line feed": (form(PLAIN, field("x", b"\n--" + BOUNDARY + b"\n")), "invalid_multipart"),
    "a boundary in a file": (form(PLAIN, file(b"a\r--" + BOUNDARY + b"--")), "invalid_multipart"),
    "a boundary in a head": (form(PLAIN, part(b"x-y: --" + BOUNDARY)), "invalid_multipart"),
    "a line that goes on": (form(PLAIN, file(b"\r\n--" + BOUNDARY + b"x")), "invalid_multipart"),
    "no end": (form(PLAIN, IMAGE)[:-4], "invalid_multipart"),
    "an epilogue": (form(PLAIN, IMAGE) + b"x", "invalid_multipart"),
    "a long user before the file": (form(SPLIT, field("safety_identifier", "u" * 513), IMAGE), "user_key_too_long"),
}


async def outcome(*pieces: bytes) -> tuple[object, ...]:
    """Return what one form leads to: what was read for the decision and what is sent; or the refusal."""
    made = msgspec.convert(
        {"user_header": "x-user-id", "user_sources": ["safety_identifier", "header", "user"]}, Application
    )
    view = View(decisions=decisions(applications={"shop": made}), source="ledger")
    caller = view.decisions.caller(KEY)
    assert caller is not None
    length: Header = (b"content-length", b"%d" % sum(map(len, pieces)))
    connection = Caller(Moments(), *pieces, headers=[(b"content-type", KIND), length, USER]).connection()
    try:
        form = await read(connection, EDITS, view, caller, Room(10_000_000))
        user = identify(caller, connection.headers, form)
        route = view.decisions.route(form.model, live=True)
        read_so_far = (form.model, form.stream, form.count("n"), user, may_play(form, EDITS))
        if route is None:
            return read_so_far
        sent = rewritten(form, "tuned", is_split=route.flag is not None, inject_usage=False)
        assert isinstance(form, FormBody)
        return *read_so_far, sent if isinstance(sent, bytes) else await rest(form)
    except ApiError as error:
        return error.code, error.param, error.message


async def rest(form: FormBody) -> bytes:
    pieces: list[bytes] = []
    while piece := await form.piece():
        pieces.append(piece)
    return b"".join(pieces)


@pytest.mark.parametrize("case", FORMS)
async def test_a_form_has_the_same_outcome_at_every_cut(case: str):
    body, code = FORMS[case]

    whole = await outcome(body)

    assert (whole[0] == code) == (code is not None)
    assert await outcome(*(body[at : at + 1] for at in range(len(body)))) == whole
    for at in range(1, len(body)):
        assert await outcome(body[:at], body[at:]) == whole, at


async def test_what_stands_behind_the_file_is_left_to_the_answer_itself():
    before, _ = FORMS["all before the file"]
    after, _ = FORMS["n and stream after the file"]

    assert (await outcome(before))[1:3] == (True, 2)
    assert (await outcome(after))[1:3] == (False, 0)
    assert (await outcome(after))[4]
