"""What an operator should be warned of, in sentences with their remedy. No I/O: facts in, words out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gateway.console.views import WorkerView

_ANONYMOUS_SHARE = 0.5
_ON_ITS_WAY_US = 10_000_000
"""What another host told so soon after a change may have been true when it was told; clocks differ a little too."""


def warnings_for(
    workers: Sequence[WorkerView],
    snapshot: str,
    *,
    killed: bool,
    refused: Sequence[str] = (),
    fleet: Sequence[str] = (),
    silent: Sequence[str] = (),
    compiled_at: int | None = None,
) -> Iterator[str]:
    """Yield every warning.

    `refused` are the problems of a configuration file that was not taken up; `silent` are sentences about other hosts,
    `fleet` about this console's part in its fleet; `compiled_at` (microseconds) is when there came to be this snapshot.
    """
    if killed:
        yield "a force-base file lies in the state directory: every user gets base until it is removed"
    yield from fleet
    if refused:
        more = f" (and {len(refused) - 1} more: `turnout config check` lists them)" if len(refused) > 1 else ""
        yield f"the configuration file was refused and the last good one stays in force: {refused[0]}{more}"
    living = [worker for worker in workers if worker.ended_page is None]
    yield from _journals(workers)
    late = [one.worker for one in living if one.snapshot != snapshot and not _may_know(one, compiled_at)]
    if late:
        yield f"worker {', '.join(late)} does not decide by snapshot {snapshot} yet"
    yield from silent
    yield from _anonymous(living)


def _may_know(worker: WorkerView, compiled_at: int | None) -> bool:
    """Tell whether a worker of another host may decide by a snapshot of which its host has had no time to tell."""
    return worker.told_at is not None and compiled_at is not None and worker.told_at < compiled_at + _ON_ITS_WAY_US


def _journals(workers: Sequence[WorkerView]) -> Iterator[str]:
    for one in workers:
        lost = f"{one.lost:,} frames of its journal are lost"
        if one.ended_page is not None:
            waited = "" if one.journal_trouble == "none" else "; others may have waited in memory when it died"
            yield f"worker {one.worker} has ended: {lost}{waited}; remove {one.ended_page} to forget it"
        elif one.journal_trouble == "losing":
            yield f"worker {one.worker} LOSES RECORDS: its journal's disk refuses them and memory is full; {lost}"
        elif one.journal_trouble == "waiting":
            yield f"worker {one.worker} keeps records in memory, because its journal's disk refuses them; make room"
        elif one.lost:
            yield f"worker {one.worker}: {lost}; its journal takes records again"


def _anonymous(workers: Sequence[WorkerView]) -> Iterator[str]:
    split = sum(worker.split_requests for worker in workers)
    anonymous = sum(worker.split_without_user_key for worker in workers)
    if split and anonymous / split > _ANONYMOUS_SHARE:
        yield (
            f"{anonymous} of {split} split requests carried no user key and got base: set user_header for the "
            "application, or let it send safety_identifier or user"
        )
