"""Plans: the one that is used without any, and what is wrong with another. Pure.

The law: a plan that could promote without proof, or never decide, is refused before it starts, with the place in it and
the remedy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from analytics.evidence import CHECKS, LATENCY, Check
from rollout.durations import DAY_S, LONGEST_S, spoken
from rollout.phase import Margin, Plan, Row
from rollout.schedule import is_always_frozen

CERTIFICATE = Row(phase="certificate", percent=0.0, dwell_s=None, gate="certificate")
"""The first row of every plan: no candidate is served while evidence from before traffic is asked for."""

DEFAULT_MARGINS: Mapping[Check, Margin] = {
    "errors": Margin(relative=0.25, absolute=0.002, alpha=0.010),
    "p50": Margin(ratio=1.10),
    "p99": Margin(ratio=1.20, min_requests=2000, alpha=0.004),
    "ttft": Margin(ratio=1.10),
    "satisfaction": Margin(absolute=0.03, min_requests=300),
}

DEFAULT_PLAN = Plan(
    rows=(
        CERTIFICATE,
        Row(phase="canary", percent=5.0, dwell_s=2 * DAY_S, gate="canary"),
        Row(phase="canary", percent=10.0, dwell_s=5 * DAY_S, gate="canary"),
        Row(phase="beta", percent=25.0, dwell_s=7 * DAY_S, gate="beta"),
        Row(phase="beta", percent=50.0, dwell_s=7 * DAY_S, gate="beta"),
        Row(phase="ga", percent=100.0, dwell_s=None, gate="ga"),
    ),
    margins=DEFAULT_MARGINS,
)

_ORDER = ("certificate", "canary", "beta", "ga")
_SHORTEST_S = 1.0
_GREATEST_RATE = 0.5
_MOST_PER_S = 1000
"""Users or requests of one candidate; whoever asks for more within a step asks for what never comes."""
_ALWAYS_FINE = 1_000_000


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to mend: `place` within the plan (`steps` are counted without the certificate's), and the sentence."""

    place: tuple[str | int, ...]
    message: str


def plan_faults(plan: Plan) -> Iterator[Fault]:
    """Yield everything that is wrong with a plan; one without a fault may be started."""
    steps = plan.rows[1:]
    if plan.rows[:1] != (CERTIFICATE,):
        yield _fault("steps", message="do not begin with the certificate's row; Turnout adds it, so leave it out")
        return
    for at, row in enumerate(steps):
        yield from _row_faults(at, row, steps[at - 1] if at else None)
    yield from _sequence_faults(steps)
    for check in CHECKS:
        if check in plan.margins:
            yield from _margin_faults(check, plan.margins[check])
        else:
            yield _fault("margins", check, message="is missing; every check has a margin, asked for or not")
    yield from _undecidable(plan)
    if is_always_frozen(plan.freezes):
        yield _fault("freeze", message="leaves no minute of the week free, so nothing ever starts; shorten a window")


def _row_faults(at: int, row: Row, before: Row | None) -> Iterator[Fault]:
    if not 0 < row.percent <= 100:
        yield _fault("steps", at, "percent", message=f"{row.percent:g} is not above 0 and at most 100")
    elif abs(row.percent * 100 - round(row.percent * 100)) > 1e-6:
        near = max(round(row.percent, 2), 0.01)
        yield _fault("steps", at, "percent", message=f"{row.percent} is finer than a bucket (0.01 %); write {near}")
    elif row.percent == 100 and row.phase != "ga":
        message = f'100 leaves no base to compare with in phase "{row.phase}"; write less, or phase = "ga"'
        yield _fault("steps", at, "percent", message=message)
    elif before is not None and row.percent <= before.percent:
        message = f"{row.percent:g} is not more than the {before.percent:g} of the step before; percents rise"
        yield _fault("steps", at, "percent", message=message)
    if before is not None and _ORDER.index(row.phase) < _ORDER.index(before.phase):
        message = f'"{row.phase}" cannot follow "{before.phase}"; the order is canary, beta, ga'
        yield _fault("steps", at, "phase", message=message)
    yield from _dwell_faults(at, row)
    yield from _gate_faults(at, row)


def _dwell_faults(at: int, row: Row) -> Iterator[Fault]:
    if row.dwell_s is None:
        if row.phase != "ga":
            message = f'is missing; how long phase "{row.phase}" lasts at least, such as dwell = "2d"'
            yield _fault("steps", at, "dwell", message=message)
    elif row.phase == "ga" and row.percent == 100:
        message = "is for a window beside a holdback (percent below 100); take it out, general availability has no end"
        yield _fault("steps", at, "dwell", message=message)
    elif not _SHORTEST_S <= row.dwell_s <= LONGEST_S:
        message = f'{row.dwell_s:g} seconds is not within 1 second and 365 days; write such as "2d"'
        yield _fault("steps", at, "dwell", message=message)


def _gate_faults(at: int, row: Row) -> Iterator[Fault]:
    if row.phase == "certificate" or row.gate == "certificate":
        yield _fault("steps", at, "phase", message='"certificate" is added by Turnout; write canary, beta or ga')
    elif (row.gate == "ga") != (row.phase == "ga"):
        message = f'"{row.gate}" is no gate of phase "{row.phase}"; write "canary" or "beta", and for ga leave it out'
        yield _fault("steps", at, "gate", message=message)
    if not row.asked:
        message = "is empty, and a gate without checks never passes; name at least one, or leave it out"
        yield _fault("steps", at, "checks", message=message)
    elif len(set(row.asked)) < len(row.asked):
        yield _fault("steps", at, "checks", message="names a check twice; name each once")


def _sequence_faults(steps: tuple[Row, ...]) -> Iterator[Fault]:
    last = [at for at, row in enumerate(steps) if row.phase == "ga"]
    if not last:
        message = 'do not end with general availability; add { phase = "ga", percent = 100 }'
        yield _fault("steps", message=message)
    elif len(last) > 1:
        yield _fault("steps", last[1], "phase", message='"ga" stands there already; only the last step may have it')
    if steps and all(row.phase == "ga" for row in steps):
        message = 'have none that asks for proof before ga; add such as { phase = "canary", percent = 5, dwell = "2d" }'
        yield _fault("steps", message=message)


def _margin_faults(check: Check, margin: Margin) -> Iterator[Fault]:
    if check in LATENCY:
        if not 1 <= margin.ratio <= 10:
            message = f"{margin.ratio:g} is not within 1 and 10; 1.2 tolerates a candidate that takes a fifth longer"
            yield _fault("margins", check, "ratio", message=message)
    else:
        if not 0 <= margin.relative <= 10:
            message = f"{margin.relative:g} is not within 0 and 10; 0.25 tolerates a quarter more than base"
            yield _fault("margins", check, "relative", message=message)
        if not 0 <= margin.absolute < _GREATEST_RATE:
            message = f"{margin.absolute:g} is not from 0 to below 0.5; 0.002 tolerates 2 more of a thousand"
            yield _fault("margins", check, "absolute", message=message)
    for key in ("min_users", "min_requests"):
        if getattr(margin, key) < 1:
            yield _fault("margins", check, key, message=f"{getattr(margin, key)} is not 1 or more")


def _undecidable(plan: Plan) -> Iterator[Fault]:
    """Yield what no equal candidate could ever pass, whatever traffic there is."""
    errors = plan.margins.get("errors", DEFAULT_MARGINS["errors"])
    if not errors.relative and not errors.absolute and _longest(plan, "errors") is not None:
        message = "tolerates nothing, so an equal candidate never passes; write such as absolute = 0.002"
        yield _fault("margins", "errors", message=message)
    for check, margin in plan.margins.items():
        for key in ("min_users", "min_requests"):
            yield from _beyond_reach(getattr(margin, key), _longest(plan, check), "margins", check, key)
    for key in ("safety_users", "safety_requests"):
        yield from _beyond_reach(getattr(plan, key), _longest(plan, None), key)


def _longest(plan: Plan, check: Check | None) -> float | None:
    """Return how many seconds the shortest step runs at most that has to prove a check, or with None only safety."""
    is_proof = check is not None
    rows = [row for number, row in enumerate(plan.rows) if row.phase != "ga" and plan.is_proof(number) == is_proof]
    dwells = [row.dwell_s for row in rows if row.dwell_s and (check is None or check in row.asked)]
    return 2 * min(dwells) if dwells else None


def _beyond_reach(wanted: int, longest_s: float | None, *place: str) -> Iterator[Fault]:
    if longest_s is not None and wanted > max(_ALWAYS_FINE, _MOST_PER_S * longest_s):
        message = (
            f"{wanted} never come together in the {spoken(longest_s)} that a step asking for them runs at most "
            f"({wanted / longest_s:.0f} a second of the candidate's alone); write fewer, or a longer dwell"
        )
        yield _fault(*place, message=message)


def _fault(*place: str | int, message: str) -> Fault:
    return Fault(place=place, message=message)
