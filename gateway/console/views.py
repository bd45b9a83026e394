"""What the console shows: the shapes of its JSON, which the command reads back. Times are µs since 1970 UTC."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from analytics.freshness import Freshness
from analytics.journal.writer import Trouble
from analytics.record import Arm
from gateway.console.gate_views import ControllerView
from rollout.assignment import Reason
from rollout.keys import Role


class _View(msgspec.Struct, frozen=True, kw_only=True):
    """One JSON object."""


class WorkerView(_View, frozen=True):
    """One worker as its status page shows it; `snapshot` reads `epoch.version`.

    `lost` counts frames that its journal will never hold. `ended_page` is the page's file when the worker is gone: such
    a worker is shown for the trouble of its journal alone. `told_at` is when a worker's host told this, if that is
    another host than the console's; its name then is `HOST/WORKER`.
    """

    worker: str
    snapshot: str
    in_flight: int
    split_requests: int = 0
    split_without_user_key: int = 0
    lost: int = 0
    journal_trouble: Trouble = "none"
    ended_page: str | None = None
    told_at: int | None = None


class RolloutView(_View, frozen=True):
    """One rollout: definition and state. `salt` is None for those who may not see it; `forced` is by user hash.

    `controller` is where it stands in its plan.
    `undistributed` is why changes do not reach a fleet's gateways now: they wait until that is over. `percent_from`
    names the foreign flag that rules the percent, if one does.
    """

    name: str
    also_for: tuple[str, ...]
    flag: str
    base: str
    candidate: str
    percent: float
    version: int
    generation: int
    step: int
    forced: dict[str, Arm]
    salt: str | None
    changed_at: int
    changed_by: str
    snapshot: str
    controller: ControllerView = ControllerView(standing="idle")
    undistributed: str | None = None
    percent_from: str | None = None
    workers: tuple[WorkerView, ...] = ()
    warnings: tuple[str, ...] = ()


class WhoisView(_View, frozen=True):
    """Which arm serves a user in one rollout, and why. `bucket` is 0..9999, `percent_bucket` its hundredth."""

    rollout: str
    flag: str
    arm: Arm
    model: str
    reason: Reason
    bucket: int | None
    percent_bucket: int | None
    percent: float
    version: int
    generation: int
    user_hash: str


class EntryView(_View, frozen=True):
    """One audit entry."""

    number: int
    at: int
    actor: str
    action: str
    rollout: str | None
    before: Any
    after: Any
    reason: str
    hash: str


class HistoryView(_View, frozen=True):
    """Audit entries, newest first. `whole` is None when the chain was not checked; `fault` says where it is broken."""

    entries: tuple[EntryView, ...]
    whole: bool | None = None
    fault: str | None = None


class KeyView(_View, frozen=True):
    """A key without its fingerprint."""

    id: str
    role: Role
    application: str | None
    label: str
    created_at: int
    revoked_at: int | None


class NewKeyView(_View, frozen=True):
    """A key just made: the only time that its text is shown."""

    key: str
    kept: KeyView


class StatusView(_View, frozen=True):
    """The versions that are in force, and where they are in force already; `undistributed` as in `RolloutView`."""

    snapshot: str
    compiled_at: int | None
    read_only: bool
    undistributed: str | None
    workers: tuple[WorkerView, ...]
    warnings: tuple[str, ...]


RunningState = Literal["waiting", "copying", "running"]


class ColumnView(_View, frozen=True):
    """A column of an analyst's answer: its name, and its type in DuckDB's words."""

    name: str
    type: str


class AnswerView(_View, frozen=True):
    """An analyst's answer; `as_of` is when the copy was made that was asked, `freshness` up to when it has everything.

    `landlock` is 0 where there is none.
    """

    as_of: int
    freshness: Freshness
    columns: tuple[ColumnView, ...]
    rows: list[list[Any]]
    row_count: int
    landlock: int
    empty_network: bool


class RunningView(_View, frozen=True):
    """A query that runs or waits, for so long since it was asked; `copying`: what it asks is being made.

    `percent` is DuckDB's own guess; None where it has none (yet).
    """

    id: str
    by: str
    query: str
    state: RunningState
    percent: int | None
    elapsed_s: float


class SavedView(_View, frozen=True):
    """A saved query, who saved it, and the values that its parameters have unless others are given."""

    name: str
    query: str
    description: str
    parameters: dict[str, str | int | float | bool | None]
    by: str
    saved_at: int


class ErasureView(_View, frozen=True):
    """An erasure: what of it was done by `looked_at`, and whether it is over (`ended_at`) or stands.

    `waits_for` so many segments of the journal. `forced_in` names rollouts that pin the user to an arm, which an
    erasure leaves as it is; it is told to whoever asks for the erasure, then and there alone.
    """

    id: str
    asked_at: int
    application: str | None
    requests: int
    contents: int
    files: int
    looked_at: int | None
    ended_at: int | None
    waits_for: int = 0
    forced_in: tuple[str, ...] = ()
