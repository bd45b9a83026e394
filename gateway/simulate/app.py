"""The simulated server's ASGI application: routes, keys, errors. Everything else has its own module.

`/simulate/...` is for whoever runs the server and asks for no key; it shows request headers, credentials included.
"""

from __future__ import annotations

import hmac
import logging
import re
import secrets
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl

import msgspec

from gateway.errors import ApiError, MethodNotAllowedError, NotFoundError, UnauthorizedError
from gateway.simulate.asgi import JSON_TYPE, CallerGoneError, Headers, Message, Receive, Scope, Send, read_body, respond
from gateway.simulate.config import Simulation
from gateway.simulate.endpoints import STATELESS
from gateway.simulate.faults import SimulatedError
from gateway.simulate.files import Files
from gateway.simulate.reply import Endpoint, Received
from gateway.simulate.responses import Responses
from gateway.simulate.stage import Stage
from gateway.simulate.tally import Kept, Tally

CREATED_AT = 1_767_225_600
"""What `GET /v1/models` says of every model: 2026-01-01, seconds since 1970 UTC."""

_log = logging.getLogger("turnout.simulate")
_Answer = Callable[[Scope, Receive, Send], Awaitable[None]]


class Application:
    """One simulated server; made inside a running event loop."""

    def __init__(self, config: Simulation) -> None:
        self._config = config
        self.tally = Tally(config.models, keep_last=config.keep_last)
        self._stage = Stage(config, self.tally)
        self._responses = Responses()
        self._files = Files()
        self._endpoints: dict[str, Endpoint] = {**STATELESS, **self._responses.endpoints}
        self._keys = [f"Bearer {key}".encode() for key in config.keys]
        self._boot = secrets.token_hex(8)
        self._calls = 0
        self._routes: dict[str, dict[str, _Answer]] = {
            **{path: {"POST": self._asked} for path in self._endpoints},
            "/v1/models": {"GET": self._models},
            "/v1/files": {"GET": self._file_list, "POST": self._file_new},
            "/simulate/counts": {"GET": self._counts},
            "/simulate/cancelled": {"GET": self._cancelled},
            "/simulate/last": {"GET": self._last},
            "/simulate/reset": {"POST": self._reset},
        }
        self._families: list[tuple[re.Pattern[str], dict[str, _Answer]]] = [
            (re.compile("/v1/models/.+"), {"GET": self._model}),
            (re.compile("/v1/responses/[^/]+"), {"GET": self._response, "DELETE": self._response_gone}),
            (re.compile("/v1/files/[^/]+"), {"GET": self._file, "DELETE": self._file_gone}),
            (re.compile("/v1/files/[^/]+/content"), {"GET": self._file_content}),
            (re.compile("/v1/responses/[^/]+/input_items"), {"GET": self._response_inputs}),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        self._calls += 1
        request_id = f"req_{self._boot}{self._calls:08x}".encode()

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"].append((b"x-request-id", request_id))
            await send(message)

        try:
            await self._route(scope)(scope, receive, named)
        except ApiError as error:
            if not isinstance(error, SimulatedError):
                self.tally.refuse(error.status)
            await respond(named, error.status, [JSON_TYPE, *error.headers], error.envelope())
        except CallerGoneError:
            return
        except Exception:
            self.tally.crashes += 1
            _log.exception("the simulated server failed on %s %s", scope["method"], scope["path"])
            raise

    def _route(self, scope: Scope) -> _Answer:
        path: str = scope["path"]
        answers = self._routes.get(path) or next((by for shape, by in self._families if shape.fullmatch(path)), None)
        if path.startswith("/v1/"):
            self._check_key(scope["headers"])
        if answers is None:
            message = f"Unknown request URL: {scope['method']} {path}. docs/simulate.md lists what is simulated."
            raise NotFoundError(message)
        if scope["method"] not in answers:
            message = f"{path} answers {' and '.join(answers)}, not {scope['method']}."
            raise MethodNotAllowedError(message)
        return answers[scope["method"]]

    def _check_key(self, headers: Headers) -> None:
        if not self._keys:
            return
        given = _header(headers, b"authorization").encode("latin-1")
        if not given:
            message = "You didn't provide an API key. Send it as Authorization: Bearer YOUR_KEY."
            raise UnauthorizedError(message)
        if not any([hmac.compare_digest(given, key) for key in self._keys]):  # noqa: C419 - compare with every key: no timing tells which
            message = "Incorrect API key provided. The simulation's `keys` lists those that it accepts."
            raise UnauthorizedError(message)

    async def _received(self, scope: Scope, receive: Receive) -> Received:
        body = await read_body(receive)
        if self._config.keep_last:
            self.tally.last.append(_kept(scope, body))
        return Received(body=body, content_type=_header(scope["headers"], b"content-type"))

    async def _asked(self, scope: Scope, receive: Receive, send: Send) -> None:
        received = await self._received(scope, receive)
        await self._stage.answer(self._endpoints[scope["path"]], received, (scope, receive, send))

    async def _models(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        listed = [_described(name) for name in self._config.models]
        await _respond_json(send, {"object": "list", "data": listed})

    async def _model(self, scope: Scope, _receive: Receive, send: Send) -> None:
        name = scope["path"].removeprefix("/v1/models/")
        if name not in self._config.models:
            message = f"The model '{name}' does not exist"
            raise NotFoundError(message, code="model_not_found", param="model")
        await _respond_json(send, _described(name))

    async def _response(self, scope: Scope, _receive: Receive, send: Send) -> None:
        await respond(send, 200, [JSON_TYPE], self._responses.get(_part(scope, 3)))

    async def _response_inputs(self, scope: Scope, _receive: Receive, send: Send) -> None:
        await respond(send, 200, [JSON_TYPE], self._responses.inputs(_part(scope, 3)))

    async def _response_gone(self, scope: Scope, _receive: Receive, send: Send) -> None:
        await respond(send, 200, [JSON_TYPE], self._responses.delete(_part(scope, 3)))

    async def _file_new(self, scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, 200, [JSON_TYPE], self._files.add(await self._received(scope, receive)))

    async def _file_list(self, scope: Scope, _receive: Receive, send: Send) -> None:
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        await respond(send, 200, [JSON_TYPE], self._files.list(query))

    async def _file(self, scope: Scope, _receive: Receive, send: Send) -> None:
        await respond(send, 200, [JSON_TYPE], self._files.get(_part(scope, 3)))

    async def _file_content(self, scope: Scope, _receive: Receive, send: Send) -> None:
        found = self._files.content(_part(scope, 3))
        await respond(send, 200, [(b"content-type", b"application/octet-stream")], found.content)

    async def _file_gone(self, scope: Scope, _receive: Receive, send: Send) -> None:
        await respond(send, 200, [JSON_TYPE], self._files.delete(_part(scope, 3)))

    async def _counts(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await _respond_json(send, self.tally.counts())

    async def _cancelled(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await _respond_json(send, list(self.tally.cancelled))

    async def _last(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await _respond_json(send, list(self.tally.last))

    async def _reset(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        self.tally.reset()
        await _respond_json(send, self.tally.counts())


def _described(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": CREATED_AT, "owned_by": "simulated"}


def _part(scope: Scope, place: int) -> str:
    return scope["path"].split("/")[place]


def _header(headers: Headers, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in headers if key == name), "")


def _kept(scope: Scope, body: bytes) -> Kept:
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    return Kept(path=scope["path"], headers=headers, body=body.decode("utf-8", "replace"))


async def _respond_json(send: Send, value: object) -> None:
    await respond(send, 200, [JSON_TYPE], msgspec.json.encode(value))
