"""The ledger's port: what every implementation promises, and its errors.

    LedgerError                   what was asked of the ledger did not happen
    ├── LedgerMissingError        the file is not there
    ├── LedgerLockedError         another process holds the file; or another console is its only writer
    ├── LedgerCorruptError        the file is damaged
    ├── LedgerNewerError          a later version of Turnout wrote it
    ├── NotALedgerError           the file is something else
    ├── LedgerReplacedError       the file was deleted or replaced under the open ledger
    └── LedgerUnwritableError     full disk, missing rights, failing device
    StoreUnavailableError         a worker's read of the snapshot failed; it tries again

Each message is one sentence with the path and the remedy. A change that fails has changed nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from rollout.audit import Entry
from rollout.change import Change, State
from rollout.progress import Progress
from rollout.verdict import GateReport

LEDGER_FILE = "ledger.sqlite"
LOCK_FILE = "ledger.lock"
"""Their names in the state directory."""

Edit = Callable[[State, int], Sequence[Change]]
"""From the present state and the time (µs since 1970 UTC) to the changes; it may raise a `ChangeError`."""

Compile = Callable[[State, int], bytes]
"""From the state after the changes and the time to the sealed snapshot."""


class LedgerError(Exception):
    """What was asked of the ledger did not happen; the message names the path and the remedy."""


class LedgerMissingError(LedgerError):
    """The file is not there."""


class LedgerLockedError(LedgerError):
    """Another process holds the file, or another console is its only writer."""


class LedgerCorruptError(LedgerError):
    """The file is damaged."""


class LedgerNewerError(LedgerError):
    """A later version wrote the file."""


class NotALedgerError(LedgerError):
    """The file is something else."""


class LedgerReplacedError(LedgerError):
    """The file was deleted or replaced since it was opened."""


class LedgerUnwritableError(LedgerError):
    """The file cannot be written."""


class StoreUnavailableError(Exception):
    """No snapshot could be read now; the message gives the reason, the next call tries again."""


class Ledger(Protocol):
    """The truth about flags and keys. Every method may raise a `LedgerError`; all may be called from any thread."""

    @property
    def read_only(self) -> bool:
        """Tell whether another process is the only writer; then `change` raises `LedgerLockedError`."""
        ...

    def state(self) -> State:
        """Return the present state."""
        ...

    def change(self, edit: Edit, compile_: Compile, *, actor: str, reason: str = "") -> State:
        """In one transaction apply the edit, extend the audit, raise the version, keep the snapshot; or nothing.

        No changes: nothing happens, the version stays. Whatever `edit` or `compile_` raises is raised, nothing changed.
        """
        ...

    def keep(self, rollout: str, before: Progress, after: Progress, report: GateReport | None = None) -> bool:
        """In one transaction replace what a controller counts of a rollout, and keep a report; nothing is published.

        Neither flag, audit nor version change. Return False, with nothing changed, if it is not `before` any more.
        """
        ...

    def reports(self, rollout: str, *, limit: int) -> list[GateReport]:
        """Return the kept reports of a rollout's gate, newest first, at most `limit`."""
        ...

    def baseline(self, rollout: str) -> bytes | None:
        """Return what base of a rollout was like before everybody became a candidate; None if nothing is kept."""
        ...

    def keep_baseline(self, rollout: str, kept: bytes) -> None:
        """Keep what base of a rollout was like, in the place of what was kept before; nothing else changes."""
        ...

    def sealed(self) -> bytes | None:
        """Return the newest sealed snapshot, or None before the first."""
        ...

    def entries(self, *, rollout: str | None = None, limit: int | None = None) -> list[Entry]:
        """Return the audit's entries, newest first, of one rollout or of all, at most `limit`."""
        ...

    def verify(self) -> str | None:
        """Check the whole audit chain; return None, or the sentence that says where it is broken."""
        ...

    def close(self) -> None:
        """Let go of the file and of the writer's lock; a second call does nothing."""
        ...


class SnapshotSource(Protocol):
    """Where a worker gets snapshots from; called from one thread, every 50 ms or so."""

    def poll(self) -> bytes | None:
        """Return the sealed snapshot when it is another than the last one returned, else None.

        Raises:
            StoreUnavailableError: it cannot be read now; a later call recovers by itself.
        """
        ...

    def close(self) -> None:
        """Let go of the source; a later `poll` opens it again."""
        ...
