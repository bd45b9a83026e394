"""`/ofrep/v1/*`: OpenFeature's remote evaluation protocol, 0.3.0, answered from the snapshot in memory.

Law: an evaluation is no request to a model: it stands in no record, counts in no gate, waits for no store, and uses up
nothing of what an application may send to models.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Mapping, Sequence
from urllib.parse import unquote

import msgspec
from msgspec import Raw

from gateway.errors import ApiError, BadRequestError, MethodNotAllowedError, NotFoundError, UnauthorizedError
from gateway.proxy import wire
from gateway.proxy.admission import admit, check_repeated
from gateway.proxy.caller import Connection, GoneError, Header
from gateway.proxy.entry import new_request_id
from gateway.proxy.evaluation import ErrorCode, Flags, Unevaluated
from gateway.proxy.identity import MAX_USER_KEY_BYTES, User, unnamed
from gateway.proxy.queueing import Throttle
from gateway.proxy.snapshot import Caller, Decisions, Holder, View

MAX_BODY_BYTES = 64 * 1024
FLAGS_PATH = "/ofrep/v1/evaluate/flags"

_SHOWN_CHARACTERS = 256
_API_KEY = b"x-api-key"
_STATUS: Mapping[ErrorCode, int] = {"FLAG_NOT_FOUND": 404}
_JSON: Header = (b"content-type", b"application/json")
_TEXT = msgspec.json.Decoder(str | None)
_NULL = b"null"

_log = logging.getLogger("turnout.proxy")


class Evaluations:
    """Answers everything under `/ofrep` for one worker."""

    def __init__(self, holder: Holder, throttle: Throttle) -> None:
        self._holder = holder
        self._throttle = throttle
        self._flags: Flags | None = None

    async def answer(self, connection: Connection) -> None:
        """Answer one evaluation, of one flag or of all."""
        evaluation_id = new_request_id(time.time_ns() // 1000)
        headers: list[Header] = [(b"x-request-id", evaluation_id.encode())]
        key: str | None = None
        try:
            key = _key(connection)
            status, body = await self._evaluated(connection, key)
        except ApiError as error:
            status, body = error.status, _refusal(key, error)
            headers += error.headers
        except GoneError:
            return None
        except Exception:  # noqa: BLE001 - a request's outermost frame: logged with its id
            _log.exception("an evaluation failed in the gateway", extra={"request_id": evaluation_id})
            error = ApiError(f"The gateway failed at this evaluation; its log names {evaluation_id}.")
            status, body = error.status, _refusal(key, error)
        finally:
            self._throttle.leave_room(connection)
        return await _say(connection, status, body, headers, is_bulk=key is None)

    async def _evaluated(self, connection: Connection, key: str | None) -> tuple[int, bytes]:
        view = self._holder.view
        caller = _admitted(view.decisions, connection)
        await self._throttle.allowances.count_evaluation(caller)
        body = await connection.body(MAX_BODY_BYTES, self._throttle.room(view.decisions.snapshot.admission))
        if (now := self._holder.view) is not view:
            view, caller = now, _admitted(now.decisions, connection)
        if connection.repeated:
            check_repeated(caller, connection.repeated)
        user = _user(caller, connection.headers, body)
        flags = self._flags_of(view)
        if key is None:
            return 200, msgspec.json.encode({"flags": flags.all(view, caller, user)})
        evaluated = flags.evaluate(key, view, caller, user)
        status = _STATUS.get(evaluated.error_code, 400) if isinstance(evaluated, Unevaluated) else 200
        return status, msgspec.json.encode(evaluated)

    def _flags_of(self, view: View) -> Flags:
        """Return the snapshot's flags, which are put in order once for each snapshot."""
        if self._flags is None or not self._flags.is_of(view.decisions):
            self._flags = Flags(view.decisions)
        return self._flags


def _key(connection: Connection) -> str | None:
    """Return the flag that the path names; None for all of them.

    Raises:
        NotFoundError: there is no such path.
        MethodNotAllowedError: it takes another method.
    """
    path = connection.path
    if path != FLAGS_PATH and not path.startswith(f"{FLAGS_PATH}/"):
        message = f"There is nothing at this path; flags are evaluated by POST {FLAGS_PATH}/{{key}} and {FLAGS_PATH}."
        raise NotFoundError(message)
    if connection.method != "POST":
        error = MethodNotAllowedError(f"{connection.method} is not possible here; use POST.")
        error.headers = ((b"allow", b"POST"),)
        raise error
    return None if path == FLAGS_PATH else unquote(path.removeprefix(f"{FLAGS_PATH}/"))[:_SHOWN_CHARACTERS]


def _admitted(decisions: Decisions, connection: Connection) -> Caller:
    """Return the application that calls, by its key as Bearer or, without that header, as `X-API-Key`."""
    headers = connection.headers
    if b"authorization" not in headers and (key := headers.get(_API_KEY)):
        headers = {b"authorization": b"Bearer " + key}
    try:
        return admit(decisions, headers)
    except UnauthorizedError as error:
        if b"authorization" in headers:
            raise
        message = "No API key was sent. Send your application's key as 'Authorization: Bearer <key>' or 'X-API-Key'."
        raise UnauthorizedError(message) from error


def _user(caller: Caller, headers: Mapping[bytes, bytes], body: bytes) -> User:
    """Return for whom flags are evaluated: the context's `targetingKey`, else whom a request without a user gets.

    Raises:
        BadRequestError: the body is no strict JSON object, or its context cannot be read; `code` is OFREP's.
    """
    try:
        fields = wire.fields(body)
    except BadRequestError as error:
        raise _refused(error.message, "PARSE_ERROR") from None
    context = bytes(fields.get("context", Raw(_NULL)))
    try:
        named: Mapping[str, Raw] = {} if context == _NULL else wire.fields(context)
    except BadRequestError:
        message = "The field 'context' must be an object that names each field once."
        raise _refused(message, "INVALID_CONTEXT") from None
    try:
        text = _TEXT.decode(named.get("targetingKey", Raw(_NULL)))
    except (msgspec.MsgspecError, UnicodeDecodeError):
        message = "The field 'targetingKey' of the context must be a string of valid Unicode."
        raise _refused(message, "INVALID_CONTEXT") from None
    return User(_checked(text.encode()), "targeting_key") if text else unnamed(caller, headers)


def _checked(key: bytes) -> bytes:
    if len(key) > MAX_USER_KEY_BYTES:
        message = f"The user key in 'targetingKey' has {len(key)} bytes; the limit is {MAX_USER_KEY_BYTES}."
        raise _refused(message, "INVALID_CONTEXT")
    return key


def _refused(message: str, code: ErrorCode) -> BadRequestError:
    return BadRequestError(message, code=code)


def _refusal(key: str | None, error: ApiError) -> bytes:
    """Return an error as OFREP has it; some clients read both fields of every one."""
    code = error.code if error.code in {"PARSE_ERROR", "INVALID_CONTEXT"} else "GENERAL"
    named = {} if key is None else {"key": key}
    return msgspec.json.encode({**named, "errorCode": code, "errorDetails": error.message})


async def _say(connection: Connection, status: int, body: bytes, headers: Sequence[Header], *, is_bulk: bool) -> None:
    """Send the answer; all flags at once only to a caller that does not have these very ones."""
    sent = [*headers]
    if is_bulk and status == 200:
        etag = b'"%b"' % hashlib.sha256(body).hexdigest()[:32].encode()
        sent.append((b"etag", etag))
        if _has(connection.headers.get(b"if-none-match", b""), etag):
            await connection.start(304, sent)
            return await connection.finish()
    await connection.start(status, [_JSON, (b"content-length", b"%d" % len(body)), *sent])
    return await connection.finish(body)


def _has(listed: bytes, etag: bytes) -> bool:
    """Tell whether a caller's `If-None-Match` lists this tag, weak or strong (RFC 9110, section 13.1.2)."""
    tags = {tag.strip().removeprefix(b"W/") for tag in listed.split(b",")}
    return etag in tags or b"*" in tags
