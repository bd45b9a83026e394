"""How long general availability is watched until a false alarm, and until a real one."""

from __future__ import annotations

from functools import partial

from analytics.detector import HOURS_APART, Detector, watch
from benchmarks.gates.drawn.deals import normals
from benchmarks.gates.runs import Aim, Case, Outcome, Table

_BLOCK = 5_000


def play(shift: float, seed: int, run: int) -> Outcome:
    """Count hours until the alarm; the scores are independent and `shift` standard errors too high."""
    detector, hours, block = Detector(), 0, 0
    while True:
        for z in normals(seed, f"hours at {shift:g}, {block}", run, mean=shift, count=_BLOCK if not shift else 500):
            hours += 1
            detector, is_alarm = watch(detector, z)
            if is_alarm:
                return {"hours on average": float(hours), "hours": float(hours)}
        block += 1


def table() -> Table:
    """Return no shift, and the shifts of the design."""
    quiet = Case(name="no shift", play=partial(play, 0.0), aims={"hours on average": Aim(at_least=HOURS_APART)})
    return Table(
        name="monitor",
        title="General availability against a frozen reference",
        words=(
            "Independent hourly scores. Hours until the alarm: their mean where nothing is wrong, their median "
            "otherwise."
        ),
        runs=1_000,
        figures={"hours on average": "mean", "hours": "median"},
        cases=[
            quiet,
            *(
                Case(name=f"{shift:g} σ", play=partial(play, shift), aims={"hours": Aim(reference=reference)})
                for shift, reference in ((0.5, 44), (1.0, 14), (2.0, 5), (3.0, 3))
            ),
        ],
    )
