"""What leaves the lake for good: who is to be erased, what was let go of, and what the audit tells.

The law: nothing is erased of which the audit does not tell first. It tells of an erasure by its number, with counts,
and never of whom: what stands in a chain of hashes can never be taken out of it again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any

import anyio

from analytics.lake.erasure import Erasure, Erasures
from analytics.lake.layout import DAYS
from analytics.lake.manifest import Expired
from gateway.console.errors import answered
from gateway.console.keyring import Randomness
from gateway.console.publication import Publication
from gateway.console.views import ErasureView
from gateway.console.words import plain_words, user_hash_bytes, user_key_bytes
from gateway.errors import ApiError, BadRequestError, NotFoundError
from rollout.change import Action, Change, State
from rollout.flag import user_hash
from rollout.stores.ledger import Ledger

_ID_BYTES = 6
_PSEUDONYM_BYTES = 16
_TURNOUT = "turnout"


class NotErasedError(ApiError):
    """The erasure stands, and could not be carried out now."""

    status = 503
    code = "not_erased"


class Removals:
    """Erasures of one installation, and the audit's entries about them; may be called from any thread.

    `look` looks through the lake once for everybody who is to be erased, and raises an `OSError` or `RuntimeError`.
    `turns` is for handlers: who takes one first never waits inside a thread.
    """

    def __init__(self, publication: Publication, ledger: Ledger, hash_key: bytes, randomness: Randomness) -> None:
        self._publication, self._ledger = publication, ledger
        self._hash_key, self._randomness = hash_key, randomness
        self._erasures: Erasures | None = None
        self._lake = ""
        self._look: Callable[[], None] = lambda: None
        self.turns = anyio.CapacityLimiter(1)
        self._told: dict[str, Any] = {}
        self._is_read, self._telling = False, Lock()

    def begin(self, erasures: Erasures, lake: str, look: Callable[[], None]) -> None:
        """Take erasures from now on, of the lake of this name."""
        self._erasures, self._lake, self._look = erasures, lake, look

    def erase(
        self, *, user: str | None, hash_digits: str | None, application: str | None, actor: str, reason: str, at: int
    ) -> ErasureView:
        """Erase a user's rows until `at`, and return what was done by now.

        Raises:
            ApiError: it cannot be known who is meant; the audit cannot be written; or it stands and goes on later.
        """
        hashed = self._hashed(user, hash_digits)
        erasure = Erasure(
            id=self._randomness(_ID_BYTES).hex(),
            lake=self._lake,
            asked_at=at,
            application=application,
            user_hash=hashed,
            pseudonym=self._randomness(_PSEUDONYM_BYTES),
        )
        asked = {"erasure": erasure.id, "application": application}
        self._note("ask_erasure", asked, actor=actor, reason=plain_words(reason, "reason"))
        try:
            self._files().keep(erasure)
        except OSError as error:
            message = f"nothing was erased: {error}; mend that, then ask again"
            raise NotErasedError(message) from error
        try:
            self._look()
        except (OSError, RuntimeError) as error:
            message = f"erasure {erasure.id} stands, and goes on by itself; for now: {error}"
            raise NotErasedError(message) from error
        self.note_erasures()
        return self._view(self._one(erasure.id), hashed.hex())

    def list_erasures(self) -> list[ErasureView]:
        """Return all that were ever asked for, oldest first."""
        return [self._view(one) for one in self._every()]

    def note_erasures(self) -> bool:
        """Tell the audit how much was erased, where it does not know yet; return whether there was anything to tell.

        Raises:
            ApiError: the ledger, or the erasures' files, cannot be used.
        """
        news = False
        for one in self._every():
            counts = {"requests": one.requests, "contents": one.contents, "files": one.files}
            if one.looked_at is not None or one.ended_at is not None:
                told = {"erasure": one.id, **counts, "ended": one.ended_at is not None}
                news |= self._note_once("erase_user", one.id, told)
        return news

    def note_expired(self, expired: Mapping[str, Expired]) -> None:
        """Tell the audit what was let go of, where it does not know yet; `expired` is as the lake's manifest has it.

        Raises:
            ApiError: the ledger cannot be used.
        """
        for folder, one in sorted(expired.items()):
            told = {"rows_of": DAYS[folder], "before": one.before.isoformat(), "rows": one.rows, "files": one.files}
            self._note_once("expire_rows", DAYS[folder], told)

    def _note_once(self, action: Action, of: str, told: Mapping[str, Any]) -> bool:
        """Write an entry unless the newest one of this action and thing says the same; counts are of all time."""
        with self._telling:
            self._read_told()
            if self._told.get(of) == told:
                return False
            self._note(action, told, actor=_TURNOUT, reason="", before=self._told.get(of))
            self._told[of] = told
            return True

    def _read_told(self) -> None:
        if self._is_read:
            return
        with answered():
            entries = self._ledger.entries()
        for entry in reversed(entries):
            if entry.action in {"erase_user", "expire_rows"}:
                self._told[entry.after.get("erasure") or entry.after.get("rows_of")] = entry.after
        self._is_read = True

    def _note(self, action: Action, told: Mapping[str, Any], *, actor: str, reason: str, before: Any = None) -> None:
        change = Change(action=action, before=before, after=dict(told))
        self._publication.change(lambda _state, _at: [change], actor=actor, reason=reason)

    def _hashed(self, user: str | None, hash_digits: str | None) -> bytes:
        if (user is None) == (hash_digits is None):
            message = "name a user by exactly one of `user`, the key as callers send it, and `user_hash`"
            raise BadRequestError(message, param="user")
        if user is not None:
            return user_hash(self._hash_key, user_key_bytes(user))
        return user_hash_bytes(hash_digits or "")

    def _files(self) -> Erasures:
        if self._erasures is None:
            message = "this console has no lake from which it could erase anybody"
            raise NotErasedError(message)
        return self._erasures

    def _every(self) -> list[Erasure]:
        try:
            return self._files().every()
        except OSError as error:
            raise NotErasedError(str(error)) from error

    def _one(self, erasure_id: str) -> Erasure:
        found = next((one for one in self._every() if one.id == erasure_id), None)
        if found is None:
            message = f"there is no erasure {erasure_id!r}; `turnout lake erasures` lists them"
            raise NotFoundError(message, code="erasure_not_found")
        return found

    def _view(self, one: Erasure, hash_digits: str | None = None) -> ErasureView:
        """Return an erasure as callers see it; whose hash it is only for who named it just now."""
        forced: tuple[str, ...] = ()
        if hash_digits is not None:
            state: State = self._publication.state()
            forced = tuple(sorted(name for name, held in state.rollouts.items() if hash_digits in held.flag.forced))
        return ErasureView(
            id=one.id,
            asked_at=one.asked_at,
            application=one.application,
            requests=one.requests,
            contents=one.contents,
            files=one.files,
            looked_at=one.looked_at if one.ended_at is None else one.ended_at,
            ended_at=one.ended_at,
            waits_for=len(one.waits_for or ()),
            forced_in=forced,
        )
