"""Keys: made once, shown once, kept as fingerprints; believed in constant time."""

from __future__ import annotations

import base64
from collections.abc import Callable

import msgspec

from gateway.console.errors import answered
from gateway.console.publication import Publication
from gateway.console.views import KeyView, NewKeyView
from gateway.console.words import plain_words
from gateway.errors import BadRequestError
from gateway.settings.compile import applications
from rollout.change import Change, State, add_key, revoke_key
from rollout.keys import ROLES, Key, Role, compose, fingerprint, matches, parse

Randomness = Callable[[int], bytes]

_ID_BYTES = 6
_SECRET_BYTES = 32


class FirstKeys(msgspec.Struct, frozen=True, kw_only=True):
    """The texts of a first start's keys, and the application that the second one calls for."""

    admin: str
    app: str
    application: str


class Keyring:
    """The installation's keys."""

    def __init__(self, publication: Publication, pepper: bytes, randomness: Randomness) -> None:
        self._publication = publication
        self._pepper = pepper
        self._randomness = randomness

    def authenticate(self, text: str) -> Key | None:
        """Return the live key that this text is, or None; both take the same time."""
        parts = parse(text)
        with answered():
            known = self._publication.state().keys
        kept = known.get(parts.id) if parts is not None else None
        return kept if matches(self._pepper, text, kept) else None

    def list_keys(self) -> list[KeyView]:
        """Return every key ever made, oldest first."""
        with answered():
            keys = self._publication.state().keys.values()
        return [_view(key) for key in sorted(keys, key=lambda key: (key.created_at, key.id))]

    def create_key(self, role: str, application: str | None, label: str, *, actor: str, reason: str = "") -> NewKeyView:
        """Make a key and return its text, which is nowhere kept.

        Raises:
            ApiError: an unknown role; an application missing, unknown, or given to a role that has none.
        """
        plain_words(label, "label")
        known = self._role(role, application)
        made: list[tuple[Key, str]] = []

        def edit(_: State, at: int) -> list[Change]:
            made[:] = [self._made(known, application, label, at)]
            return [add_key(made[0][0])]

        self._publication.change(edit, actor=actor, reason=plain_words(reason, "reason"))
        key, text = made[0]
        return NewKeyView(key=text, kept=_view(key))

    def revoke_key(self, key_id: str, *, actor: str, reason: str = "") -> KeyView:
        """Revoke a key for ever; again is no change.

        Raises:
            ApiError: no such key, or the only live admin key.
        """
        state = self._publication.change(
            lambda state, at: revoke_key(state, key_id, at), actor=actor, reason=plain_words(reason, "reason")
        )
        return _view(state.keys[key_id])

    def first_keys(self, keep: Callable[[FirstKeys], None] = lambda _: None) -> FirstKeys | None:
        """Make the first admin key and the first application key; None when there are keys already.

        `keep` gets the texts before the ledger commits: if it raises, no key was made.
        """
        application = next(iter(applications(self._publication.definitions)))
        made: list[FirstKeys] = []

        def edit(state: State, at: int) -> list[Change]:
            if state.keys:
                return []
            admin, admin_text = self._made("admin", None, "first", at)
            app, app_text = self._made("app", application, "first", at)
            made[:] = [FirstKeys(admin=admin_text, app=app_text, application=application)]
            keep(made[0])
            return [add_key(admin), add_key(app)]

        self._publication.change(edit, actor="turnout", reason="first start")
        return made[0] if made else None

    def _made(self, role: Role, application: str | None, label: str, at: int) -> tuple[Key, str]:
        key_id = self._randomness(_ID_BYTES).hex()
        secret = base64.urlsafe_b64encode(self._randomness(_SECRET_BYTES)).decode().rstrip("=")
        text = compose(role, key_id, secret)
        key = Key(
            id=key_id,
            role=role,
            fingerprint=fingerprint(self._pepper, text),
            application=application,
            label=label,
            created_at=at,
        )
        return key, text

    def _role(self, role: str, application: str | None) -> Role:
        known: Role | None = next((one for one in ROLES if one == role), None)
        if known is None:
            message = f"there is no role {role!r}; the roles are {', '.join(ROLES)}"
            raise BadRequestError(message, param="role")
        if known not in {"app", "analyst"} and application is not None:
            message = f"a key of role {role} belongs to no application; leave the application out"
            raise BadRequestError(message, param="application")
        names = applications(self._publication.definitions)
        if application not in names and (known == "app" or application is not None):
            named = (
                "a key of role app needs an application" if application is None else f"no application {application!r}"
            )
            message = f"{named}; the configured ones: {', '.join(sorted(names))}"
            raise BadRequestError(message, param="application")
        return known


def _view(key: Key) -> KeyView:
    return KeyView(
        id=key.id,
        role=key.role,
        application=key.application,
        label=key.label,
        created_at=key.created_at,
        revoked_at=key.revoked_at,
    )
