from __future__ import annotations

import pytest

from gateway.console.errors import answered
from gateway.errors import ApiError
from rollout.change import ChangeError, ConflictError, UnknownKeyError, UnknownRolloutError
from rollout.flag import BadPercentError
from rollout.stores.ledger import LedgerCorruptError, LedgerLockedError


@pytest.mark.parametrize(
    ("raised", "status", "code"),
    [
        (ConflictError("words"), 409, "version_conflict"),
        (UnknownRolloutError("words"), 404, "rollout_not_found"),
        (UnknownKeyError("words"), 404, "key_not_found"),
        (ChangeError("words"), 400, "refused"),
        (BadPercentError("words"), 400, "invalid_percent"),
        (LedgerLockedError("words"), 503, "ledger_unavailable"),
        (LedgerCorruptError("words"), 503, "ledger_unavailable"),
    ],
)
def test_a_refusal_keeps_its_words_and_gets_a_status(raised: Exception, status: int, code: str):
    with pytest.raises(ApiError, match="words") as seen, answered():
        raise raised

    assert (seen.value.status, seen.value.code) == (status, code)


def test_a_mistake_of_ours_stays_one():
    with pytest.raises(ZeroDivisionError), answered():
        raise ZeroDivisionError
