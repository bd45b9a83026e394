"""Compaction: the shipper's many small files become few large ones by day, while everything runs.

The law: a row is in exactly one file that counts, at every moment, for every reader. Outputs are whole and durable
before a manifest names them; what they replace is removed long after. A plan is written down before it is
begun, and whoever finds one ends it first, from the same files to the same names: so whatever died in between, a file
below `requests/` is only ever made again as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import msgspec
from msgspec.structs import replace

from analytics.lake.layout import DAY, DAYS, MERGED, Lake
from analytics.lake.manifest import Expired, Manifest, Part, Work, read_manifest, write_manifest
from analytics.lake.merging import Merging
from analytics.lake.needed import Needed
from analytics.lake.once import KINDS
from analytics.lake.retention import first_kept, let_go, parts_over
from analytics.lake.store import Store

_SECOND_US = 1_000_000


class Measures(msgspec.Struct, frozen=True, kw_only=True):
    """How much is how much.

    `batch_bytes` are taken up at a time. `whole_rows` of a day make a file of their own while the day goes on; it
    counts as over `day_over_s` after its end, when most of what was late has come; what comes later waits for others,
    until the day's last file is `day_again_s` old. `most_merged` merged files may lie about. A file that was replaced
    is kept for `grace_s`, in which whoever reads it comes to an end. Days are kept for `retention_days` after they
    are over; None: for ever.
    """

    batch_bytes: int = 256 * 1024 * 1024
    whole_rows: int = 1_000_000
    day_over_s: float = 2 * 3600.0
    day_again_s: float = 24 * 3600.0
    most_merged: int = 16
    grace_s: float = 600.0
    retention_days: int | None = None


USUAL = Measures()


class Compacted(msgspec.Struct):
    """What a compaction did: `rows` that it wrote into how many `files`, which `replaced` others; `removed` ones.

    `expired`: rows whose time was over, and which count no more.
    """

    rows: int = 0
    files: int = 0
    replaced: int = 0
    removed: int = 0
    expired: int = 0


class Compaction:
    """Compacts one lake; one at a time may work on it. `clock` gives microseconds since 1970 UTC. Close it in the end.

    `needed` knows the files that must keep their names though they were replaced.
    """

    def __init__(
        self,
        store: Store,
        scratch: Path,
        clock: Callable[[], int],
        needed: Needed,
        measures: Measures = USUAL,
    ) -> None:
        self._store, self._clock, self._needed, self._measures = store, clock, needed, measures
        self._merging = Merging(store, scratch)
        self.done = Compacted()

    def close(self) -> None:
        """Let go of the memory."""
        self._merging.close()

    def run(self) -> Compacted:
        """Compact until nothing is left to do, remove what was replaced long ago, and return all that was done.

        Raises:
            OSError: the disk, the memory or the store refuses; the next run goes on from there.
        """
        self._store.resume(lambda _: False)
        manifest = read_manifest(self._store)
        while True:
            if manifest.plan is None:
                manifest, is_planned = self._planned(manifest)
                if not is_planned:
                    break
            manifest = self._carried_out(manifest, manifest.plan or {})
        self._sweep(manifest)
        return self.done

    def _planned(self, manifest: Manifest) -> tuple[Manifest, bool]:
        plan = {folder: work for folder in KINDS if (work := self._work(folder, manifest)).inputs}
        if not plan:
            return manifest, False
        planned = replace(manifest, number=manifest.number + 1, plan=plan)
        write_manifest(self._store, planned)
        return planned, True

    def _work(self, folder: str, manifest: Manifest) -> Work:
        """Return what is to be done with one kind of rows now; no inputs: nothing."""
        kind = KINDS[folder]
        parts = manifest.parts.get(folder, ())
        before = first_kept(self._today(), self._measures.retention_days)
        if over := parts_over(parts, before):
            return Work(inputs=[part.name for part in over], before=before)
        loose = {name: size for name, size in self._store.sizes(folder).items() if name not in manifest.replaced}
        merged = [part.name for part in parts if part.day is None]
        taken, horizon_at = self._batch(folder, loose)
        self._merging.fetch([*taken, *merged])
        rows_by_day = self._merging.days(kind, [*taken, *merged])
        days = [day for day, rows in rows_by_day.items() if self._is_due(day, rows, parts, horizon_at)]
        if days or len(merged) + bool(taken) > self._measures.most_merged:
            return Work(inputs=[*taken, *merged], days=sorted(days))
        return Work(inputs=taken if len(taken) > 1 else ())

    def _batch(self, folder: str, loose: Mapping[str, int]) -> tuple[list[str], int | None]:
        """Return the loose files to take up, and from which time on those have rows that are left for later, if any."""
        if sum(loose.values()) <= self._measures.batch_bytes:
            return sorted(loose), None
        extents = self._merging.extents(KINDS[folder], sorted(loose))
        taken = sorted(loose.keys() - extents.keys())
        left_bytes = self._measures.batch_bytes
        for name, extent in sorted(extents.items(), key=lambda item: item[1].first_at):
            if left_bytes < loose[name] and taken:
                return taken, extent.first_at
            left_bytes -= loose[name]
            taken.append(name)
        return taken, None

    def _is_due(self, day: date, rows: int, parts: Sequence[Part], horizon_at: int | None) -> bool:
        """Tell whether the rows of a day are to become a file of their own."""
        if rows >= self._measures.whole_rows:
            return True
        now_at = self._clock()
        end = datetime.combine(day, time.min, UTC) + timedelta(days=1)
        end_at = round(end.timestamp()) * _SECOND_US
        if end_at + self._measures.day_over_s * _SECOND_US > now_at or (horizon_at is not None and horizon_at < end_at):
            return False
        return not any(part.day == day and part.at + self._measures.day_again_s * _SECOND_US > now_at for part in parts)

    def _carried_out(self, manifest: Manifest, plan: Mapping[str, Work]) -> Manifest:
        parts, at = dict(manifest.parts), self._clock()
        gone: dict[str, int] = {}
        expired = dict(manifest.expired)
        for folder, work in plan.items():
            kept = [part for part in parts.get(folder, ()) if part.name not in work.inputs]
            gone |= dict.fromkeys(work.inputs, at)
            if work.before is not None:
                over = [part for part in parts.get(folder, ()) if part.name in work.inputs]
                parts[folder], expired[folder] = kept, self._let_go(folder, over, kept, work.before, manifest)
                continue
            parts[folder] = [*kept, *self._outputs(folder, work, kept, manifest.number)]
            self.done.replaced += len(work.inputs)
        there = self._there(manifest.replaced)
        done = Manifest(number=manifest.number + 1, parts=parts, replaced={**there, **gone}, expired=expired)
        write_manifest(self._store, done)
        return done

    def _let_go(
        self, folder: str, over: Sequence[Part], kept: Sequence[Part], before: date, manifest: Manifest
    ) -> Expired:
        """Return what was let go of one kind of rows, after these parts too."""
        kind, former = KINDS[folder], manifest.expired.get(folder)
        seqs = self._merging.seqs(kind, [part.name for part in over])
        left = [*(part.name for part in kept), *(self._store.sizes(folder).keys() - manifest.replaced.keys())]
        beating = {(beat.worker, beat.boot) for beat in Lake(self._store).all_heartbeats()}
        expired = let_go(former, over, before, seqs, beating | self._merging.boots(kind, left))
        self.done.expired += expired.rows - (former.rows if former else 0)
        return expired

    def _outputs(self, folder: str, work: Work, known: Sequence[Part], number: int) -> list[Part]:
        kind, at = KINDS[folder], self._clock()
        self._merging.take(kind, work.inputs, known)
        made: list[Part | None] = []
        for day in work.days:
            place = f"{DAYS[folder]}/{DAY}{day}"
            self._store.prepare(place)
            made.append(self._merging.write(kind, f"{place}/{number:06d}.parquet", day, (), at))
        self._store.prepare(MERGED)
        made.append(self._merging.write(kind, f"{MERGED}/{number:06d}-{kind.name}.parquet", None, work.days, at))
        parts = [part for part in made if part is not None]
        self.done.files += len(parts)
        self.done.rows += sum(part.rows for part in parts)
        return parts

    def _sweep(self, manifest: Manifest) -> None:
        """Remove what was replaced long ago, and is not needed by a shipper."""
        over_at = self._clock() - round(self._measures.grace_s * _SECOND_US)
        there = self._there(manifest.replaced)
        for name in sorted({name for name, at in there.items() if at <= over_at} - self._needed(there)):
            self._store.remove(name)
            self.done.removed += 1
        if not self._store.is_far:
            self._remove_empty()

    def _remove_empty(self) -> None:
        """Remove the folders of days of which nothing is left."""
        for kind in DAYS.values():
            for folder in [f"{kind}/{day}" for day in self._store.folders(kind)]:
                if not self._store.sizes(folder):
                    self._store.remove_folder(folder)

    def _there(self, replaced: Mapping[str, int]) -> Mapping[str, int]:
        """Return those of the replaced files that have not been removed yet."""
        present = {name for folder in {_folder(name) for name in replaced} for name in self._store.sizes(folder)}
        return {name: at for name, at in replaced.items() if name in present}

    def _today(self) -> date:
        return datetime.fromtimestamp(self._clock() / _SECOND_US, UTC).date()


def _folder(name: str) -> str:
    return name.rpartition("/")[0]
