"""Every change of state is published: definitions and ledger compile to one sealed snapshot, in the same transaction.

A change never meets definitions that a reload has replaced meanwhile: one change at a time holds both.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from gateway.console.errors import ReadOnlyError, answered
from gateway.settings.compile import compile_snapshot, definitions_hash, reconcile
from gateway.settings.schema import Configuration
from gateway.settings.secrets import Derived
from gateway.settings.snapshot import BadSnapshotError, Snapshot, seal, unseal
from rollout.change import Change, State, applied, carried_over
from rollout.stores.ledger import Edit, Ledger


class Publication:
    """The ledger together with the definitions that its state is compiled with.

    `barred` returns why no caller's change is taken now, or None.
    """

    def __init__(self, ledger: Ledger, definitions: Configuration, secrets: Derived) -> None:
        self._ledger = ledger
        self._definitions = definitions
        self._secrets = secrets
        self._turn = threading.RLock()
        self.barred: Callable[[], str | None] = lambda: None

    @property
    def definitions(self) -> Configuration:
        """Return the definitions in force."""
        return self._definitions

    def state(self) -> State:
        """Return the ledger's present state."""
        return self._ledger.state()

    def compiled(self) -> Snapshot | None:
        """Return the newest snapshot, or None when there is none that this installation can read."""
        sealed = self._ledger.sealed()
        try:
            return unseal(sealed, self._secrets.snapshot) if sealed is not None else None
        except BadSnapshotError:
            return None

    def change(self, edit: Edit, *, actor: str, reason: str = "") -> State:
        """Apply a caller's edit and publish what it leads to; no changes publish nothing.

        Raises:
            ApiError: the edit, or the ledger, refuses; or the changes are another console's to take.
        """
        if (barred := self.barred()) is not None:
            raise ReadOnlyError(barred)
        return self._changed(edit, None, actor=actor, reason=reason)

    def reload(
        self,
        definitions: Configuration,
        *,
        actor: str,
        reason: str = "",
        last_good: Snapshot | None = None,
        above: int | None = None,
    ) -> State:
        """Take up new definitions; see `Control.reload_definitions` and `Control.start`."""
        with answered():
            is_published = self.compiled() is not None

        def edit(state: State, at: int) -> Sequence[Change]:
            raised = _epoch_raised(state, last_good, above)
            for change in raised:
                state = applied(state, change, actor=actor, at=at)
            changes = [*raised, *reconcile(definitions, state, self._secrets.salt)]
            if changes or is_published:
                return changes
            digest = definitions_hash(definitions)
            return [Change(action="set_definitions", after={"definitions": digest}, definitions=digest)]

        return self._changed(edit, definitions, actor=actor, reason=reason)

    def _changed(self, edit: Edit, definitions: Configuration | None, *, actor: str, reason: str) -> State:
        with self._turn, answered():
            using = definitions if definitions is not None else self._definitions

            def compile_(state: State, at: int) -> bytes:
                return seal(compile_snapshot(using, state, at), self._secrets.snapshot)

            state = self._ledger.change(edit, compile_, actor=actor, reason=reason)
            self._definitions = using
            return state


def _epoch_raised(state: State, last_good: Snapshot | None, above: int | None) -> list[Change]:
    """A ledger older than what workers have already seen was restored from a copy; they would refuse its versions.

    It is raised above the epoch `above` too, of which nothing is known but that workers have seen it.
    """
    seen = [above] if above is not None and above >= state.epoch else []
    if last_good is not None and last_good.order > (state.epoch, state.version):
        seen.append(last_good.epoch)
    if not seen:
        return []
    epoch = max(seen) + 1
    before = {"epoch": state.epoch, "version": state.version}
    raised = Change(action="raise_epoch", before=before, after={"epoch": epoch, "version": 0}, epoch=epoch)
    if last_good is None:
        return [raised]
    return [raised, *carried_over(state, last_good.keys, (entry.flag for entry in last_good.rollouts.values()))]
