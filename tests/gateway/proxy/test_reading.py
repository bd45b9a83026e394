"""Bodies, read as what they are: JSON to its end, a form until nothing can change who serves it."""

from __future__ import annotations

import msgspec
import pytest

from gateway.errors import BadRequestError
from gateway.proxy.caller import Header
from gateway.proxy.endpoints import CHAT, KNOWN, Endpoint
from gateway.proxy.form_body import FormBody
from gateway.proxy.limits import Room
from gateway.proxy.reading import Reading, kept_headers, read, rewritten
from gateway.proxy.snapshot import View
from gateway.proxy.wire import Reading as Json
from gateway.settings.schema import Application
from tests.fakes.forms import KIND, field, file, form
from tests.fakes.proxy import BODY, KEY, Caller, Moments, decisions

pytestmark = pytest.mark.anyio
SOUND = file(b"x" * 50_000)
FORMS = KNOWN["/v1/audio/transcriptions"]


async def read_of(
    body: bytes, *headers: Header, kind: bytes = KIND, endpoint: Endpoint = FORMS, **application: object
) -> tuple[Reading, int]:
    """Return what was read, and how many bytes of it are kept."""
    made = msgspec.convert({"user_header": "x-user-id", **application}, Application)
    view = View(decisions=decisions(applications={"shop": made}), source="ledger")
    caller = view.decisions.caller(KEY)
    assert caller is not None
    pieces = [body[at : at + 10_000] for at in range(0, len(body), 10_000)]
    sent = [(b"content-type", kind), (b"content-length", b"%d" % len(body)), *headers]
    room = Room(10_000_000)
    connection = Caller(Moments(), *pieces, headers=sent).connection()
    return await read(connection, endpoint, view, caller, room), room.held_bytes


USER: Header = (b"x-user-id", b"ann")


@pytest.mark.parametrize(
    ("parts", "headers", "passes"),
    [
        ((field("model", "sales"), SOUND), [USER], True),
        ((field("model", "sales"), field("user", "ann"), SOUND), [], True),
        ((field("model", "sales"), SOUND), [], False),
        ((field("model", "sales"), SOUND, field("user", "ann")), [], False),
        ((SOUND, field("model", "sales")), [USER], False),
        ((field("model", "tuned"), SOUND), [], True),
        ((field("model", "nobody"), SOUND), [], True),
        ((field("model", "sales"), field("prompt", "x" * 50_000)), [USER], False),
    ],
)
async def test_a_form_passes_from_its_file_on_once_nothing_can_change_who_serves_it(
    parts: tuple[bytes, ...], headers: list[Header], *, passes: bool
):
    body = form(*parts)

    reading, kept_bytes = await read_of(body, *headers)

    assert isinstance(reading, FormBody)
    assert kept_bytes == (10_000 if passes else len(body))


async def test_applications_whose_policy_names_a_user_still_wait_for_one():
    body = form(field("model", "sales"), SOUND)

    _, kept_bytes = await read_of(body, anonymous="application")

    assert kept_bytes == len(body)


async def test_a_form_where_none_belongs_is_no_json():
    with pytest.raises(BadRequestError) as refused:
        await read_of(form(field("model", "sales")), endpoint=CHAT)
    assert refused.value.code == "invalid_json"


@pytest.mark.parametrize("kind", [b"application/json", b"", b"text/plain"])
async def test_json_is_read_whatever_its_type_says_and_goes_out_as_json(kind: bytes):
    reading, _ = await read_of(BODY, kind=kind)

    assert isinstance(reading, Json)
    assert kept_headers(reading) == ()
    assert rewritten(reading, "tuned", is_split=True, inject_usage=False) == BODY.replace(b"sales", b"tuned")


async def test_a_form_goes_out_with_the_type_that_names_its_boundary():
    reading, _ = await read_of(form(field("model", "sales")), kind=KIND.upper().replace(b"X-7F3A", b"X-7f3a"))

    assert kept_headers(reading) == (b"content-type",)
    assert rewritten(reading, "tuned", is_split=True, inject_usage=False) == form(field("model", "tuned"))
