"""Every error that a caller of the data plane can see, in OpenAI's envelope.

    ApiError                    status  type                    code
    ├── BadRequestError         400     invalid_request_error   as given
    ├── UnauthorizedError       401     invalid_request_error   invalid_api_key
    ├── ForbiddenError          403     invalid_request_error   as given
    ├── NotFoundError           404     invalid_request_error   model_not_found, unknown_url
    ├── MethodNotAllowedError   405     invalid_request_error   method_not_allowed
    ├── RequestTimeoutError     408     invalid_request_error   request_timeout
    ├── TooLargeError           413     invalid_request_error   request_too_large
    ├── UrlTooLongError         414     invalid_request_error   url_too_long
    ├── UnsupportedError        415     invalid_request_error   unsupported_media_type
    ├── RateLimitedError        429     requests                rate_limit_exceeded
    │   └── DailyCostError      429     insufficient_quota      daily_cost_reached
    ├── HeadersTooLargeError    431     invalid_request_error   headers_too_large
    ├── VersionError            505     server_error            http_version_not_supported
    ├── ShedError               503     server_error            overloaded
    └── UpstreamError           502     server_error            upstream_error
        └── UpstreamTimeoutError 504    server_error            upstream_timeout

A message names the place and the remedy; it never carries an upstream's exception text, a key or a user key.
"""

from __future__ import annotations

import math

import msgspec

from analytics.record import Outcome


class ApiError(Exception):
    """An answer other than success.

    `outcome` and `error_class`, the short word that reports group failures by, are what the record says of it.
    """

    status = 500
    type = "server_error"
    code: str | None = "internal_error"
    outcome: Outcome = "rejected"
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def __init__(
        self, message: str, *, code: str | None = None, param: str | None = None, error_class: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        if code is not None:
            self.code = code
        self.error_class = error_class or self.code or self.type

    def envelope(self) -> bytes:
        """Return OpenAI's JSON error body."""
        error = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        return msgspec.json.encode({"error": error})


class BadRequestError(ApiError):
    """The request cannot be read, or says something that it may not."""

    status = 400
    type = "invalid_request_error"
    code = "invalid_request"


class UnauthorizedError(ApiError):
    """No key, or none that this installation knows."""

    status = 401
    type = "invalid_request_error"
    code = "invalid_api_key"
    headers = ((b"www-authenticate", b"Bearer"),)


class ForbiddenError(ApiError):
    """A known key that may not do this."""

    status = 403
    type = "invalid_request_error"
    code = "forbidden"


class NotFoundError(ApiError):
    """No such path or model."""

    status = 404
    type = "invalid_request_error"
    code = "unknown_url"


class MethodNotAllowedError(ApiError):
    """The path exists, for another method."""

    status = 405
    type = "invalid_request_error"
    code = "method_not_allowed"


class RequestTimeoutError(ApiError):
    """The request's head or body did not arrive in time."""

    status = 408
    type = "invalid_request_error"
    code = "request_timeout"


class TooLargeError(ApiError):
    """The body is larger than the configured limit."""

    status = 413
    type = "invalid_request_error"
    code = "request_too_large"
    headers = ((b"connection", b"close"),)


class UrlTooLongError(ApiError):
    """The request's first line is longer than the configured limit."""

    status = 414
    type = "invalid_request_error"
    code = "url_too_long"


class UnsupportedError(ApiError):
    """The body's encoding or media type is not one that the gateway reads."""

    status = 415
    type = "invalid_request_error"
    code = "unsupported_media_type"


class RateLimitedError(ApiError):
    """An application has used up what it may send; `type` is the word that OpenAI uses for limits of requests."""

    status = 429
    type = "requests"
    code = "rate_limit_exceeded"

    def __init__(self, message: str, *, retry_after_s: float = 1.0, error_class: str | None = None) -> None:
        super().__init__(message, error_class=error_class)
        self.headers = ((b"retry-after", b"%d" % math.ceil(retry_after_s)),)


class DailyCostError(RateLimitedError):
    """An application's requests cost as much as they may in a day; `type` is the word that OpenAI uses for budgets.

    `is_over`: nothing changes before `retry_after_s`, so that clients need not try again by themselves.
    """

    type = "insufficient_quota"
    code = "daily_cost_reached"

    def __init__(self, message: str, *, retry_after_s: float = 1.0, is_over: bool = False) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        if is_over:
            self.headers += ((b"x-should-retry", b"false"),)


class HeadersTooLargeError(ApiError):
    """The request has more headers, or more bytes of them, than the configured limits."""

    status = 431
    type = "invalid_request_error"
    code = "headers_too_large"


class VersionError(ApiError):
    """The request is not HTTP/1.1 or HTTP/1.0."""

    status = 505
    code = "http_version_not_supported"


class ShedError(ApiError):
    """The gateway cannot take this request now; a little later it can."""

    status = 503
    code = "overloaded"
    outcome: Outcome = "shed"
    headers = ((b"retry-after", b"1"),)


class UpstreamError(ApiError):
    """The upstream could not be reached, or broke off before its answer began."""

    status = 502
    code = "upstream_error"
    outcome: Outcome = "upstream_error"


class UpstreamTimeoutError(UpstreamError):
    """The upstream did not answer in time."""

    status = 504
    code = "upstream_timeout"
    outcome: Outcome = "timeout"


def error_event(message: str, code: str, sequence: int | None = None) -> bytes:
    """Return an error of ours within a stream: as chat completions have it, or, numbered, as the responses API does."""
    error = {"message": message, "type": "server_error", "param": None, "code": code}
    if sequence is None:
        return b"data: " + msgspec.json.encode({"error": error}) + b"\n\n"
    event = {**error, "type": "error", "sequence_number": sequence, "error": error}
    return b"event: error\ndata: " + msgspec.json.encode(event) + b"\n\n"
