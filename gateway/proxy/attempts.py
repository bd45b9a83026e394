"""What a try at a model server has come to, and what may be tried after it. Pure: a table.

Law: only what the caller has nothing of yet is tried again. A body that an arm's model server may have is never sent to
that arm a second time, and what the caller got wrong is never tried at all.
"""

from __future__ import annotations

import msgspec

from analytics.record import Outcome

CIRCUIT_OPEN = "circuit_open"
"""Why base answered for a candidate that was not even asked."""

_REFUSED = 400
_SERVER_ERROR = 500
_STANDS_IN = frozenset({401, 403, 404, 429})
"""A credential that was revoked, a model that was deleted, our own limit: nothing that the caller got wrong."""
_UNSENT = frozenset({"connect_refused", "connect_timeout", "unknown_host", "tls_not_trusted"})
_HOPELESS = frozenset({"not_sendable", "total_timeout"})
"""Nobody would do better: what cannot be sent at all, and the end of the time that all tries share."""
_ERROR_EVENT = "error_event"


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A try that brought the caller nothing: the record's words for it, and the answer's status, 0 without one."""

    outcome: Outcome
    error_class: str
    status: int = 0

    @property
    def may_go_to_base(self) -> bool:
        """Tell whether base may answer in the candidate's place."""
        if self.status >= _REFUSED:
            return self.status >= _SERVER_ERROR or self.status in _STANDS_IN
        return self.error_class not in _HOPELESS

    @property
    def may_be_repeated(self) -> bool:
        """Tell whether the same model server may be tried once more: it said at once that it takes no connection."""
        return self.error_class == "connect_refused"

    @property
    def opens_circuit(self) -> bool:
        """Tell whether it says that the model server is not there: no connection, no answer in time, 5xx."""
        if self.status >= _REFUSED:
            return self.status >= _SERVER_ERROR
        return self.error_class not in _HOPELESS

    @property
    def is_free(self) -> bool:
        """Tell whether nobody is billed for it: nothing was sent, or an error was all that came back."""
        return self.status >= _REFUSED or self.error_class in _UNSENT or self.error_class == _ERROR_EVENT


def refused(status: int) -> Failure | None:
    """Return what an answer with this status is to the caller's request; None where it is no failure."""
    if status < _REFUSED:
        return None
    return Failure(outcome="upstream_error", error_class=f"http_{status}", status=status)


def unknown(status: int) -> Failure:
    """Return what it is when the model server does not keep what the request goes on from."""
    return Failure(outcome="client_error", error_class=f"http_{status}", status=status)
