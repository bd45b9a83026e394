"""The watch at 100 %: base as it was is kept once, and every hour since is compared with it once. Moves nothing.

The law: what was observed lies in the rollout's progress, so it is kept by the same transaction that keeps the tick,
and a tick that was cut off observes the same hours again. What cannot be seen now is seen later; the gate goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from msgspec.structs import replace

from analytics.baseline import Baseline, Span, digest, read, written
from gateway.console.measuring import EvidenceLostError, Measuring
from rollout.phase import FrozenStep
from rollout.progress import Progress
from rollout.reference import Vigil, due, frozen, observe, settled_at, span_of
from rollout.stores.ledger import Ledger
from rollout.vigilance import reported

_log = logging.getLogger("turnout.console")


class Watching:
    """The watch of one installation's rollouts, within the controller's ticks."""

    def __init__(self, ledger: Ledger, measuring: Callable[[], Measuring]) -> None:
        self._ledger, self._measuring = ledger, measuring
        self._known: dict[str, tuple[str, Baseline]] = {}

    def seen(self, progress: Progress, as_of: int | None) -> Progress:
        """Return a tick's progress with what the watch sees; `as_of` (µs): up to when everything is in the lake.

        None: nobody can tell, and nothing is observed.
        """
        vigil, step = progress.vigil, progress.step
        if vigil is None or step is None or progress.report is None:
            return progress
        if as_of is not None:
            vigil = self._gone_on(replace(vigil, trouble=""), step, as_of)
        return replace(progress, vigil=vigil, report=reported(progress.report, vigil, step))

    def _gone_on(self, vigil: Vigil, step: FrozenStep, as_of: int) -> Vigil:
        try:
            baseline = self._baseline(vigil, step.rollout)
            if baseline is None:
                return self._frozen(vigil, step, as_of)
            return self._observed(vigil, baseline, step, as_of)
        except EvidenceLostError as error:
            return replace(vigil, trouble=str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, the gate goes on, and it is said
            _log.error("the watch at 100 % cannot see", exc_info=error)
            return replace(vigil, trouble=f"{type(error).__name__}, at a place that the console's log names")

    def _baseline(self, vigil: Vigil, rollout: str) -> Baseline | None:
        """Return base as it was kept for this watch; None where nothing is, or what is kept is another's."""
        if not vigil.digest:
            return None
        known = self._known.get(rollout)
        if known is None or known[0] != vigil.digest:
            kept = self._ledger.baseline(rollout)
            if kept is None or digest(kept) != vigil.digest:
                return None
            self._known[rollout] = known = (vigil.digest, read(kept))
        return known[1]

    def _frozen(self, vigil: Vigil, step: FrozenStep, as_of: int) -> Vigil:
        """Keep base as it was, once all of it has come."""
        if as_of < settled_at(vigil.clock, vigil.until):
            return vigil
        measuring = self._measuring()
        found = measuring.references(step.rollout, step.generation, vigil.until)
        span = Span(
            rollout=step.rollout,
            generation=step.generation,
            arm="base",
            since=vigil.since,
            until=vigil.until,
            clock=vigil.clock,
            thresholds={check: (q0, q0) for check, q0 in found.latencies.items() if q0 is not None},
            rating=found.rating,
        )
        baseline = measuring.baseline(span)
        kept = written(baseline)
        self._ledger.keep_baseline(step.rollout, kept)
        _log.info("base as it was is kept", extra={"rollout": step.rollout, "requests": baseline.requests})
        return frozen(replace(vigil, is_told=False), baseline, digest(kept), step.row.asked)

    def _observed(self, vigil: Vigil, baseline: Baseline, step: FrozenStep, as_of: int) -> Vigil:
        """Compare the hours (days) that are over and whole with base's, each once."""
        slots = due(vigil, baseline, as_of)
        if not slots:
            return vigil
        span, checks = span_of(vigil, baseline, slots, step.margins)
        found = self._measuring().passed(span, checks)
        for check, numbers in slots.items():
            for slot in numbers:
                now = found.get(check, {}).get(slot)
                vigil = observe(vigil, baseline, check, slot, now, step.margins[check])
        return vigil
