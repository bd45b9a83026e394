"""What the watch at 100 % writes into the audit: base as it was frozen, and alarms. Pure; neither moves a percent.

The law: an alarm, the detector that begins anew and the audit's entry come in one transaction, so each is told once.
"""

from __future__ import annotations

from msgspec.structs import replace

from rollout.change import Change, Held, State, seen
from rollout.progress import Progress
from rollout.reference import Vigil, told
from rollout.stepping import Wanted
from rollout.stepping import told as change
from rollout.vigilance import alarm_words, watched_since


def freeze(state: State, wanted: Wanted, progress: Progress) -> list[Change]:
    """Note that base as it was has been frozen, by its hash; `progress` is what the tick counted."""
    held, vigil = _watching(state, wanted, progress)
    if vigil is None:
        return []
    reference = {"sha256": vigil.digest, "since": vigil.since, "until": vigil.until, "words": watched_since(vigil)}
    kept = replace(progress, vigil=replace(vigil, is_told=True))
    return [change("freeze_reference", held, held.flag, kept, reference=reference)]


def alarm(state: State, wanted: Wanted, progress: Progress) -> list[Change]:
    """Note what the watch alarmed of, with the numbers behind it; nothing moves."""
    held, vigil = _watching(state, wanted, progress)
    if vigil is None:
        return []
    report = progress.report
    said = None if report is None else replace(report, summary=f"Alarm: {alarm_words(vigil)}")
    return [change("monitor_alarm", held, held.flag, replace(progress, vigil=told(vigil)), report=said)]


def _watching(state: State, wanted: Wanted, progress: Progress) -> tuple[Held, Vigil | None]:
    return seen(state, wanted.rollout, wanted.version), progress.vigil
