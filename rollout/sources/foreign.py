"""A flag of somebody else's, read through any OpenFeature provider, and polled by a thread of its own.

The law: whatever the provider does (raise, lie, hang), the last good percent stays, and the trouble is told in one
sentence without the provider's own words, which may hold a credential. Nobody ever waits for it.
"""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Protocol, cast

import msgspec

from rollout.flag import BadPercentError, parse_percent

SLOWEST_S = 10.0
"""A read may take as long as the pause between two, but at least so long; then it is in trouble."""
_NO_VALUE = -1.0


class SourceError(Exception):
    """No percent could be had; the message is one sentence's end: `it ...`."""


class Source(Protocol):
    """A percent that somebody else rules."""

    def read(self) -> float:
        """Return it, 0 to 100; may take its time, and raise anything."""
        ...


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which flag of which provider: `provider` is `module:attribute`, called with `options` if it can be called."""

    provider: str
    flag: str
    options: Mapping[str, Any] = {}
    refresh_s: float = SLOWEST_S


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a source: the last good percent, and what is wrong with it now."""

    percent: float | None = None
    trouble: str | None = None


class FlagSource:
    """One flag of an OpenFeature provider; made by `opened`."""

    def __init__(self, client: Any, flag: str) -> None:
        self._client = client
        self._flag = flag

    def read(self) -> float:
        """Ask for a float, and where the flag is a whole number for that.

        Raises:
            SourceError: the provider has no such flag, or no percent for it.
        """
        details = self._client.get_float_details(self._flag, _NO_VALUE)
        if _code(details) == "TYPE_MISMATCH":
            details = self._client.get_integer_details(self._flag, int(_NO_VALUE))
        if (code := _code(details)) is not None:
            message = f"answers {code}"
            raise SourceError(message)
        return percent_of(details.value)


def percent_of(value: object) -> float:
    """Return a percent as a flag has it.

    Raises:
        SourceError: it is no number, not within 0 to 100, or finer than a bucket.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        message = f"has a {type(value).__name__} for it, which is no number"
        raise SourceError(message)
    if value == _NO_VALUE:
        message = "has no value for it: the flag is switched off, or has no default"
        raise SourceError(message)
    try:
        return parse_percent(f"{Decimal(str(value)):f}")
    except (BadPercentError, ArithmeticError) as error:
        said = str(error) if isinstance(error, BadPercentError) and len(str(error)) < 200 else "has no percent for it"
        message = f"has a value that cannot be taken: {said}"
        raise SourceError(message) from error


def opened(wanted: Wanted, domain: str) -> Source:
    """Import the provider and make it known to OpenFeature under a domain of its own.

    Raises:
        SourceError: it, or OpenFeature's SDK, cannot be imported or made.
    """
    try:
        from openfeature import api  # noqa: PLC0415 - of the extra `openfeature`, which may be missing
    except ImportError as error:
        message = "cannot be asked without OpenFeature's SDK; install it: pip install 'turnout[openfeature]'"
        raise SourceError(message) from error
    provider = _made(wanted)
    try:
        api.set_provider_and_wait(provider, domain)
    except Exception as error:
        message = f"could not begin its work ({type(error).__name__})"
        raise SourceError(message) from error
    return FlagSource(api.get_client(domain), wanted.flag)


def _made(wanted: Wanted) -> Any:
    module, _, attribute = wanted.provider.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for name in attribute.split("."):
            found = getattr(found, name)
        is_provider = hasattr(found, "resolve_float_details") and not isinstance(found, type)
        return found if is_provider else found(**wanted.options)
    except Exception as error:
        message = f"cannot be made of {wanted.provider} ({type(error).__name__})"
        raise SourceError(message) from error


def _code(details: Any) -> str | None:
    code = details.error_code
    return None if code is None else str(getattr(code, "value", code))[:40]


class Poll:
    """Reads one source again and again, in a thread that ends with the process; `look` tells what it knows.

    A provider that hangs holds this thread, and nothing else.
    """

    def __init__(
        self,
        wanted: Wanted,
        open_: Callable[[], Source],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.wanted = wanted
        self._open, self._clock = open_, clock
        self._source: Source | None = None
        self._seen = Seen(trouble="has not been asked yet")
        self._asked_at: float | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"percent-from-{wanted.flag}"[:40], daemon=True)
        self._thread.start()

    def look(self) -> Seen:
        """Return what is known now."""
        asked_at, seen = self._asked_at, self._seen
        if asked_at is not None and (waited_s := self._clock() - asked_at) > max(self.wanted.refresh_s, SLOWEST_S):
            return Seen(percent=seen.percent, trouble=f"has not answered for {waited_s:.0f} s")
        return seen

    def end(self) -> bool:
        """Ask no more; return whether the thread is not held by the provider."""
        self._stop.set()
        self._thread.join(timeout=0.2)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._asked_at = self._clock()
            self._seen = self._asked()
            self._asked_at = None
            self._stop.wait(self.wanted.refresh_s)

    def _asked(self) -> Seen:
        try:
            if self._source is None:
                self._source = self._open()
            return Seen(percent=self._source.read())
        except SourceError as error:
            return Seen(percent=self._seen.percent, trouble=str(error))
        except BaseException as error:  # noqa: BLE001 - a provider may raise anything, SystemExit too
            return Seen(percent=self._seen.percent, trouble=f"failed ({type(cast('object', error)).__name__})")
