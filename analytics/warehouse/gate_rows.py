"""Which rows of the lake are gate rows, and which of them failed. Owns the words for it that several questions read.

The law: the sums and fast kill's look ahead at what is not added up yet mean the same by these words.
"""

from __future__ import annotations

from collections.abc import Sequence

from analytics.lake.layout import INCOMING
from analytics.lake.once import KINDS, Address, rows_of
from analytics.warehouse.views import text_of

IS_GATE_ROW = """
purpose = 'live' AND bucket IS NOT NULL AND reason IN ('split', 'stale')
    AND arm_assigned IS NOT NULL AND user_hash IS NOT NULL
"""
FAILED = """
CASE
    WHEN fallback_reason IS NOT NULL OR error_class = 'circuit_open'
        OR outcome IN ('upstream_error', 'timeout', 'malformed', 'interrupted') THEN true
    WHEN outcome = 'ok' THEN false
END
"""
ENDED_AT = "started_at + to_microseconds(least(round(coalesce(latency_ms, 0) * 1000), 1e12)::BIGINT)"
_READ_AHEAD = (
    *("rollout", "generation", "step", "percent", "worker", "boot", "seq", "started_at", "outcome", "bucket"),
    *("arm_assigned", "reason", "user_hash", "error_class", "fallback_reason", "latency_ms", "purpose"),
)
_WORDS = {"is_gate_row": IS_GATE_ROW, "failed": FAILED, "ended_at": ENDED_AT}


def gate_of(rows: str) -> str:
    """Return the question that gives the gate rows among some rows: a table, a view or a question in brackets."""
    return text_of("evidence_gate").format(rows=rows, **_WORDS)


def failed_of(address: Address, names: Sequence[str]) -> str:
    """Return the question that gives the gate rows that failed in some files of requests, of whatever rollout."""
    rows = rows_of(address, KINDS[INCOMING], names, _READ_AHEAD)
    return text_of("evidence_peeked").format(rows=rows, **_WORDS)
