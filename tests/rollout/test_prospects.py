from __future__ import annotations

from rollout.plan import DEFAULT_PLAN
from rollout.prospects import plan_rows, tolerances


def test_a_forecast_reads_the_rows_between_the_certificate_and_ga_and_asks_for_proof_where_a_phase_ends():
    rows = plan_rows(DEFAULT_PLAN)

    assert [(row.percent, row.days, bool(row.checks)) for row in rows] == [
        (5.0, 2.0, False),
        (10.0, 5.0, True),
        (25.0, 7.0, False),
        (50.0, 7.0, True),
    ]
    assert rows[-1].checks == DEFAULT_PLAN.rows[4].asked


def test_a_forecast_reads_each_margin_as_it_is():
    found = tolerances(DEFAULT_PLAN)

    assert (found["errors"].relative, found["errors"].absolute) == (0.25, 0.002)
    assert (found["p99"].ratio, found["p99"].min_requests) == (1.2, 2000)
