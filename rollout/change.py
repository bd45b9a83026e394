"""What may happen to the ledger's state. Pure: the state and a wish give changes, or an error that names the remedy.

    ChangeError
    ├── ConflictError         the rollout moved on since the caller looked
    ├── UnknownRolloutError   no such rollout, or one that the configuration no longer has
    └── UnknownKeyError       no key with this id

A `Change` carries what the audit says of it. A flag's version is raised by whatever changes it, and its plan's moves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from analytics.record import Arm
from rollout.flag import Flag
from rollout.keys import Key
from rollout.progress import Progress, left_behind, put_back
from rollout.verdict import GateReport

Action = Literal[
    "create_ledger",
    "restore_ledger",
    "raise_epoch",
    "restore_backup",
    "set_definitions",
    "add_rollout",
    "new_generation",
    "rename_flag",
    "retire_rollout",
    "revive_rollout",
    "set_percent",
    "start",
    "schedule",
    "advance",
    "approve",
    "override",
    "restart",
    "await",
    "find_inconclusive",
    "pause",
    "resume",
    "roll_back",
    "freeze_reference",
    "monitor_alarm",
    "force_user",
    "unforce_user",
    "create_key",
    "revoke_key",
    "ask_erasure",
    "erase_user",
    "expire_rows",
]


class ChangeError(Exception):
    """A change that cannot be made; the message is one sentence for the person who asked."""


class ConflictError(ChangeError):
    """The rollout is no longer at the version that the caller saw."""


class UnknownRolloutError(ChangeError):
    """No rollout of this name is live."""


class UnknownKeyError(ChangeError):
    """No key has this id."""


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A flag as the ledger holds it, and how far it is in its plan.

    A retired one left the configuration; it keeps its state should it come back.
    """

    flag: Flag
    progress: Progress = Progress()
    retired: bool = False
    changed_at: int = 0
    changed_by: str = ""


class State(msgspec.Struct, frozen=True, kw_only=True):
    """Everything but history. `definitions` is the hash of the configuration that was compiled last."""

    epoch: int
    version: int = 0
    definitions: str = ""
    rollouts: Mapping[str, Held] = {}
    keys: Mapping[str, Key] = {}


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One step from a state to the next: the one thing that changes, and what the audit says of it.

    `progress` comes with the flag that it goes with; a flag without leaves it as `left_behind` says. `report` is the
    gate's, where that was the reason.
    """

    action: Action
    rollout: str | None = None
    before: Any = None
    after: Any = None
    flag: Flag | None = None
    progress: Progress | None = None
    report: GateReport | None = None
    retired: bool = False
    key: Key | None = None
    definitions: str | None = None
    epoch: int | None = None


def applied(state: State, change: Change, *, actor: str, at: int) -> State:
    """Return the state after one change; the snapshot's version is the ledger's to raise."""
    if change.flag is not None:
        held = Held(
            flag=change.flag,
            progress=_progress(state, change, actor, at),
            retired=change.retired,
            changed_at=at,
            changed_by=actor,
        )
        state = replace(state, rollouts={**state.rollouts, change.flag.rollout: held})
    if change.key is not None:
        state = replace(state, keys={**state.keys, change.key.id: change.key})
    if change.definitions is not None:
        state = replace(state, definitions=change.definitions)
    if change.epoch is not None:
        state = replace(state, epoch=change.epoch, version=0, rollouts=_put_back(state, at))
    return state


def live(state: State, rollout: str) -> Held:
    """Return a rollout that the configuration has.

    Raises:
        UnknownRolloutError: there is none of this name.
    """
    held = state.rollouts.get(rollout)
    if held is None or held.retired:
        names = ", ".join(sorted(name for name, other in state.rollouts.items() if not other.retired)) or "none"
        message = f"there is no rollout {rollout!r}; the configured ones: {names}"
        raise UnknownRolloutError(message)
    return held


def set_percent(state: State, rollout: str, percent: float, seen_version: int) -> list[Change]:
    """Move the percent, which starts a new step; the present percent again is no change. A plan that runs is left.

    Raises:
        ConflictError, UnknownRolloutError: see the tree above.
    """
    held = seen(state, rollout, seen_version)
    flag = held.flag
    if percent == flag.percent:
        return []
    change = _moved(flag, replace(flag, percent=percent, version=flag.version + 1, step=flag.step + 1))
    if held.progress.standing == "idle" or change.flag is None:
        return [change]
    left = left_behind(held.progress, flag, change.flag, actor="", at=0).standing
    before, after = {**change.before, "standing": held.progress.standing}, {**change.after, "standing": left}
    return [replace(change, before=before, after=after)]


def force(state: State, rollout: str, user_hash: str, arm: Arm | None, seen_version: int) -> list[Change]:
    """Pin a user (32 hex digits) to an arm, or with None let the bucket decide again.

    Raises:
        ConflictError, UnknownRolloutError: see the tree above.
    """
    flag = seen(state, rollout, seen_version).flag
    present = flag.forced.get(user_hash)
    if arm == present:
        return []
    others = {known: pinned for known, pinned in flag.forced.items() if known != user_hash}
    forced = others if arm is None else {**others, user_hash: arm}
    moved = replace(flag, forced=forced, version=flag.version + 1)
    return [
        Change(
            action="unforce_user" if arm is None else "force_user",
            rollout=rollout,
            before={"user_hash": user_hash, "arm": present, "version": flag.version},
            after={"user_hash": user_hash, "arm": arm, "version": moved.version},
            flag=moved,
        ),
    ]


def add_key(key: Key) -> Change:
    """Keep a new key; the audit never sees its fingerprint."""
    return Change(action="create_key", after=_public(key), key=key)


def revoke_key(state: State, key_id: str, at: int) -> list[Change]:
    """Revoke a key for ever; a revoked one again is no change.

    Raises:
        UnknownKeyError: no key has this id.
        ChangeError: it is the only live admin key, without which nobody could make another.
    """
    key = state.keys.get(key_id)
    if key is None:
        message = f"there is no key with the id {key_id!r}; `turnout key list` shows them"
        raise UnknownKeyError(message)
    if key.revoked_at is not None:
        return []
    admins = [other for other in state.keys.values() if other.role == "admin" and other.revoked_at is None]
    if admins == [key]:
        message = f"{key_id} is the only live admin key; create another before revoking it"
        raise ChangeError(message)
    revoked = replace(key, revoked_at=at)
    return [Change(action="revoke_key", before=_public(key), after=_public(revoked), key=revoked)]


def carried_over(state: State, seen_keys: Iterable[Key], seen_flags: Iterable[Flag]) -> list[Change]:
    """Return what an older copy of the ledger must take over from what workers saw after it was made.

    Keys that it does not know and revocations that it forgot; and the lower percent of each rollout, since a percent
    that somebody took back is never given again by a restore.
    """
    changes: list[Change] = []
    for key in seen_keys:
        known = state.keys.get(key.id)
        if known is None:
            changes.append(add_key(key))
        elif known.revoked_at is None and key.revoked_at is not None:
            changes.append(Change(action="revoke_key", before=_public(known), after=_public(key), key=key))
    for seen in seen_flags:
        held = state.rollouts.get(seen.rollout)
        if held is None or held.flag.generation != seen.generation or held.flag.percent <= seen.percent:
            continue
        old = held.flag
        moved = replace(
            old, percent=seen.percent, version=max(old.version, seen.version) + 1, step=max(old.step, seen.step) + 1
        )
        changes.append(_moved(old, moved, retired=held.retired))
    return changes


def restored(state: State, backup: Mapping[str, Any], above: int) -> Change:
    """Return the change that a restore is: the epoch rises above the copy's, and above the epoch `above`.

    So whatever workers have seen since the copy was made is older than all that the restored ledger says. `backup` is
    what the audit says of the copy.
    """
    epoch = max(state.epoch, above) + 1
    before = {"epoch": state.epoch, "version": state.version}
    return Change(action="restore_backup", before=before, after={"epoch": epoch, "version": 0, **backup}, epoch=epoch)


def moment(at: int) -> str:
    """Write microseconds since 1970 as people read them: to the second, in UTC."""
    return datetime.fromtimestamp(at // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def seen(state: State, rollout: str, seen_version: int) -> Held:
    """Return a rollout that still is at the version that the caller saw.

    Raises:
        ConflictError, UnknownRolloutError: see the tree above.
    """
    held = live(state, rollout)
    flag = held.flag
    if flag.version != seen_version:
        message = (
            f"rollout {rollout} moved on: it is now at version {flag.version} with {flag.percent:g} %, changed by "
            f"{held.changed_by} at {moment(held.changed_at)}; you saw version {seen_version}. Look again, then repeat."
        )
        raise ConflictError(message)
    return held


def _put_back(state: State, at: int) -> Mapping[str, Held]:
    """A raised epoch means an older copy: whatever its controllers counted may have happened, or not, since."""
    return {name: replace(held, progress=put_back(held.progress, at)) for name, held in state.rollouts.items()}


def _progress(state: State, change: Change, actor: str, at: int) -> Progress:
    if change.progress is not None or change.flag is None:
        return change.progress or Progress()
    held = state.rollouts.get(change.flag.rollout)
    return left_behind(held.progress, held.flag, change.flag, actor=actor, at=at) if held is not None else Progress()


def _moved(old: Flag, new: Flag, *, retired: bool = False) -> Change:
    before, after = ({"percent": flag.percent, "version": flag.version, "step": flag.step} for flag in (old, new))
    return Change(action="set_percent", rollout=new.rollout, before=before, after=after, flag=new, retired=retired)


def _public(key: Key) -> dict[str, Any]:
    shown = msgspec.to_builtins(key)
    del shown["fingerprint"]
    return shown
