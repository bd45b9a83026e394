"""`POST /v1/feedback`: read strictly, append to the journal, answer 202. What it fits is found out in the lake.

Law: feedback waits for nothing but the append, and an answer tells nobody whether the request that it names exists.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Mapping
from typing import Any, get_args
from uuid import UUID

import msgspec
from msgspec import Raw

from analytics.feedback import HIGHEST_RATING, LOWEST_RATING, Feedback, Signal, Thumb
from gateway.errors import ApiError, BadRequestError
from gateway.proxy import wire
from gateway.proxy.admission import admit
from gateway.proxy.caller import Connection, GoneError, Header
from gateway.proxy.capture import Contents
from gateway.proxy.entry import Journal, new_request_id
from gateway.proxy.exchange import MAX_ID_CHARACTERS
from gateway.proxy.queueing import Throttle
from gateway.proxy.snapshot import Caller, Holder

MAX_BODY_BYTES = 64 * 1024
MAX_COMMENT_CHARACTERS = 4000
"""Escaped as six bytes for each UTF-16 unit, which is the worst, a comment still fits a body."""

FIELDS = ("request_id", "response_id", "thumb", "rating", "signal", "comment")
"""What a body of feedback may hold."""
_THUMBS: tuple[str, ...] = get_args(Thumb)
_SIGNALS: tuple[str, ...] = get_args(Signal)
_TEXT = msgspec.json.Decoder(str | None)
_WHOLE = msgspec.json.Decoder(int | None)
_ABSENT = Raw(b"null")

_log = logging.getLogger("turnout.proxy")


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """What a body of feedback says."""

    request_id: str | None
    response_id: str | None
    thumb: Thumb | None
    rating: int | None
    signal: Signal | None
    comment: str | None


class Feedbacks:
    """Takes feedback for one worker's journal; it numbers what it takes, so there is one for each journal."""

    def __init__(self, holder: Holder, journal: Journal, contents: Contents, throttle: Throttle) -> None:
        self._holder = holder
        self._journal = journal
        self._throttle = throttle
        self._contents = contents
        self._numbers = itertools.count(1)

    async def answer(self, connection: Connection) -> None:
        """Answer one piece of feedback: 202 once it is in the journal."""
        now_us = time.time_ns() // 1000
        feedback_id = new_request_id(now_us)
        headers: list[Header] = [(b"x-request-id", feedback_id.encode())]
        try:
            caller, given = await self._read(connection)
        except ApiError as error:
            return await connection.refuse(error, headers)
        except GoneError:
            return None
        except Exception:  # noqa: BLE001 - a request's outermost frame: logged with its id
            _log.exception("feedback failed in the gateway", extra={"request_id": feedback_id})
            error = ApiError(f"The gateway failed at this feedback; its log names {feedback_id}.")
            return await connection.refuse(error, headers)
        finally:
            self._throttle.leave_room(connection)
        said = self._keep(caller, given, feedback_id, now_us)
        answer: dict[str, object] = {"id": feedback_id, "object": "feedback"}
        if given.comment is not None:
            answer["comment_kept"] = self._contents.comment(caller, said, given.comment)
        body = msgspec.json.encode(answer)
        length = (b"content-length", b"%d" % len(body))
        await connection.start(202, [(b"content-type", b"application/json"), length, *headers])
        return await connection.finish(body)

    async def _read(self, connection: Connection) -> tuple[Caller, Given]:
        view = self._holder.view
        caller = admit(view.decisions, connection.headers)
        await self._throttle.allowances.count_feedback(caller)
        body = await connection.body(MAX_BODY_BYTES, self._throttle.room(view.decisions.snapshot.admission))
        if (now := self._holder.view) is not view:
            caller = admit(now.decisions, connection.headers)
        return caller, read_feedback(body)

    def _keep(self, caller: Caller, given: Given, feedback_id: str, now_us: int) -> Feedback:
        said = Feedback(
            feedback_id=feedback_id,
            seq=next(self._numbers),
            received_at=now_us,
            application=caller.name,
            request_id=given.request_id,
            response_id=given.response_id,
            thumb=given.thumb,
            rating=given.rating,
            signal=given.signal,
        )
        self._journal.append(said)
        return said


def read_feedback(body: bytes) -> Given:
    """Read a body of feedback; a field that is null counts as absent.

    Raises:
        BadRequestError: it is no strict JSON object, names no request or two, gives no verdict or two, or holds what
            its field cannot; `param` names the field.
    """
    fields = wire.fields(body)
    for name in fields:
        if name not in FIELDS:
            shown = name[:100]
            message = f"The field {shown!r} is not known in feedback; send {', '.join(FIELDS)}."
            raise BadRequestError(message, param=shown, code="field_not_allowed")
    given = Given(
        request_id=_request_id(fields),
        response_id=_response_id(fields),
        thumb=_one_of(fields, "thumb", _THUMBS),
        rating=_rating(fields),
        signal=_one_of(fields, "signal", _SIGNALS),
        comment=_comment(fields),
    )
    _check(given)
    return given


def _check(given: Given) -> None:
    if given.request_id is not None and given.response_id is not None:
        message = "Send either 'request_id' or 'response_id', not both."
        raise _refused(message, "response_id")
    if given.request_id is None and given.response_id is None:
        message = "Name the request: 'request_id' is its answer's x-request-id header, 'response_id' its answer's id."
        raise _refused(message, "request_id")
    if given.thumb is not None and given.rating is not None:
        message = "Send either 'thumb' or 'rating', not both."
        raise _refused(message, "rating")
    if given.thumb is None and given.rating is None and given.signal is None:
        message = "The feedback gives no verdict; send 'thumb' (up or down), 'rating' (1 to 5) or 'signal'."
        raise _refused(message, "thumb")


def _request_id(fields: Mapping[str, Raw]) -> str | None:
    text = _text(fields, "request_id")
    if text is None:
        return None
    try:
        named = str(UUID(text))
    except ValueError:
        named = ""
    if named != text.lower():
        message = (
            "The field 'request_id' must be the UUID that an answer carried as x-request-id; "
            "the id inside an answer is its 'response_id'."
        )
        raise _refused(message, "request_id")
    return named


def _rating(fields: Mapping[str, Raw]) -> int | None:
    wanted = f"a whole number from {LOWEST_RATING} to {HIGHEST_RATING}"
    rating = _typed(_WHOLE, fields.get("rating", _ABSENT), "rating", wanted)
    if rating is not None and not LOWEST_RATING <= rating <= HIGHEST_RATING:
        message = f"The field 'rating' must be {wanted}."
        raise _refused(message, "rating")
    return rating


def _one_of(fields: Mapping[str, Raw], name: str, words: tuple[str, ...]) -> Any:
    text = _text(fields, name)
    if text is not None and text not in words:
        message = f"The field {name!r} must be one of {', '.join(words)}."
        raise _refused(message, name)
    return text


def _response_id(fields: Mapping[str, Raw]) -> str | None:
    text = _text(fields, "response_id")
    if text is not None and not 0 < len(text) <= MAX_ID_CHARACTERS:
        message = f"The field 'response_id' must be 1 to {MAX_ID_CHARACTERS} characters long."
        raise _refused(message, "response_id")
    return text


def _comment(fields: Mapping[str, Raw]) -> str | None:
    text = _text(fields, "comment")
    if text is not None and len(text) > MAX_COMMENT_CHARACTERS:
        message = f"The field 'comment' may be {MAX_COMMENT_CHARACTERS:,} characters long; this one has {len(text):,}."
        raise _refused(message, "comment")
    return text or None


def _text(fields: Mapping[str, Raw], name: str) -> str | None:
    return _typed(_TEXT, fields.get(name, _ABSENT), name, "a string")


def _typed(decoder: msgspec.json.Decoder[Any], raw: Raw, name: str, wanted: str) -> Any:
    try:
        return decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        message = f"The field {name!r} must be {wanted}."
        raise BadRequestError(message, param=name, code="invalid_type") from None


def _refused(message: str, param: str) -> BadRequestError:
    return BadRequestError(message, param=param, code="invalid_feedback")
