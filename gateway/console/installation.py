"""Open one installation's files: its secret, its ledger, and the `Control` over both."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import msgspec

from gateway.console.control import Control
from gateway.console.workers import read_workers
from gateway.settings.compile import restored_state
from gateway.settings.last_good import LastGood
from gateway.settings.schema import Configuration
from gateway.settings.secrets import MASTER_FILE, MASTER_VARIABLE, Derived, SecretError, derived, load_master
from gateway.settings.snapshot import Snapshot, is_signed, unseal
from rollout.stores.ledger import LEDGER_FILE
from rollout.stores.sqlite import SqliteLedger, open_ledger

RUN = "run"
FORCE_BASE = "force-base"


class Installation(msgspec.Struct, frozen=True):
    """An open installation; close it to let the next writer in. `last_good` is what its workers saw last, if any."""

    ledger: SqliteLedger
    control: Control
    last_good: Snapshot | None

    def may_write(self) -> bool:
        """Tell whether this console is the one that writes: the ledger here, and for its fleet."""
        return not self.ledger.read_only and self.control.barred() is None

    def close(self) -> None:
        """Let go of the ledger."""
        self.ledger.close()


def open_installation(
    state_dir: Path, definitions: Configuration, environment: Mapping[str, str], *, create: bool = True
) -> Installation:
    """Open a state directory; a missing ledger is made anew, from the last good snapshot where there is one.

    Raises:
        SecretError: the master secret cannot be had, or the ledger was made with another one.
        LedgerError: see `open_ledger`.
    """
    keys = master_keys(state_dir, environment, create=create and not _was_used(state_dir))
    last_good = newest_snapshot(state_dir, keys)
    restored = restored_state(last_good) if last_good is not None else None
    ledger = open_ledger(state_dir, clock=now_us, create=create, restore_from=restored)
    try:
        _require_same_secret(ledger, keys)
    except BaseException:
        ledger.close()
        raise
    control = Control(
        ledger,
        definitions,
        keys,
        randomness=secrets.token_bytes,
        workers=partial(read_workers, state_dir / RUN),
        killed=(state_dir / FORCE_BASE).exists,
    )
    return Installation(ledger, control, last_good)


def master_keys(state_dir: Path, environment: Mapping[str, str], *, create: bool) -> Derived:
    """Return the installation's keys; with `create` a missing master secret is made.

    Raises:
        SecretError: the master secret cannot be had.
    """
    return derived(load_master(state_dir, environment, secrets.token_bytes, create=create))


def newest_snapshot(state_dir: Path, keys: Derived) -> Snapshot | None:
    """Return the last good snapshot of this host's workers, if there is one that can be read."""
    return LastGood(state_dir / RUN, "console", partial(unseal, signing_key=keys.snapshot)).newest()


def _require_same_secret(ledger: SqliteLedger, keys: Derived) -> None:
    """Refuse a ledger in which no key would be known any more and every user would have another hash."""
    sealed = ledger.sealed()
    if sealed is not None and not is_signed(sealed, keys.snapshot):
        message = (
            f"ledger {ledger.path} was made with another master secret than the one that is here; "
            f"bring its own secret (the file `{MASTER_FILE}`, or {MASTER_VARIABLE}), or put the former ledger back"
        )
        raise SecretError(message)


def _was_used(state_dir: Path) -> bool:
    """Tell whether something here was made with a secret: another one would move every user to another bucket."""
    return (state_dir / LEDGER_FILE).exists() or any((state_dir / RUN).glob("*.snapshot"))


def now_us() -> int:
    """Return the time in microseconds since 1970 UTC."""
    return time.time_ns() // 1000
