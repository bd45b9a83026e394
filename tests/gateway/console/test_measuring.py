from __future__ import annotations

import pytest

from analytics.evidence import StepWindow
from gateway.console.measuring import UNKNOWN, EvidenceLostError, Unmeasured


def test_where_nothing_measures_nothing_is_known():
    nothing, window = Unmeasured(), StepWindow(rollout="sales", generation=1, step=1, percent=5.0, started_at=0)
    nothing.fold()
    with pytest.raises(EvidenceLostError, match="sales"):
        nothing.weeks("sales", 1, 0)

    assert nothing.references("sales", 1, 0) == UNKNOWN
    for asked in (nothing.look, nothing.failing, nothing.own_references):
        with pytest.raises(EvidenceLostError, match="nothing measures rollout sales here"):
            asked(window)
