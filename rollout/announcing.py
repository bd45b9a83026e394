"""From the audit to what people are told: each entry that matters to them becomes one notice. Pure.

A rollback is told of the step that it ended.

The law: what is told comes from what was written, so nothing is told that did not happen, and what happened just before
a console died is told by the next one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from rollout.audit import Entry
from rollout.notice import Notice, What

WHATS: Mapping[tuple[str, str], What] = {
    ("start", "running"): "started",
    ("start", "at_ga"): "finished",
    ("advance", "running"): "advanced",
    ("advance", "at_ga"): "finished",
    ("approve", "running"): "advanced",
    ("approve", "at_ga"): "finished",
    ("override", "running"): "overridden",
    ("override", "at_ga"): "overridden",
    ("await", "awaiting"): "awaiting_approval",
    ("find_inconclusive", "inconclusive"): "inconclusive",
    ("pause", "paused"): "paused",
    ("roll_back", "rolled_back"): "rolled_back",
    ("set_percent", "rolled_back"): "rolled_back",
}
"""By the entry's action, and where the rollout stands after it."""
ANYWHERE: Mapping[str, What] = {"resume": "resumed", "monitor_alarm": "monitor_alarm"}
"""What is told of wherever the rollout stands."""

_WORDS: Mapping[What, str] = {
    "started": "its plan was started: {place}, by {actor}",
    "advanced": "advanced to {place}, by {actor}",
    "finished": "reached {place}, by {actor}",
    "overridden": "advanced to {place} against the gate, by {actor}",
    "awaiting_approval": "passed {place}, and waits",
    "inconclusive": "{place} is inconclusive, and a person is asked",
    "paused": "paused at {place}, by {actor}",
    "resumed": "goes on at {place}, by {actor}",
    "rolled_back": "rolled back{origin} to 0 %, by {actor}",
    "monitor_alarm": "the watch at {place} alarms",
}


def notice_of(entry: Entry) -> Notice | None:
    """Return what people are told of an audit entry; None of most."""
    after = _fields(entry.after)
    standing = str(after.get("standing", ""))
    what = ANYWHERE.get(entry.action) or WHATS.get((entry.action, standing))
    if what is None or entry.rollout is None:
        return None
    evidence = _fields(after.get("evidence"))
    before = _fields(entry.before)
    about = before if what == "rolled_back" and "step" in before else after
    said = evidence.get("summary") or entry.reason
    origin = f" from {_place(before)}" if before.get("percent") else ""
    head = _WORDS[what].format(place=_place(after), origin=origin, actor=entry.actor)
    return Notice(
        what=what,
        words=f"{entry.rollout}: {head}" + (f". {said}" if said else ""),
        at=entry.at,
        rollout=entry.rollout,
        generation=after.get("generation", 0),
        step=about.get("step", 0),
        phase=about.get("phase"),
        percent=after.get("percent"),
        verdict=evidence.get("verdict"),
        mark=str(entry.number),
    )


def _place(fields: Mapping[str, Any]) -> str:
    """Return phase and percent as people read them."""
    percent = f"{fields.get('percent', 0):g} %"
    return f"{fields['phase']} {percent}" if fields.get("phase") is not None else percent


def _fields(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
