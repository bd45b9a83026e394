"""What a gate says: its shapes, stored with every number behind them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from analytics.evidence import Check
from rollout.phase import Gate

Verdict = Literal["fail", "hold", "pass", "collecting", "inconclusive"]
Look = Literal[0, 1, 2]
"""0: no scheduled look at this tick; 1: the one at or after D; 2: the one at or after 2D."""

Figures = Mapping[str, float | int | None]


class CheckReport(msgspec.Struct, frozen=True, kw_only=True):
    """One check's verdict, the line that people read, and every number behind it by name.

    A check that does not apply (`applies`: false) is inconclusive and blocks nothing.
    """

    check: str
    verdict: Verdict
    words: str
    figures: Figures = {}
    applies: bool = True


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """What a step carries from one tick to the next.

    `v_opt`: frozen at the first tick that meets the minima of FAIL. `deaf`: checks whose E is ignored since the monitor
    alarmed. `latched`: hold conditions that only a person clears, by name. `looks`: how many scheduled looks are over.
    `passed`: checks that passed at the last look.
    """

    v_opt: Mapping[Check, float] = {}
    deaf: tuple[Check, ...] = ()
    latched: tuple[str, ...] = ()
    looks: int = 0
    passed: tuple[Check, ...] = ()


class GateReport(msgspec.Struct, frozen=True, kw_only=True):
    """One evaluation of a gate, stored with its numbers. `at`: µs since 1970 UTC; `running_s`: running time so far.

    `holds`: the sentences of the conditions that hold. `is_fast_kill`: the failure is fast kill's. `is_safety_only`: an
    inner row passed since nothing failed. `digest`: the frozen step's. `summary` is one sentence. `blocks`: what kept a
    look from passing beside the checks. `notes`: what is only reported, such as cost. `alarms`: what the watch at
    100 % has told of, oldest first; it rolls nothing back. `safety`: of a row that passes when nothing failed, how many
    `users_candidate` and `requests_candidate` there are, and the `min_users` and `min_requests` that it needs.
    """

    rollout: str
    generation: int
    step: int
    digest: str
    gate: Gate
    at: int
    running_s: float
    look: Look
    verdict: Verdict
    summary: str
    checks: tuple[CheckReport, ...] = ()
    holds: tuple[str, ...] = ()
    is_fast_kill: bool = False
    is_safety_only: bool = False
    blocks: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    alarms: tuple[str, ...] = ()
    safety: Figures = {}
