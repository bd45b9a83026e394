"""An installation's files without its processes, and its backup: for tests of both ways."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from analytics.journal.writer import Writer
from analytics.lake.place import Place
from analytics.lake.shipper import Shipper
from analytics.lake.store import Access
from analytics.record import Opened, Record, uuid7
from gateway.console.backup import Wanted, back_up, backing_up
from gateway.console.backup_manifest import Manifest
from gateway.console.installation import open_installation
from gateway.console.restore import Outcome, Target, opened, restore
from tests.fakes.console import SALES, definitions

AT_US = 1_790_000_000_000_000
KEPT_QUERY = '{"query":"SELECT 1","by":"ann","key":"k","saved_at":1}'


def installation(state: Path, environment: Mapping[str, str] | None = None, *, records: int = 5) -> None:
    """Make a state directory at 25 percent, with keys, a query, records in the lake and, behind them, in the journal.

    In the journal wait one closed request and one that is open.
    """
    with closing(open_installation(state, definitions(), environment or {})) as one:
        one.control.start(one.last_good)
        made = one.control.keys.first_keys()
        assert made is not None
        (state / "first-keys").write_text(f"admin {made.admin}\napplication {made.app} default\n")
        (state / "first-keys").chmod(0o600)
        one.control.set_percent(SALES, 25, one.control.show(SALES).version, actor="test")
    (state / "queries").mkdir()
    (state / "queries/costs.json").write_text(KEPT_QUERY)
    writer = Writer(state / "journal", "worker-0", "b1")
    for seq in range(1, records + 1):
        writer.append(record(seq))
    shipper = Shipper(state / "journal", state / "lake", lambda: AT_US)
    shipper.tick()
    writer.append(Opened(request_id=record(91).request_id, seq=records + 1, started_at=AT_US))
    writer.append(record(records + 2))
    shipper.close()
    writer.close()


def record(seq: int) -> Record:
    at = AT_US + seq * 1_000_000
    return Record(request_id=uuid7(at, seq.to_bytes(10)), seq=seq, started_at=at, outcome="ok", rollout=SALES)


def wanted(state: Path, **other: Any) -> Wanted:
    lake = Place(url=str(state / "lake"))
    known: dict[str, Any] = {"state_dir": state, "config": None, "lake": lake, "lake_url": None}
    return Wanted(**{**known, **other})


def backed_up(state: Path, to: Path, environment: Mapping[str, str] | None = None, **other: Any) -> Manifest:
    with backing_up(str(to), Access()) as delivery:
        return back_up(delivery, wanted(state, **other), environment or {}, at=AT_US, host="here", tell=untold)


def restored(
    backup: Path,
    state: Path,
    environment: Mapping[str, str] | None = None,
    *,
    lake: Path | None = None,
    force: bool = False,
) -> Outcome:
    place = None if lake is None else Place(url=str(lake))
    with opened(str(backup), Access()) as source:
        target = Target(state_dir=state, lake=place, force=force)
        return restore(source, target, environment or {}, "ops", untold)


def untold(_what: str, _done: int, _total: int) -> None:
    return
