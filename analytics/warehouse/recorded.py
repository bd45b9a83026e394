"""How well a step was recorded: what is missing, who is not heard of, whose disk is in trouble.

The law: nothing is called lost that may still come. A number is missing when the host it belongs to says that all up to
it is in the lake, or when the boot is over and its host has carried everything since.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from analytics.evidence import Quality, StepWindow
from analytics.journal.status import Status, StatusError, is_alive, read
from analytics.lake.elsewhere import carried_to
from analytics.lake.host import host_name
from analytics.lake.layout import Heartbeat, Lake
from analytics.lake.presence import Presence, presences
from analytics.lake.store import Store
from analytics.warehouse.views import text_of

_US = 1_000_000
LATE_US = 15 * 60 * _US
"""A request may last so long: what began earlier, in a boot that is over, was settled."""
GONE_US = 3600 * _US
"""A host that tells nothing of itself, and lags so far behind others, is gone."""
_FOR_EVER = 2**62
_HERE = ""
"""The host of status pages where it has no name."""

Boot = tuple[str, str, str]
"""Host, worker and boot."""

_HEARD = """
MERGE INTO evidence_worker AS known
USING (
    SELECT unnest($hosts) AS host, unnest($workers) AS worker, unnest($boots) AS boot, unnest($settled) AS settled_to,
        make_timestamp(unnest($beats)) AS beat_at
) AS heard
ON known.host = heard.host AND known.worker = heard.worker AND known.boot = heard.boot
WHEN MATCHED THEN UPDATE SET settled_to = heard.settled_to, beat_at = heard.beat_at
WHEN NOT MATCHED THEN INSERT
    VALUES (heard.host, heard.worker, heard.boot, heard.settled_to, make_timestamp($now), heard.beat_at)
"""
_KNOWN = "SELECT host, worker, boot, settled_to, epoch_us(first_at), epoch_us(beat_at) FROM evidence_worker"
_BOOTS = "SELECT worker, boot, epoch_us(last_at) FROM evidence_boot WHERE step_id = $step"
_SETTLED = """
CREATE OR REPLACE TEMP TABLE settled AS
SELECT unnest($workers)::VARCHAR AS worker, unnest($boots)::VARCHAR AS boot, unnest($seqs)::BIGINT AS seq
"""
_OF_STEP = "rollout = $rollout AND generation = $generation AND step = $step"
_BASELINE = f"SELECT host, worker, boot, lost FROM evidence_loss WHERE {_OF_STEP}"  # noqa: S608 - ours
_TAKE_BASELINE = """
INSERT INTO evidence_loss
SELECT $rollout, $generation, $step, unnest($hosts), unnest($workers), unnest($boots), unnest($lost)
"""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What hosts say now: heartbeats, how many frames each boot has lost, which boots live, and if a disk refuses."""

    beats: Sequence[Heartbeat]
    told: Sequence[Presence]
    lost: Mapping[Boot, int]
    living: frozenset[Boot]
    is_in_trouble: bool


class Recorded:
    """Asks the lake in `store`, the status pages in `pages`, and the tables of `connection`.

    `journal` is this host's, where its name lies.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, store: Store, pages: Path | None, journal: Path | None
    ) -> None:
        self._connection, self._store, self._pages, self._journal = connection, store, pages, journal

    def listen(self) -> Told:
        """Ask the hosts; raises `OSError`."""
        own = None if self._journal is None else host_name(self._journal)
        told = [one for one in presences(self._store) if self._pages is None or one.host != own]
        pages = list(self._statuses())
        lost = {(own or _HERE, worker, status.boot): status.lost for worker, status in pages}
        lost |= {(one.host, each.worker, each.boot): each.lost for one in told for each in one.workers}
        living = {(own or _HERE, worker, status.boot) for worker, status in pages if is_alive(status)}
        living |= {(one.host, each.worker, each.boot) for one in told for each in one.workers}
        troubles = [status.journal_trouble for _, status in pages if is_alive(status)]
        troubles += [each.journal_trouble for one in told for each in one.workers]
        return Told(
            beats=Lake(self._store).all_heartbeats(),
            told=told,
            lost=lost,
            living=frozenset(living),
            is_in_trouble=any(troubles),
        )

    def begin(self, window: StepWindow, told: Told) -> None:
        """Note what was lost before a step was looked at first."""
        which = _which(window)
        if self._connection.execute(_BASELINE, which).fetchall():
            return
        known = [*told.lost, (_HERE, _HERE, None)]
        self._connection.execute(
            _TAKE_BASELINE,
            {
                **which,
                "hosts": [host for host, _, _ in known],
                "workers": [worker for _, worker, _ in known],
                "boots": [boot for _, _, boot in known],
                "lost": [*told.lost.values(), 0],
            },
        )

    def hear(self, told: Told, now: int) -> None:
        """Note how far each boot has come: once it is over, its heartbeat is another's."""
        beats = {(beat.host or _HERE, beat.worker, beat.boot): beat for beat in told.beats}
        heard = [*beats, *(told.living - beats.keys())]
        if not heard:
            return
        self._connection.execute(
            _HEARD,
            {
                "hosts": [host for host, _, _ in heard],
                "workers": [worker for _, worker, _ in heard],
                "boots": [boot for _, _, boot in heard],
                "settled": [beats[one].settled_to if one in beats else None for one in heard],
                "beats": [beats[one].at if one in beats else 0 for one in heard],
                "now": now,
            },
        )

    def quality(self, window: StepWindow, step_id: int, told: Told, now: int, *, folded: Told | None = None) -> Quality:
        """Return what hosts and numbers say of a step; the rest is for `Looking`.

        `folded` is what hosts said before the lake was last folded: numbers count up to there.
        """
        known = self._connection.execute(_KNOWN).fetchall()
        due, lost = self._numbers(step_id, folded or told, known)
        return Quality(
            due_rows=due,
            lost_rows=max(lost, self._counted(window, told)),
            disk_alarm=told.is_in_trouble,
            heartbeat_age_s=_heartbeat_age_s(told, known, now),
        )

    def fresh_to(self, told: Told, now: int) -> int:
        """Return up to when everything is in the lake by what hosts say; `now` where nobody says anything."""
        carried: dict[str, int] = {}
        for beat in told.beats:
            carried[beat.host or _HERE] = max(carried.get(beat.host or _HERE, 0), carried_to(beat))
        present = {host for host, _, _ in told.living} & carried.keys()
        heard = [carried[host] for host in present or carried]
        return min([*(at for at in heard if at > max(heard) - GONE_US), now])

    def _numbers(self, step_id: int, told: Told, known: Sequence[tuple[Any, ...]]) -> tuple[int, int]:
        carried: dict[str, int] = {}
        for beat in told.beats:
            carried[beat.host or _HERE] = max(carried.get(beat.host or _HERE, 0), carried_to(beat))
        beating = {(beat.worker, beat.boot): beat.settled_to for beat in told.beats}
        heard = {(worker, boot): (host, settled_to) for host, worker, boot, settled_to, _, _ in known}
        bounds: dict[tuple[str, str], int] = {}
        for worker, boot, last_at in self._connection.execute(_BOOTS, {"step": step_id}).fetchall():
            host, heard_to = heard.get((worker, boot), (None, None))
            fresh_to = carried.get(host) if host is not None else min(carried.values(), default=0)
            is_over = (worker, boot) not in beating and (fresh_to or 0) > last_at + LATE_US
            bounds[worker, boot] = _FOR_EVER if is_over else beating.get((worker, boot), heard_to) or 0
        places = list(bounds)
        self._connection.execute(
            _SETTLED,
            {
                "workers": [worker for worker, _ in places],
                "boots": [boot for _, boot in places],
                "seqs": list(bounds.values()),
            },
        )
        [(due, lost)] = self._connection.execute(
            text_of("evidence_lost").format(settled="settled"), {"step": step_id}
        ).fetchall()
        return due, lost

    def _counted(self, window: StepWindow, told: Told) -> int:
        """Return how many frames were counted as lost since the step was looked at first."""
        rows = self._connection.execute(_BASELINE, _which(window)).fetchall()
        before = {(host, worker, boot): lost for host, worker, boot, lost in rows}
        # This host may have had no name yet when the step was looked at first.
        nameless = {one: before.get((_HERE, *one[1:]), 0) for one in told.lost}
        return sum(max(0, lost - before.get(one, nameless[one])) for one, lost in told.lost.items())

    def _statuses(self) -> Sequence[tuple[str, Status]]:
        found: list[tuple[str, Status]] = []
        pages = [] if self._pages is None else [*self._pages.glob("*.status"), *self._pages.glob("*.ended")]
        for path in sorted(pages):
            try:
                found.append((path.name.partition(".")[0], read(path)))
            except (OSError, StatusError):
                continue
        return found


def _heartbeat_age_s(told: Told, known: Sequence[tuple[Any, ...]], now: int) -> float | None:
    """Return the age of the newest heartbeat of the live worker that is heard of least; None without a live one."""
    beats = {(beat.host or _HERE, beat.worker, beat.boot): beat.at for beat in told.beats}
    first = {(host, worker, boot): at for host, worker, boot, _, at, _ in known}
    latest: dict[str, Boot] = {}
    for one in sorted(beats, key=beats.__getitem__):
        latest[one[0]] = one
    heard = [beats[one] if one in beats else first.get(one, now) for one in told.living or latest.values()]
    return max(0.0, (now - min(heard)) / _US) if heard else None


def _which(window: StepWindow) -> dict[str, object]:
    return {"rollout": window.rollout, "generation": window.generation, "step": window.step}
