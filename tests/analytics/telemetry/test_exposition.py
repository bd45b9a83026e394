from __future__ import annotations

import pytest

from analytics.telemetry.exposition import exposition
from analytics.telemetry.names import Instrument
from analytics.telemetry.series import Family, Spreads

GAUGE = Instrument(name="turnout_a", kind="gauge", told="What a\\b is.\nReally.", labels=("of", "by"))
HISTOGRAM = Instrument(name="turnout_b", kind="histogram", told="B.", labels=("of",), bounds=(0.5, 2.0))
PLAIN = Instrument(name="turnout_c", kind="histogram", told="C.", bounds=(0.5,))


def test_a_value_stands_behind_its_labels_and_whatever_they_hold_is_one_line() -> None:
    page = exposition([Family(GAUGE, [(('x"y', "back\\slash\nbreak"), 1.5)])])

    assert page == (
        "# HELP turnout_a What a\\\\b is.\\nReally.\n"
        "# TYPE turnout_a gauge\n"
        'turnout_a{of="x\\"y",by="back\\\\slash\\nbreak"} 1.5\n'
    )


def test_a_histograms_buckets_add_up() -> None:
    spreads = Spreads(HISTOGRAM)
    for value in (0.5, 1.0, 1.5, 9.0):
        spreads.add(("x",), value)

    assert exposition([spreads.family()]).splitlines()[2:] == [
        'turnout_b_bucket{of="x",le="0.5"} 1',
        'turnout_b_bucket{of="x",le="2"} 3',
        'turnout_b_bucket{of="x",le="+Inf"} 4',
        'turnout_b_sum{of="x"} 12',
        'turnout_b_count{of="x"} 4',
    ]


def test_a_histogram_without_labels_has_none_but_its_bounds() -> None:
    spreads = Spreads(PLAIN)
    spreads.add((), 0.25)

    assert exposition([spreads.family()]).splitlines()[2:] == [
        'turnout_c_bucket{le="0.5"} 1',
        'turnout_c_bucket{le="+Inf"} 1',
        "turnout_c_sum 0.25",
        "turnout_c_count 1",
    ]


@pytest.mark.parametrize(("value", "text"), [(0.1 + 0.2, "0.30000000000000004"), (3.0, "3"), (1e300, "1e+300")])
def test_a_number_loses_nothing(value: float, text: str) -> None:
    assert exposition([Family(GAUGE, [(("x", "y"), value)])]).splitlines()[2].split()[-1] == text


def test_a_measure_without_values_tells_its_type() -> None:
    assert exposition([Family(PLAIN, [])]) == "# HELP turnout_c C.\n# TYPE turnout_c histogram\n"
