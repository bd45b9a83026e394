"""What the console answers when a change is refused: the domain's errors in the envelope of `gateway/errors.py`.

ApiError
├── ConflictedError    409  version_conflict     look again, then repeat
├── RuledElsewhereError 409 ruled_elsewhere      a foreign flag rules the percent; the sentence names it
├── ReadOnlyError      503  read_only_console    another console writes for this fleet; the sentence names it
└── UnavailableError   503  ledger_unavailable   the ledger's own sentence names the remedy
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from gateway.errors import ApiError, BadRequestError, NotFoundError
from rollout.change import ChangeError, ConflictError, UnknownKeyError, UnknownRolloutError
from rollout.flag import BadPercentError
from rollout.stores.ledger import LedgerError


class ConflictedError(ApiError):
    """The caller saw another version than the present one."""

    status = 409
    type = "invalid_request_error"
    code = "version_conflict"


class RuledElsewhereError(ApiError):
    """The percent is somebody else's to move."""

    status = 409
    type = "invalid_request_error"
    code = "ruled_elsewhere"


class UnavailableError(ApiError):
    """The ledger cannot be read or written now."""

    status = 503
    code = "ledger_unavailable"


class ReadOnlyError(ApiError):
    """Another console of the fleet is the one that takes changes."""

    status = 503
    code = "read_only_console"


@contextmanager
def answered() -> Generator[None]:
    """Turn what the ledger and the rollout's rules raise into what a caller of the console may see."""
    try:
        yield
    except ConflictError as error:
        raise ConflictedError(str(error)) from error
    except UnknownRolloutError as error:
        raise NotFoundError(str(error), code="rollout_not_found") from error
    except UnknownKeyError as error:
        raise NotFoundError(str(error), code="key_not_found") from error
    except ChangeError as error:
        raise BadRequestError(str(error), code="refused") from error
    except BadPercentError as error:
        raise BadRequestError(str(error), code="invalid_percent", param="percent") from error
    except LedgerError as error:
        raise UnavailableError(str(error)) from error
