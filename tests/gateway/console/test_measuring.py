from __future__ import annotations

import pytest

from analytics.evidence import StepWindow
from gateway.console.measuring import EvidenceLostError, References, Unmeasured


def test_references_are_unknown_until_they_are_known():
    assert References().latencies == {"p50": None, "p99": None, "ttft": None}


def test_where_nothing_measures_nothing_is_known():
    nothing, window = Unmeasured(), StepWindow(rollout="sales", generation=1, step=1, percent=5.0, started_at=0)
    nothing.fold()

    assert nothing.references("sales", 1, 0) == References()
    for asked in (nothing.look, nothing.failing, nothing.own_references):
        with pytest.raises(EvidenceLostError, match="nothing measures rollout sales here"):
            asked(window)
