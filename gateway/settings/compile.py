"""From definitions and the ledger's state to the snapshot that workers decide by. No I/O.

The law: a new base, candidate or salt never slips under running traffic. It starts a new generation at percent 0.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
from msgspec.structs import replace

from gateway.settings.schema import Application, Configuration, Logs, Prices, RolloutDefinition, Server
from gateway.settings.snapshot import SCHEMA, Admission, Snapshot, SplitEntry
from rollout.audit import canonical
from rollout.change import Change, Held, State
from rollout.flag import Flag, derived_salt

DEFAULT_APPLICATION = "default"
"""What an installation has that configures no applications."""


def applications(definitions: Configuration) -> dict[str, Application]:
    """Return the configured applications, or the one that is there without any."""
    return definitions.applications or {DEFAULT_APPLICATION: Application()}


def admission(server: Server) -> Admission:
    """Return the limits of `[server]` that workers follow while they run."""
    return Admission(**{name: getattr(server, name) for name in Admission.__struct_fields__})


def reconcile(definitions: Configuration, state: State, salt_key: bytes) -> list[Change]:
    """Return the changes that bring the ledger in line with the file; none when nothing that compiles has changed."""
    changes: list[Change] = []
    for name, definition in definitions.rollouts.items():
        changes += _reconciled(name, definition, state.rollouts.get(name), salt_key)
    for name, held in state.rollouts.items():
        if name not in definitions.rollouts and not held.retired:
            changes.append(_noted("retire_rollout", held.flag, held.flag, retired=True))
    digest = definitions_hash(definitions)
    if digest != state.definitions:
        before, after = ({"definitions": one or None} for one in (state.definitions, digest))
        changes.append(Change(action="set_definitions", before=before, after=after, definitions=digest))
    return changes


def compile_snapshot(definitions: Configuration, state: State, now_us: int) -> Snapshot:
    """Return the snapshot of one state; rollouts that the file no longer has stay behind."""
    return Snapshot(
        epoch=state.epoch,
        version=state.version,
        compiled_at=now_us,
        price_version=price_version(definitions),
        max_body_bytes=definitions.server.max_body_bytes,
        admission=admission(definitions.server),
        log_level=definitions.logs.level,
        upstreams=definitions.upstreams,
        models=definitions.models,
        prices=definitions.prices.table,
        rollouts={
            name: SplitEntry(
                flag=state.rollouts[name].flag,
                also_for=definition.also_for,
                fallback=definition.fallback,
                evidence=definition.evidence,
                plan=definition.plan,
            )
            for name, definition in definitions.rollouts.items()
            if name in state.rollouts and not state.rollouts[name].retired
        },
        applications=applications(definitions),
        keys=tuple(state.keys.values()),
    )


def definitions_of(snapshot: Snapshot) -> Configuration:
    """Return the definitions that a snapshot was compiled from, as far as they compile."""
    return Configuration(
        server=Server(max_body_bytes=snapshot.max_body_bytes, **msgspec.structs.asdict(snapshot.admission)),
        logs=Logs(level=snapshot.log_level),
        upstreams=snapshot.upstreams,
        models=snapshot.models,
        prices=Prices(table=snapshot.prices),
        rollouts={
            name: RolloutDefinition(
                base=entry.flag.base,
                candidate=entry.flag.candidate,
                flag=entry.flag.flag,
                also_for=entry.also_for,
                fallback=entry.fallback,
                evidence=entry.evidence,
                plan=entry.plan,
            )
            for name, entry in snapshot.rollouts.items()
        },
        applications=snapshot.applications,
    )


def restored_state(snapshot: Snapshot) -> State:
    """Return the state that a lost ledger is rebuilt with: the snapshot's, one epoch later."""
    return State(
        epoch=snapshot.epoch + 1,
        rollouts={
            name: Held(flag=entry.flag, changed_at=snapshot.compiled_at, changed_by="restore")
            for name, entry in snapshot.rollouts.items()
        },
        keys={key.id: key for key in snapshot.keys},
    )


def price_version(definitions: Configuration) -> str:
    """Return the hash, 12 hex digits, of every price in force: it changes whenever one does."""
    own = {name: model.price for name, model in definitions.models.items() if model.price is not None}
    prices = {"models": own, "table": definitions.prices.table}
    return hashlib.sha256(canonical(msgspec.to_builtins(prices))).hexdigest()[:12]


def definitions_hash(definitions: Configuration) -> str:
    """Return 16 hex digits over all that reaches a snapshot, and over the snapshot's own schema."""
    compiled: dict[str, Any] = {
        "schema": SCHEMA,
        "max_body_bytes": definitions.server.max_body_bytes,
        "admission": admission(definitions.server),
        "log_level": definitions.logs.level,
        "upstreams": definitions.upstreams,
        "models": definitions.models,
        "prices": definitions.prices.table,
        "rollouts": definitions.rollouts,
        "applications": applications(definitions),
    }
    return hashlib.sha256(canonical(msgspec.to_builtins(compiled))).hexdigest()[:16]


def _reconciled(name: str, definition: RolloutDefinition, held: Held | None, salt_key: bytes) -> list[Change]:
    if held is None:
        flag = Flag(
            rollout=name,
            flag=definition.flag,
            base=definition.base,
            candidate=definition.candidate,
            salt=definition.salt or derived_salt(salt_key, name, 1),
        )
        return [_noted("add_rollout", None, flag)]
    old = held.flag
    salt = definition.salt or old.salt
    if (definition.base, definition.candidate, salt) != (old.base, old.candidate, old.salt):
        return [_noted("new_generation", old, _next_generation(old, definition, salt_key))]
    if definition.flag != old.flag:
        return [_noted("rename_flag", old, replace(old, flag=definition.flag, version=old.version + 1))]
    return [_noted("revive_rollout", old, old)] if held.retired else []


def _next_generation(old: Flag, definition: RolloutDefinition, salt_key: bytes) -> Flag:
    generation = old.generation + 1
    return replace(
        old,
        flag=definition.flag,
        base=definition.base,
        candidate=definition.candidate,
        salt=definition.salt or derived_salt(salt_key, old.rollout, generation),
        version=old.version + 1,
        generation=generation,
        step=0,
        phase=None,
        percent=0.0,
    )


def _noted(action: Any, old: Flag | None, new: Flag, *, retired: bool = False) -> Change:
    """Tell the audit what matters; the salt stays out of it, since more people read the audit than may see salts."""
    after = {**_shown(new), "retired": True} if retired else _shown(new)
    before = None if old is None else _shown(old)
    return Change(action=action, rollout=new.rollout, before=before, after=after, flag=new, retired=retired)


def _shown(flag: Flag) -> dict[str, Any]:
    fields = ("flag", "base", "candidate", "percent", "version", "generation", "step")
    return {field: getattr(flag, field) for field in fields}
